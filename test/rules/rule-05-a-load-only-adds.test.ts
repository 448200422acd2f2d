import { expect } from 'chai';
import { SettledAs } from '../../node/core/messages.ts';
import { EndCode } from '../../node/core/task.ts';
import { Tombstones } from '../../node/core/tombstones.ts';
import { Bench, tell } from '../scheduler/setup.ts';

/**
 * Rule 5: a load only adds. Settles told while a load is in flight are kept as tombstones until it
 * returns. A dependency that is not in the graph is unknown, not settled: read by a statement sent after
 * the child was added.
 * Seen to fail: with `over` that never finds, with `refresh` that believes every row, with a missing
 * dependency taken for ended, with `endLoad` that clears only when no load is left, and with a list in
 * place of the set of those who wait for an unknown dependency.
 */
describe('rule 5: a load only adds', () => {
  const begin = (): Bench => new Bench().join(7, 3).load({ seq: 1 }).grant();
  const started = { kind: 'load-started', load: -1, isPaged: false } as const;

  it('a task that ended while the page was on its way is not brought back', () => {
    const bench = begin().step(started);
    bench.settle(7, 1, 1, SettledAs.COMPLETED);
    bench.load({ seq: 1, leaseSeq: 1, nodeId: 7 });
    expect(bench.scheduler.counts).to.include({ tasks: 0, ready: 0, leased: 0 });
    bench.load({ seq: 1 });
    expect(bench.leased, 'nor an older version of it').to.deep.equal([]);
  });

  it('nor is one that ended before its first page came, and its children are released', () => {
    const bench = new Bench()
      .join(7, 3)
      .step(started)
      .load({ seq: 2, deps: [1] });
    const told = tell({ seq: 1, leaseSeq: 1, settledAs: SettledAs.COMPLETED });
    bench.step({ kind: 'outcomes-settled', nodeId: 7, told });
    expect(bench.load({ seq: 1, leaseSeq: 1, nodeId: 7 }).leased).to.deep.equal([2]);
  });

  it('a failed attempt that was told before its page came is queued, not running', () => {
    const bench = new Bench().join(8, 1).step(started);
    const told = tell({ seq: 1, leaseSeq: 4, settledAs: SettledAs.RETRY });
    bench.step({ kind: 'outcomes-settled', nodeId: 7, told });
    bench.load({ seq: 1, leaseSeq: 4, nodeId: 7 });
    expect(bench.effect('persist-leases')).to.deep.include({ seqs: [1], leaseSeqs: [5] });
  });

  it('a lease is not taken away by a row that is older', () => {
    const bench = begin().load({ seq: 1 });
    expect(bench.effects).to.deep.equal([]);
    expect(bench.scheduler.counts.leased).to.equal(1);
    expect(bench.settle(7, 1, 1, SettledAs.RETRY).grant().scheduler.counts.leased).to.equal(1);
    bench.load({ seq: 1, leaseSeq: 1, nodeId: 7 }, { seq: 1, leaseSeq: 2 });
    expect(bench.settle(7, 1, 3, SettledAs.COMPLETED).scheduler.counts.tasks).to.equal(0);
  });

  it('a tombstone goes when the loads have returned that it was kept for, and no later', () => {
    const stones = new Tombstones();
    const [first, second] = [stones.openLoad(), stones.openLoad()];
    stones.bury(1, 1, EndCode.COMPLETED);
    stones.endLoad(first);
    expect(stones.over(1, 1)?.code).to.equal(EndCode.COMPLETED);
    expect(stones.over(1, 2), 'a later life').to.equal(undefined);
    const third = stones.openLoad();
    stones.bury(2, 1, EndCode.COMPLETED);
    stones.endLoad(second);
    expect([stones.over(1, 1), stones.over(2, 1)?.code]).to.deep.equal([undefined, 1]);
    stones.endLoad(third);
    expect(stones.size).to.equal(0);
    stones.bury(3, 1, EndCode.COMPLETED);
    expect(stones.size, 'nothing is in flight').to.equal(0);
  });

  it('tombstones stay few where a load is always in flight', () => {
    const stones = new Tombstones();
    let load = stones.openLoad();
    for (let seq = 1; seq <= 1000; seq++) {
      stones.bury(seq, 1, EndCode.COMPLETED);
      const next = stones.openLoad();
      stones.endLoad(load);
      load = next;
    }
    expect(stones.size).to.equal(0);
  });

  describe('a dependency that is not in the graph', () => {
    it('is unknown until a statement says how it ended', () => {
      const bench = new Bench().join(7, 3).load({ seq: 2, deps: [1] });
      expect(bench.leased).to.deep.equal([]);
      expect(bench.effect('resolve-dependencies')?.seqs).to.deep.equal([1]);
      bench.step({ kind: 'dependencies-resolved', seqs: [1], codes: [EndCode.FAILED] });
      expect(bench.effect('persist-skips')?.seqs).to.deep.equal([2]);
    });

    it('is asked for after the child was added, whatever was asked before', () => {
      const bench = new Bench().join(7, 3).load({ seq: 2, deps: [1] });
      // Another child comes while the first question is under way: its own is asked too.
      bench.load({ seq: 3, deps: [1] });
      expect(bench.effect('resolve-dependencies')?.seqs).to.deep.equal([1]);
      bench.step({ kind: 'dependencies-resolved', seqs: [1], codes: [EndCode.COMPLETED] });
      expect(bench.leased).to.deep.equal([2, 3]);
      bench.step({ kind: 'dependencies-resolved', seqs: [1], codes: [EndCode.COMPLETED] });
      expect(bench.leased, 'the second answer is for nobody').to.deep.equal([]);
    });

    it('is counted once for a task that ended and was revived while it was unknown', () => {
      const bench = new Bench().join(7, 3).load({ seq: 9 }).grant();
      bench.load({ seq: 2, deps: [1, 9] });
      bench.step({ kind: 'cancels-requested', seqs: [2] });
      const cancelled = { asked: [2], seqs: [2], codes: [EndCode.CANCELLED], leaseSeqs: [0] };
      bench.step({ kind: 'ends-persisted', ...cancelled, markedSeqs: [] });
      bench.load({ seq: 2, leaseSeq: 1, deps: [1, 9] });
      bench.step({ kind: 'dependencies-resolved', seqs: [1], codes: [EndCode.COMPLETED] });
      expect(bench.leased, 'its other dependency still runs').to.deep.equal([]);
      expect(bench.settle(7, 9, 1, SettledAs.COMPLETED).leased).to.deep.equal([2]);
    });

    it('is believed to be live again though a tombstone of its former life is there', () => {
      const bench = new Bench().join(7, 3).step(started);
      const told = tell({ seq: 1, leaseSeq: 1, settledAs: SettledAs.FAILED });
      bench.step({ kind: 'outcomes-settled', nodeId: 7, told }).load({ seq: 2, deps: [1] });
      bench.step({ kind: 'dependencies-resolved', seqs: [1], codes: [0] });
      expect(bench.effect('persist-skips')).to.equal(undefined);
      expect(bench.effect('load-tasks')?.seqs).to.deep.equal([1]);
      expect(bench.load({ seq: 1, leaseSeq: 2 }).leased).to.deep.equal([1]);
    });
  });
});
