import { expect } from 'chai';
import { Deadlines } from '../../node/core/deadlines.ts';
import { SettledAs } from '../../node/core/messages.ts';
import { EndCode } from '../../node/core/task.ts';
import { seededRng } from '../support/seeded-rng.ts';
import { Bench } from './setup.ts';

// Goal: what has not begun by its time is asked to end, what has begun never. Method: events in, effects
// out. Seen to fail without the arming in `place`, and with a limit that a retry keeps.
describe('tasks that must begin by a time', () => {
  const START = 1_000_000;
  const expiring = (bench: Bench): readonly number[] =>
    bench.effect('persist-expiries')?.seqs ?? [];
  const ended = { leaseSeqs: [0], codes: [EndCode.FAILED], markedSeqs: [] };

  it('are asked to end when it is over, wherever they wait', () => {
    const bench = new Bench().load(
      { seq: 1, expiresAtMs: START + 50 },
      { seq: 2, deps: [1], expiresAtMs: START + 50, rule: 'all_done' },
      { seq: 3, runAtMs: START + 900, expiresAtMs: START + 50 },
      { seq: 4, expiresAtMs: START + 51 },
      { seq: 5 },
    );
    expect(bench.scheduler.nextDueMs).to.equal(START + 50);
    bench.nowMs += 49;
    expect(expiring(bench.step())).to.deep.equal([]);
    bench.nowMs += 1;
    expect(expiring(bench.step())).to.have.members([1, 2, 3]);
    expect(bench.join(7, 9).leased, 'what is being ended is not leased').to.deep.equal([4, 5]);
  });

  it('fail, and their dependents follow their trigger rules', () => {
    const bench = new Bench().load(
      { seq: 1, expiresAtMs: START },
      { seq: 2, deps: [1] },
      { seq: 3, deps: [1], rule: 'one_failed' },
    );
    bench.join(7, 9).step({ kind: 'ends-persisted', asked: [1], seqs: [1], ...ended });
    expect(bench.effect('persist-skips')?.seqs).to.deep.equal([2]);
    expect(bench.leased).to.deep.equal([3]);
  });

  it('are read again where the statement refuses, and asked again only when it is due', () => {
    const bench = new Bench().load({ seq: 1, expiresAtMs: START });
    expect(expiring(bench)).to.deep.equal([1]);
    bench.step({ ...{ kind: 'ends-persisted', asked: [1], seqs: [] }, ...ended, codes: [] });
    const claims = bench.effect('reread-tasks')?.claims ?? [];
    expect(claims.map(({ seq }) => seq)).to.deep.equal([1]);
    bench.reread(claims, { seq: 1, expiresAtMs: START + 10 });
    expect(expiring(bench)).to.deep.equal([]);
    bench.nowMs += 10;
    expect(expiring(bench.step())).to.deep.equal([1]);
  });

  it('are left alone while they run, and after a try or a lost lease', () => {
    const bench = new Bench().join(7, 9);
    bench.load({ seq: 1, expiresAtMs: START + 9 }, { seq: 2, expiresAtMs: START + 9 }).grant();
    bench.nowMs += 9;
    expect(expiring(bench.step())).to.deep.equal([]);
    bench.step({ kind: 'node-unlinked', nodeId: 7 });
    expect(expiring(bench.settle(7, 1, 1, SettledAs.RETRY))).to.deep.equal([]);
    const lost = { asked: [2], seqs: [2], nextLeaseSeqs: [2], losses: [1], cancelledSeqs: [] };
    expect(expiring(bench.step({ kind: 'leases-ended', ...lost }))).to.deep.equal([]);
    bench.nowMs += 1000;
    expect(expiring(bench.step())).to.deep.equal([]);
  });

  it('expire after all where they come back without having begun', () => {
    const bench = new Bench()
      .join(7, 9)
      .load({ seq: 1, expiresAtMs: START + 9 })
      .grant();
    bench.nowMs += 9;
    bench.step({ kind: 'node-unlinked', nodeId: 7 });
    expect(expiring(bench.settle(7, 1, 1, SettledAs.RELEASED))).to.deep.equal([1]);
  });

  it('have another limit where a load says so', () => {
    const bench = new Bench().load({ seq: 1, expiresAtMs: START + 9 });
    bench.load({ seq: 1, runAtMs: START + 5, expiresAtMs: START + 99 });
    bench.nowMs += 50;
    expect(expiring(bench.step())).to.deep.equal([]);
    bench.load({ seq: 1, runAtMs: START + 5, expiresAtMs: START + 60 });
    bench.nowMs += 10;
    expect(expiring(bench.step())).to.deep.equal([1]);
  });

  it('are asked for in portions of a thousand', () => {
    const seqs = Array.from({ length: 2500 }, (_, at) => at + 1);
    const bench = new Bench().load(...seqs.map((seq) => ({ seq, expiresAtMs: START - seq })));
    const asked: number[] = [];
    for (const portion of [1000, 1000, 500]) {
      expect(expiring(bench)).to.have.length(portion);
      asked.push(...expiring(bench));
      bench.step();
    }
    expect(asked, 'the longest overdue first').to.deep.equal(seqs.toReversed());
  });

  it('come in the order of their times, whatever is taken out between', () => {
    const rng = seededRng(1);
    const deadlines = new Deadlines();
    const known = new Map<number, number>();
    for (let at = 0; at < 5000; at++) {
      const seq = Math.floor(rng.random() * 500);
      const ms = rng.random() < 0.4 ? 0 : 1 + Math.floor(rng.random() * 1000);
      deadlines.set(seq, ms);
      if (ms === 0) known.delete(seq);
      else known.set(seq, ms);
    }
    expect(deadlines.size).to.equal(known.size);
    const due: number[] = [];
    for (;;) {
      const seq = deadlines.takeDue(500);
      if (seq === undefined) break;
      due.push(known.get(seq) as number);
    }
    expect(due).to.deep.equal([...known.values()].filter((ms) => ms <= 500).sort((a, b) => a - b));
    expect(deadlines.nextMs).to.equal(Math.min(...[...known.values()].filter((ms) => ms > 500)));
  });
});
