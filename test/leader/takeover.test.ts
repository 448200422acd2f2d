import { expect } from 'chai';
import { systemRng } from '../../node/base/clock.ts';
import { DatabaseClock } from '../../node/leader/database-clock.ts';
import { Mailbox } from '../../node/leader/mailbox.ts';
import type { ReaderPort, WriterPort } from '../../node/leader/ports.ts';
import { takeOver } from '../../node/leader/takeover.ts';
import { Unanswered } from '../../node/leader/until-done.ts';
import { rowsOf } from '../scheduler/setup.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** Goal: what the loop is told while a new leader reads the graph. Method: three pages, by hand. */
describe('a takeover', () => {
  // Seen to fail without `load-started`, and with the end of the load before its last page.
  it('says that a load of pages is under way from before the first to after the last', async () => {
    const clock = new FakeClock();
    const mailbox = new Mailbox(clock);
    const pages = [rowsOf({ seq: 1 }, { seq: 2 }), rowsOf({ seq: 3 }, { seq: 4 }), rowsOf()];
    const asked: number[] = [];
    const reader = {
      clockMs: () => Promise.resolve(5000),
      handledTypes: () => Promise.resolve(new Map([['noop', 1]])),
      liveAfter: (afterSeq: number) => {
        asked.push(afterSeq);
        return Promise.resolve(pages.shift() ?? rowsOf());
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
        } else told.push(event.kind);
      }
      done();
      state = await Promise.race([running, Promise.resolve('')]);
    }
    expect(told).to.deep.equal([
      'load-started true',
      'types-handled',
      ...['tasks-loaded', 'tasks-loaded', 'tasks-loaded'],
      'load-ended true',
    ]);
    expect(asked).to.deep.equal([0, 2, 4]);
  });
});
