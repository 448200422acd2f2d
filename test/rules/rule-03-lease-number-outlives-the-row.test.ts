import { expect } from 'chai';
import { completed, settled, Tables } from './setup.ts';

/**
 * Rule 3: the settle writes the winning lease number into the task, a retry starts above it, and an
 * unknown COMMIT is answered by comparing it.
 * Seen to fail: without `lease_seq = g.lease_seq` in completeMany (verify finds nothing), and with
 * `lease_seq` in place of `lease_seq + 1` in reviveMany.
 */
describe('rule 3: the lease number outlives the live row', () => {
  let tables: Tables;
  before(async () => {
    tables = await Tables.open();
  });
  beforeEach(async () => {
    await tables.reset();
    await tables.add({ seq: 1 });
    await tables.lease(1);
  });
  after(() => tables.close());

  it('answers a settle whose COMMIT was lost: it was accepted, and only once', async () => {
    const [first, again] = await tables.pair();
    expect(await first.leases(1).completeMany(completed(1, 1))).to.deep.equal([1]);
    // The worker does not know of the commit, and tries again on another connection.
    const retried = again.leases(1).completeMany(completed(1, 1));
    await tables.waits(again);
    expect(await tables.sql.leases(1).verifyMany([1], [1])).to.deep.equal([]);
    await first.commit();
    expect(await retried, 'the guard refuses the second').to.deep.equal([]);
    const [found] = await again.leases(1).verifyMany([1], [1]);
    expect(found).to.include({ seq: 1, settledAs: 1, nextLeaseSeq: 0 });
    expect(await tables.task(1)).to.include({ status: 1, lease_seq: 1, attempt: 1 });
  });

  it('does not take the outcome of another lease, or of another node, for its own', async () => {
    await tables.sql.leases(1).completeMany(completed(1, 1));
    expect(await tables.sql.leases(1).verifyMany([1], [2])).to.deep.equal([]);
    expect(await tables.sql.leases(2).verifyMany([1], [1])).to.deep.equal([]);
  });

  it('goes on when the task is retried: no lease of its former life is ever good again', async () => {
    await tables.sql.leases(1).settleMany(settled(2, 1, 1));
    expect(await tables.task(1)).to.include({ status: 2, lease_seq: 1 });
    expect(await tables.sql.writer().reviveMany([1])).to.deep.equal([1]);
    expect(await tables.live(1)).to.include({ lease_seq: 2, node_id: null, attempt: 0 });
    const { leaseSeqs } = await tables.sql.writer().leaseMany([1], [2], [1]);
    expect(leaseSeqs).to.deep.equal([3]);
    for (const zombie of [1, 2]) {
      expect(await tables.sql.leases(1).completeMany(completed(zombie, 1))).to.deep.equal([]);
    }
    expect(await tables.sql.leases(1).completeMany(completed(3, 1))).to.deep.equal([1]);
    expect(await tables.task(1)).to.include({ status: 1, lease_seq: 3 });
  });

  it('stands in the task also where the leader ended it', async () => {
    await tables.sql.writer().takeBackMany(1, [1], [1], 'lost');
    await tables.sql.writer().cancelMany([1]);
    expect(await tables.task(1)).to.include({ status: 3, lease_seq: 2 });
    await tables.sql.writer().reviveMany([1]);
    expect(await tables.live(1)).to.include({ lease_seq: 3 });
  });
});
