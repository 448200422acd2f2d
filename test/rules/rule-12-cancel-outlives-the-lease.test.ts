import { expect } from 'chai';
import { completed, settled, Tables } from './setup.ts';

/**
 * Rule 12: reclaim and a failed settle end a row with `cancel` set as CANCELLED, in the same statement.
 * Seen to fail: with `d.settled_as` alone in settleMany, with `where not cancel` taken out of
 * takeBackMany, and with the mark of cancelMany set for rows of the snapshot that are held no more.
 */
describe('rule 12: a cancel outlives the lease that it met', () => {
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

  const expectCancelled = async (): Promise<void> => {
    expect(await tables.live(1)).to.equal(undefined);
    expect(await tables.task(1)).to.include({ status: 3 });
    const listed = await tables.sql.rows('select seq, status from skein.not_completed');
    expect(listed).to.deep.equal([{ seq: 1, status: 3 }]);
  };

  for (const settledAs of [2, 5, 6] as const) {
    it(`where the node settles it as ${String(settledAs)} while it is being marked`, async () => {
      const [leader, worker] = await tables.pair();
      const marked = await leader.writer().cancelMany([1]);
      expect(marked).to.deep.equal({ seqs: [], leaseSeqs: [], markedSeqs: [1] });
      const settle = worker.leases(1).settleMany(settled(settledAs, 1, 1));
      await tables.waits(worker);
      await leader.commit();
      expect((await settle)[0]).to.include({ settledAs: 3, nextLeaseSeq: 0 });
      await expectCancelled();
    });
  }

  it('where the node gives it back first, and the cancel waits for that', async () => {
    const [worker, leader] = await tables.pair();
    await worker.leases(1).settleMany(settled(5, 1, 1));
    const cancel = leader.writer().cancelMany([1]);
    await tables.waits(leader);
    await worker.commit();
    expect(await cancel).to.deep.equal({ seqs: [1], leaseSeqs: [2], markedSeqs: [] });
    await expectCancelled();
  });

  it('where its node is lost, or had never heard of the lease', async () => {
    await tables.add({ seq: 2 });
    await tables.lease(2);
    await tables.sql.writer().cancelMany([1, 2]);
    const lost = await tables.sql.writer().takeBackMany(1, [1], [1], 'lost');
    expect(lost).to.deep.equal({ seqs: [], nextLeaseSeqs: [], losses: [], cancelledSeqs: [1] });
    const released = await tables.sql.writer().takeBackMany(1, [2], [1], 'released');
    expect(released.cancelledSeqs).to.deep.equal([2]);
    expect(await tables.live(2)).to.equal(undefined);
    await tables.sql.rows('delete from skein.not_completed where seq = 2');
    await expectCancelled();
  });

  it('but a success that is committed first stands', async () => {
    await tables.sql.writer().cancelMany([1]);
    expect(await tables.sql.leases(1).completeMany(completed(1, 1))).to.deep.equal([1]);
    expect(await tables.task(1)).to.include({ status: 1 });
    expect(await tables.sql.writer().cancelMany([1])).to.deep.include({ seqs: [], markedSeqs: [] });
  });

  it('and a marked task is never leased again, whoever asks', async () => {
    await tables.sql.rows('update skein.live set cancel = true, node_id = null where seq = 1');
    expect((await tables.sql.writer().leaseMany([1], [1], [1])).seqs).to.deep.equal([]);
  });
});
