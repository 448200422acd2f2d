import { expect } from 'chai';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import type { SchedulerEvent } from '../../node/core/events.ts';
import { SettledAs } from '../../node/core/messages.ts';
import { Inbox } from '../../node/leader/inbox.ts';
import { Mailbox } from '../../node/leader/mailbox.ts';
import type { InboxRow, ReaderPort, WriterPort } from '../../node/leader/ports.ts';
import { Unanswered } from '../../node/leader/until-done.ts';
import { Database } from '../../node/store/database.ts';
import { Bench } from '../scheduler/setup.ts';
import { completed, settled, Tables, until, type Session } from './setup.ts';

/**
 * Rule 11: users cannot stall the leader. Bulk operations in chunks of 1,000 rows at most; lock order
 * live → task → others, by `seq`; 40P01 and 40001 are retried.
 * Seen to fail: without `order by` in each of the statements, with DEADLOCK_TRIES of 1, with all cancels
 * of a look at the inbox in one event, and with SKIPS_PER_STEP_MAX of 2,000.
 */
describe('rule 11: users cannot stall the leader', () => {
  let tables: Tables;
  before(async () => {
    tables = await Tables.open();
  });
  beforeEach(async () => {
    await tables.reset();
    await tables.add({ seq: 1 }, { seq: 2 }, { seq: 3 });
    // Many others, as in a cluster: among three rows a plan may walk the table in its order.
    await tables.sql
      .rows(`insert into skein.live (seq, type_id, expected_ms, priority, trigger_rule,
      has_duration) select seq, 1, 0, 50, 0, false from generate_series(1000, 6000) seq`);
    await tables.sql.rows('analyze skein.live');
  });
  after(() => tables.close());

  type Run = (session: Session) => Promise<unknown>;
  const held: Record<string, Run> = {
    completeMany: (session) => session.leases(1).completeMany(completed(1, 3, 2, 1)),
    settleMany: (session) => session.leases(1).settleMany(settled(5, 1, 3, 2, 1)),
    takeBackMany: (session) => session.writer().takeBackMany(1, [3, 2, 1], [1, 1, 1], 'lost'),
  };
  const unheld: Record<string, Run> = {
    skipMany: (session) => session.writer().skipMany([3, 2, 1]),
    cancelMany: (session) => session.writer().cancelMany([3, 2, 1]),
  };

  /** Another holds row 1: who locks by number waits for it with empty hands. */
  const waitsEmptyHanded = async (table: 'live' | 'task', run: Run): Promise<void> => {
    const [holder, other] = await tables.pair();
    const lock = (seq: number): string =>
      `select from skein.${table} where seq = ${String(seq)} for update nowait`;
    await holder.rows(lock(1));
    const answer = run(other);
    await tables.waits(other);
    for (const seq of [2, 3]) {
      const isFree = await tables.sql.rows(lock(seq)).then(
        () => true,
        () => false,
      );
      expect(isFree, `row ${String(seq)}`).to.equal(true);
    }
    await holder.commit();
    await answer;
  };
  for (const [name, run] of Object.entries(held)) {
    it(`${name} locks rows in the order of their numbers, whatever the order asked`, async () => {
      await tables.lease(1, 2, 3);
      await waitsEmptyHanded('live', run);
    });
  }
  for (const [name, run] of Object.entries(unheld)) {
    it(`${name} locks rows in the order of their numbers, whatever the order asked`, () =>
      waitsEmptyHanded('live', run));
  }
  it('reviveMany locks rows in the order of their numbers, whatever the order asked', async () => {
    await tables.sql.writer().skipMany([1, 2, 3]);
    await waitsEmptyHanded('task', (session) => session.writer().reviveMany([3, 2, 1]));
  });

  it('tries again what was ended to break a deadlock, and both transactions go through', async () => {
    const database = new Database({
      ...{ url: tables.url, name: 'test', clock: systemClock, rng: systemRng },
    });
    let met = 0;
    const tries = [0, 0];
    const cross = (who: 0 | 1, first: number, second: number): Promise<void> =>
      database.transaction(async (session) => {
        tries[who] = (tries[who] ?? 0) + 1;
        const lock = { text: 'select from skein.live where seq = $1 for update' };
        await session.query(lock, [first]);
        met += 1;
        await until(() => met >= 2);
        await session.query(lock, [second]);
      });
    const ends = await Promise.allSettled([cross(0, 1, 2), cross(1, 2, 1)]);
    await database.stop();
    expect(ends.map(({ status }) => status)).to.deep.equal(['fulfilled', 'fulfilled']);
    // The one that was ended may be quicker at its next try than the other at its wait, and meet it again.
    expect(Math.max(...tries)).to.be.at.least(2);
  });
});

describe('rule 11: what users ask in bulk is done in portions', () => {
  it('2,500 cancels are three rounds of the loop, and their row goes when all are done', async () => {
    const controller = new AbortController();
    const mailbox = new Mailbox(systemClock);
    const seqs = Array.from({ length: 2500 }, (_, at) => at + 1);
    let inbox: InboxRow[] = [
      { inboxId: 1, kind: 'cancel', firstSeq: 1, lastSeq: 2500, isBulk: false, seqs },
    ];
    const reader = { inbox: () => Promise.resolve(inbox) };
    const writer = {
      deleteInboxMany: () => {
        inbox = [];
        return Promise.resolve();
      },
    };
    const job = new Inbox({
      ...{ clock: systemClock, rng: systemRng, mailbox, isCaughtUp: () => true },
      ...{ isDeposedError: () => false, onDeposed: () => undefined },
      unanswered: new Unanswered(systemClock),
      log: { debug: () => 0, info: () => 0, warn: () => 0, error: () => 0 },
      reader: reader as unknown as ReaderPort,
      writer: writer as unknown as WriterPort,
      leadership: { term: 1, signal: controller.signal, isTrusted: () => true },
    }).run();
    const rounds: number[] = [];
    while (inbox.length > 0) {
      await mailbox.wait(50, controller.signal);
      const { events, done } = mailbox.take();
      const cancels = events.filter(isCancel).map((event) => event.seqs.length);
      if (cancels.length > 0) expect(inbox, 'not before they are done').to.have.length(1);
      rounds.push(...cancels);
      done();
    }
    controller.abort();
    await job;
    expect(rounds).to.deep.equal([1000, 1000, 500]);
  });

  it('leases go on between the portions of a cascade of skips', () => {
    const children = Array.from({ length: 2500 }, (_, at) => ({ seq: at + 10, deps: [1] }));
    const bench = new Bench().join(7, 1).load({ seq: 1 }, ...children);
    bench.grant().settle(7, 1, 1, SettledAs.FAILED);
    expect(bench.effect('persist-skips')?.seqs).to.have.length(1000);
    bench.load({ seq: 2 });
    expect(bench.leased, 'another task, in the same step').to.deep.equal([2]);
    expect(bench.effect('persist-skips')?.seqs).to.have.length(1000);
    expect(bench.scheduler.isCaughtUp).to.equal(false);
    expect(bench.step().effect('persist-skips')?.seqs).to.have.length(500);
    expect(bench.scheduler.isCaughtUp).to.equal(true);
  });
});

function isCancel(
  event: SchedulerEvent,
): event is Extract<SchedulerEvent, { kind: 'cancels-requested' }> {
  return event.kind === 'cancels-requested';
}
