import { expect } from 'chai';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import { Database } from '../../node/store/database.ts';
import { TaskChanges } from '../../node/store/task-changes.ts';
import { completed, settled, Tables, type Session } from './setup.ts';

/**
 * Rule 2: no watermark over the identity column. Every transaction that changes the graph, other than a
 * settle, inserts one inbox row in the same commit; the leader deletes by number what it applied. A
 * new leader raises the term, reads `live`, then the inbox.
 * Seen to fail: with `inbox_id <= (select max(unnest) …)` in deleteInboxMany (the slow row is gone), and
 * without the `told` part of the statement of a patch.
 */
describe('rule 2: no watermark', () => {
  let tables: Tables;
  before(async () => {
    tables = await Tables.open();
  });
  beforeEach(async () => {
    await tables.reset();
  });
  after(() => tables.close());

  /** What a submit writes, in the transaction of the session. */
  const submit = async (session: Session, seq: number): Promise<void> => {
    await session.rows(
      `with t as (
         insert into skein.task (seq, id, type_id, priority, max_attempts, trigger_rule,
           backoff_base_ms, backoff_max_ms) values ($1, $2, 1, 50, 3, 0, 1, 1)
       ), l as (
         insert into skein.live (seq, type_id, expected_ms, priority, trigger_rule, has_duration)
         values ($1, 1, 1, 50, 0, false)
       )
       insert into skein.inbox (kind, first_seq, last_seq) values ('submitted', $1, $1)`,
      [seq, `t${String(seq)}`],
    );
  };

  it('finds a submit that was numbered first and committed last', async () => {
    const [slow, fast] = await tables.pair();
    await submit(slow, 1);
    await submit(fast, 2);
    const leader = tables.sql;
    const seen = await leader.reader.inbox(100);
    expect(seen.map((row) => row.firstSeq)).to.deep.equal([2]);
    await leader.writer().deleteInboxMany(seen.map((row) => row.inboxId));
    await slow.commit();
    const late = await leader.reader.inbox(100);
    expect(late.map((row) => row.firstSeq)).to.deep.equal([1]);
    expect(late[0]?.inboxId, 'a number below that of the applied one').to.be.below(
      seen[0]?.inboxId ?? 0,
    );
  });

  it('finds what is committed between the pages of a takeover and its first look', async () => {
    const [slow, leader] = await tables.pair();
    await submit(slow, 1);
    await submit(tables.sql, 2);
    const page = await leader.reader.liveAfter(0, Number.MAX_SAFE_INTEGER, 10);
    expect(page.seqs).to.deep.equal([2]);
    await slow.commit();
    const inbox = await leader.reader.inbox(100);
    expect(inbox.map((row) => row.firstSeq)).to.have.members([1, 2]);
  });

  it('every change of the graph leaves one row, and a settle none', async () => {
    const database = new Database({
      ...{ url: tables.url, name: 'test', clock: systemClock, rng: systemRng },
    });
    const changes = new TaskChanges(database);
    await tables.add({ seq: 1 }, { seq: 2 }, { seq: 3 });
    const rows = async (): Promise<unknown> => {
      const found = await tables.sql.reader.inbox(100);
      await tables.sql.writer().deleteInboxMany(found.map((row) => row.inboxId));
      return found.map(({ kind, seqs }) => [kind, ...seqs]);
    };
    try {
      expect(await changes.tryPatch(1, { priority: 9 })).to.equal(true);
      expect(await rows()).to.deep.equal([['patched', 1]]);
      expect(await changes.tryCancel(1)).to.equal(true);
      expect(await rows()).to.deep.equal([['cancel', 1]]);
      await tables.lease(1, 2, 3);
      await tables.sql.leases(1).completeMany(completed(1, 1));
      await tables.sql.leases(1).settleMany(settled(2, 1, 2));
      await tables.sql.leases(1).settleMany(settled(5, 1, 3));
      expect(await rows()).to.deep.equal([]);
      expect(await changes.tryRetry(2)).to.equal(true);
      expect(await rows()).to.deep.equal([['retry', 2]]);
      expect(await changes.tryPatch(1, { priority: 8 }), 'ended').to.equal(false);
      expect(await rows()).to.deep.equal([]);
    } finally {
      await database.stop();
    }
  });
});
