import { expect } from 'chai';
import { completed, settled, Tables } from './setup.ts';

/**
 * Rule 19: `started_at` and `finished_at` are the database's clock, less the monotonic time since: a child
 * never starts before its parent ended.
 * Seen to fail: without `greatest(l.leased_at, …)` for `started_at` and for `finished_at` of completeMany
 * and of settleMany.
 */
describe('rule 19: no child starts before its parent ended', () => {
  let tables: Tables;
  before(async () => {
    tables = await Tables.open();
  });
  beforeEach(async () => {
    await tables.reset();
    await tables.add({ seq: 1 }, { seq: 2, deps: [1] });
  });
  after(() => tables.close());

  /** A node whose monotonic clock ran ahead by an hour while the task was with it. */
  const drifted = <T extends object>(columns: T): T => ({
    ...columns,
    startedAgoMs: [3_600_000],
    finishedAgoMs: [3_590_000],
  });
  const expectOrder = async (): Promise<void> => {
    const [parent, child] = [await tables.task(1), await tables.task(2)];
    const times = [parent.started_at, parent.finished_at, child.started_at, child.finished_at];
    const sorted = [...times].sort((a, b) => Number(a) - Number(b));
    expect(times).to.deep.equal(sorted);
  };

  it('whatever the clock of its node does', async () => {
    await tables.lease(1);
    await tables.sql.leases(1).completeMany(drifted(completed(1, 1)));
    await tables.lease(2);
    await tables.sql.leases(1).completeMany(drifted(completed(1, 2)));
    await expectOrder();
  });

  it('also where both fail', async () => {
    await tables.lease(1);
    await tables.sql.leases(1).settleMany(drifted(settled(2, 1, 1)));
    await tables.lease(2);
    await tables.sql.leases(1).settleMany(drifted(settled(2, 1, 2)));
    await expectOrder();
  });

  it('also where the start was written down while the task ran', async () => {
    await tables.lease(1);
    await tables.sql.leases(1).completeMany(completed(1, 1));
    await tables.lease(2);
    await tables.sql.leases(1).markStarted([2], [1], [3_600_000]);
    await tables.sql.leases(1).completeMany(completed(1, 2));
    await expectOrder();
  });

  it('and a task that never started has no start', async () => {
    await tables.lease(1);
    await tables.sql.leases(1).settleMany({ ...settled(2, 1, 1), startedAgoMs: [null] });
    expect(await tables.task(1)).to.include({ status: 2, started_at: null });
  });
});
