import { expect } from 'chai';
import { Graphs } from './graphs.ts';
import { FAULT_KINDS, planOf } from './plan.ts';
import { Seeded } from './seeded.ts';

/** Goal: a run is named by its seed, and a run of some minutes meets every fault there is. */
describe('the plan of a run under chaos', () => {
  const plan = (seed: number, seconds = 60) =>
    planOf({ seed, seconds, leaseMs: 5000, hasLink: true });

  it('is the same for the same seed, and another for another', () => {
    expect(plan(7)).to.deep.equal(plan(7));
    expect(plan(7)).to.not.deep.equal(plan(8));
  });

  it('has every kind of fault', () => {
    const kinds = new Set(plan(1, 300).map(({ kind }) => kind));
    expect([...kinds].toSorted()).to.deep.equal([...FAULT_KINDS].toSorted());
  });

  it('pulls no link where there is none', () => {
    const faults = planOf({ seed: 1, seconds: 300, leaseMs: 5000, hasLink: false });
    expect(faults.map(({ kind }) => kind)).to.not.include('link-pulled');
  });

  it('freezes for longer than the lease and its guard', () => {
    const stops = plan(3, 300).filter(({ kind }) => kind === 'stop');
    expect(stops).to.not.have.length(0);
    for (const { forMs } of stops) expect(forMs).to.be.greaterThan(5500);
  });
});

describe('the load of a run under chaos', () => {
  it('names every task once, and depends on what is there', () => {
    const graphs = new Graphs(new Seeded(5));
    const known: string[] = [];
    const kinds = new Set<string>();
    for (let count = 0; count < 200; count += 1) {
      const submission = graphs.next(known);
      kinds.add(submission.kind);
      const tasks = submission.kind === 'single' ? [submission.task] : submission.tasks;
      const there = new Set([...known, ...tasks.map(({ id }) => id)]);
      for (const { dependencies = [] } of tasks)
        expect([...there]).to.include.members([...dependencies]);
      known.push(...submission.ids);
    }
    expect(new Set(known).size).to.equal(known.length);
    expect([...kinds].toSorted()).to.deep.equal(['batch', 'single', 'workflow']);
  });
});
