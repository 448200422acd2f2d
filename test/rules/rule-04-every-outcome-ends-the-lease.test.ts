import { expect } from 'chai';
import { completed, settled, Tables } from './setup.ts';

/**
 * Rule 4: any accepted outcome, release or reclaim ends the lease in the same statement, and the guard
 * is always `lease_seq = mine and node_id = me`.
 * Seen to fail: without `and l.lease_seq = d.lease_seq` in completeMany, without `and l.node_id = $1`
 * in settleMany, with `lease_seq = l.lease_seq` in takeBackMany, without either guard of it, and
 * without `node_id is null` in skipMany.
 */
describe('rule 4: every accepted outcome ends the lease', () => {
  let tables: Tables;
  before(async () => {
    tables = await Tables.open();
  });
  beforeEach(async () => {
    await tables.reset();
    await tables.add({ seq: 1 }, { seq: 2 });
    await tables.lease(1, 2);
  });
  after(() => tables.close());

  it('a settle that waits for a take-back comes too late', async () => {
    const [leader, worker] = await tables.pair();
    const taken = await leader.writer().takeBackMany(1, [1], [1], 'lost');
    expect(taken).to.deep.include({ seqs: [1], nextLeaseSeqs: [2], losses: [1] });
    const settle = worker.leases(1).completeMany(completed(1, 1, 2));
    await tables.waits(worker);
    await leader.commit();
    expect(await settle, 'only the other task').to.deep.equal([2]);
    expect(await tables.live(1)).to.include({ lease_seq: 2, node_id: null });
    expect(await tables.task(1)).to.include({ status: null });
  });

  it('a take-back that waits for a settle takes nothing back', async () => {
    const [worker, leader] = await tables.pair();
    await worker.leases(1).completeMany(completed(1, 1));
    const back = leader.writer().takeBackMany(1, [1, 2], [1, 1], 'lost');
    await tables.waits(leader);
    await worker.commit();
    expect(await back).to.deep.include({ seqs: [2], cancelledSeqs: [] });
    expect(await tables.task(1)).to.include({ status: 1, lease_seq: 1 });
    expect(await tables.live(1)).to.equal(undefined);
  });

  it('a take-back that waits for a failed attempt leaves the next one alone', async () => {
    const [worker, leader] = await tables.pair();
    await worker.leases(1).settleMany(settled(5, 1, 1));
    const back = leader.writer().takeBackMany(1, [1], [1], 'lost');
    await tables.waits(leader);
    await worker.commit();
    expect(await back).to.deep.include({ seqs: [] });
    expect(await tables.live(1)).to.include({ lease_seq: 2, attempt: 1, losses: 0 });
  });

  for (const settledAs of [2, 5, 6] as const) {
    it(`after outcome ${String(settledAs)} nothing more is accepted under the lease`, async () => {
      const store = tables.sql.leases(1);
      expect(await store.settleMany(settled(settledAs, 1, 1))).to.have.length(1);
      expect(await store.settleMany(settled(settledAs, 1, 1))).to.have.length(0);
      expect(await store.completeMany(completed(1, 1))).to.deep.equal([]);
      const attempts = await tables.sql.rows<{ lease_seq: number }>(
        'select lease_seq from skein.attempt where seq = 1',
      );
      expect(attempts).to.deep.equal([{ lease_seq: 1 }]);
    });
  }

  it('a take-back is of the very lease: its number and its node', async () => {
    const writer = tables.sql.writer();
    expect(await writer.takeBackMany(1, [1], [0], 'lost')).to.deep.include({ seqs: [] });
    expect(await writer.takeBackMany(2, [1], [1], 'lost')).to.deep.include({ seqs: [] });
    expect(await tables.live(1)).to.include({ lease_seq: 1, node_id: 1, losses: 0 });
  });

  it('a node that starts again under its name settles nothing of its former life', async () => {
    const registry = tables.sql.registry;
    const facts = {
      ...{ name: 'node-1', bootId: 'b', pidNamespace: 'n', pid: 2, pidStarted: '2', httpUrl: '' },
      ...{ grpcAddress: '', slots: 4, types: ['work'], simulates: false, version: '1' },
      labels: [],
    };
    const incarnation = '00000000-0000-4000-8000-000000000002';
    const again = await registry.register({ ...facts, incarnation }, 10_000);
    expect(again).to.not.equal(1);
    expect(await tables.sql.leases(again).completeMany(completed(1, 1))).to.deep.equal([]);
    expect(await tables.sql.leases(1).completeMany(completed(1, 1))).to.deep.equal([1]);
  });

  it('a task that is leased while the leader takes it for skipped runs on', async () => {
    expect((await tables.sql.writer().skipMany([1])).seqs).to.deep.equal([]);
    expect(await tables.live(1)).to.include({ lease_seq: 1, node_id: 1 });
    expect(await tables.sql.leases(1).completeMany(completed(1, 1))).to.deep.equal([1]);
  });

  it('the same node under an earlier lease is refused, and so is another node', async () => {
    await tables.sql.writer().takeBackMany(1, [1], [1], 'released');
    await tables.sql.writer().leaseMany([1], [2], [1]);
    expect(await tables.live(1)).to.include({ lease_seq: 3, node_id: 1 });
    expect(await tables.sql.leases(1).settleMany(settled(2, 1, 1))).to.deep.equal([]);
    expect(await tables.sql.leases(1).completeMany(completed(1, 1))).to.deep.equal([]);
    expect(await tables.sql.leases(2).settleMany(settled(2, 3, 1))).to.deep.equal([]);
    expect(await tables.sql.leases(2).completeMany(completed(3, 1))).to.deep.equal([]);
    expect(await tables.live(1)).to.include({ lease_seq: 3, node_id: 1 });
  });

  // Seen to fail also where a failed attempt begins the numbers anew.
  it('the same node, which leases its task again and again, settles nothing of a former lease', async () => {
    await tables.sql.rows('update skein.task set max_attempts = 1000 where seq = 1');
    const [leader, node, zombie] = [tables.sql, await tables.session(), await tables.session()];
    const late = zombie.leases(1);
    const ends = [
      (lease: number) => node.leases(1).settleMany(settled(5, lease, 1)),
      (lease: number) => node.leases(1).settleMany(settled(6, lease, 1)),
      (lease: number) => leader.writer().takeBackMany(1, [1], [lease], 'lost'),
    ];
    let accepted = 0;
    const comeLate = async (leaseSeqs: readonly number[]): Promise<void> => {
      for (const lease of leaseSeqs) {
        accepted += (await late.completeMany(completed(lease, 1))).length;
        accepted += (await late.settleMany(settled(2, lease, 1))).length;
        accepted += (await late.settleMany(settled(6, lease, 1))).length;
      }
    };
    const former = [1];
    await ends[0]?.(1);
    for (let round = 1; round <= 200; round += 1) {
      const { lease_seq: known } = (await tables.live(1)) ?? { lease_seq: 0 };
      // The last ones and the first come while the task is leased anew, while it is held, and at its end.
      const zombies = [1, ...former.slice(-2)];
      const [leased] = await Promise.all([
        leader.writer().leaseMany([1], [known], [1]),
        comeLate(zombies),
      ]);
      const [lease = 0] = leased.leaseSeqs;
      expect(lease, 'a number of its own').to.be.greaterThan(Math.max(...former));
      await comeLate(zombies);
      expect(await tables.live(1)).to.include({ lease_seq: lease, node_id: 1 });
      await Promise.all([ends[round % ends.length]?.(lease), comeLate(zombies)]);
      former.push(lease);
    }
    expect(accepted).to.equal(0);
    expect(await tables.task(1)).to.include({ status: null });
    const [{ count } = { count: 0 }] = await tables.sql.rows<{ count: number }>(
      'select count(*)::int from skein.attempt where seq = 1',
    );
    expect(count, 'each lease ended once').to.equal(former.length);
  });
});
