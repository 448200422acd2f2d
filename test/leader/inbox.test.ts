import { expect } from 'chai';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import type { SchedulerEvent } from '../../node/core/events.ts';
import { Inbox } from '../../node/leader/inbox.ts';
import { Mailbox } from '../../node/leader/mailbox.ts';
import type { InboxRow, ReaderPort, WriterPort } from '../../node/leader/ports.ts';
import { Unanswered } from '../../node/leader/until-done.ts';
import { rowsOf } from '../scheduler/setup.ts';

/**
 * Goal: the leader does whatever stands in the inbox, and all of it (rules 2 and 13). Method: the real
 * job before tables that answer as the test says; the test is the loop that takes its events.
 */
describe('the inbox of a leader', () => {
  /** Looks, until the rows are gone; answers all that the loop was told. */
  async function apply(
    inboxes: readonly (readonly InboxRow[])[],
    more: Partial<ReaderPort & WriterPort> = {},
  ): Promise<readonly SchedulerEvent[]> {
    const controller = new AbortController();
    const { signal } = controller;
    const mailbox = new Mailbox(systemClock);
    let [present = [], ...later] = inboxes;
    const tables = {
      inbox: () => Promise.resolve(present),
      liveAfter: () => Promise.resolve(rowsOf()),
      live: () => Promise.resolve(rowsOf()),
      firstEndMs: () => Promise.resolve(0),
      deleteInboxMany: (ids: readonly number[]) => {
        expect(ids).to.have.members(present.map(({ inboxId }) => inboxId));
        [present = [], ...later] = later;
        return Promise.resolve();
      },
      ...more,
    };
    const job = new Inbox({
      ...{ clock: systemClock, rng: systemRng, mailbox, isCaughtUp: () => true },
      ...{ isDeposedError: () => false, onDeposed: () => undefined },
      unanswered: new Unanswered(systemClock),
      log: { debug: () => 0, info: () => 0, warn: () => 0, error: () => 0 },
      reader: tables as unknown as ReaderPort,
      writer: tables as unknown as WriterPort,
      leadership: { term: 1, signal, isTrusted: () => true },
    });
    const running = job.run();
    const told: SchedulerEvent[] = [];
    for (let looks = 0; present.length + later.length > 0 && looks < 50; looks++) {
      job.look();
      await mailbox.wait(20, signal);
      const { events, done } = mailbox.take();
      told.push(...events);
      done();
    }
    controller.abort();
    await running;
    expect(present.length + later.length, 'looks that were not applied').to.equal(0);
    return told;
  }
  const row = (inboxId: number, kind: InboxRow['kind'], seq: number): InboxRow => ({
    ...{ inboxId, kind, firstSeq: seq, lastSeq: seq, seqs: [seq] },
  });

  // Seen to fail with a watermark over the numbers of the rows.
  it('does what was numbered first and committed last', async () => {
    const told = await apply([[row(2, 'cancel', 20)], [row(1, 'cancel', 10)]]);
    const cancelled = told.map((event) => event.kind === 'cancels-requested' && event.seqs);
    expect(cancelled).to.deep.equal([[20], [10]]);
  });

  // Seen to fail with one look at what is skipped below.
  it('looks again below a retried task until nothing more was skipped meanwhile', async () => {
    const found = [
      [1, 2],
      [1, 2, 3],
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ];
    const revived: (readonly number[])[] = [];
    await apply([[row(1, 'retry', 1)]], {
      skippedBelow: () => Promise.resolve(found.shift() ?? []),
      reviveMany: (seqs) => {
        revived.push(seqs);
        return Promise.resolve(seqs);
      },
    });
    expect(revived, 'the farthest first').to.deep.equal([[2, 1], [3], [4]]);
  });
});
