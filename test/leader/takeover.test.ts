import { expect } from 'chai';
import { systemRng } from '../../node/base/clock.ts';
import type { LiveRows } from '../../node/core/events.ts';
import { DatabaseClock } from '../../node/leader/database-clock.ts';
import { Mailbox } from '../../node/leader/mailbox.ts';
import type { ReaderPort, WriterPort } from '../../node/leader/ports.ts';
import { takeOver } from '../../node/leader/takeover.ts';
import { Unanswered } from '../../node/leader/until-done.ts';
import { rowsOf } from '../scheduler/setup.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** Goal: what the loop is told while a new leader reads the graph. Method: three pages, by hand. */
describe('a takeover', () => {
  const END = { rows: rowsOf(), lastSeq: 0 };

  /** Reads these pages, and answers what the loop was told of, each with the tasks that it brought. */
  async function tellingOf(
    pages: LiveRows[],
    scouted: readonly { readonly rows: LiveRows; readonly lastSeq: number }[],
  ) {
    const clock = new FakeClock();
    const mailbox = new Mailbox(clock);
    const asked: number[] = [];
    const looked: number[] = [];
    const reader = {
      clockMs: () => Promise.resolve(5000),
      handledTypes: () => Promise.resolve(new Map([['noop', 1]])),
      gatedTypes: () => Promise.resolve({ pausedIds: [], limitedIds: [], limits: [] }),
      liveAfter: (afterSeq: number) => {
        asked.push(afterSeq);
        return Promise.resolve(pages.shift() ?? rowsOf());
      },
      liveReadyAfter: (afterSeq: number) => {
        looked.push(afterSeq);
        return Promise.resolve(scouted[looked.length - 1] ?? END);
      },
    };
    const quiet = (): void => undefined;
    const running = takeOver({
      ...{ clock, mailbox, rng: systemRng, databaseClock: new DatabaseClock(clock), pageRows: 2 },
      ...{ isDeposedError: () => false, onDeposed: quiet, unanswered: new Unanswered(clock) },
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      reader: reader as unknown as ReaderPort,
      writer: {} as WriterPort,
      leadership: { term: 1, signal: new AbortController().signal, isTrusted: () => true },
    }).then(() => 'over');
    const told: string[] = [];
    for (let state = ''; state !== 'over';) {
      await clock.advance(0);
      const { events, done } = mailbox.take();
      for (const event of events) {
        if (event.kind === 'load-started' || event.kind === 'load-ended') {
          told.push(`${event.kind} ${String(event.isPaged)}`);
        } else if (event.kind === 'tasks-loaded') told.push(`tasks ${event.rows.seqs.join(' ')}`);
        else told.push(event.kind);
      }
      done();
      state = await Promise.race([running, Promise.resolve('')]);
    }
    return { told, asked, looked };
  }

  // Seen to fail without `load-started`, and with the end of the load before its last page.
  it('says that a load of pages is under way from before the first to after the last', async () => {
    const pages = [rowsOf({ seq: 1 }, { seq: 2 }), rowsOf({ seq: 3 }, { seq: 4 }), rowsOf()];
    const { told, asked } = await tellingOf(pages, []);
    expect(told).to.deep.equal([
      'load-started true',
      ...['types-handled', 'types-gated'],
      ...['tasks 1 2', 'tasks 3 4', 'tasks '],
      'load-ended true',
    ]);
    expect(asked).to.deep.equal([0, 2, 4]);
  });

  // Seen to fail without the scout, and where it went on from its first stride.
  it('loads what looks ready further on before the pages in between', async () => {
    const pages = [1, 3, 5, 7].map((seq) => rowsOf({ seq }, { seq: seq + 1 }));
    const { told, looked } = await tellingOf(pages, [
      { rows: rowsOf(), lastSeq: 6 },
      { rows: rowsOf({ seq: 8 }), lastSeq: 8 },
    ]);
    expect(told.indexOf('tasks 8')).to.be.within(1, told.indexOf('tasks 7 8') - 1);
    expect(looked).to.deep.equal([2, 6, 8]);
    expect(told.at(-1)).to.equal('load-ended true');
  });

  it('does not look ahead where the first page is the last', async () => {
    const { looked } = await tellingOf([rowsOf({ seq: 1 })], []);
    expect(looked).to.deep.equal([]);
  });
});
