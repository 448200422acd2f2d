import { expect } from 'chai';
import { runChaos } from '../../chaos/run.ts';

// Goal: under faults of every kind nothing that was acknowledged is lost, nothing is accepted twice,
// early, or never. Method: one run of a fixed seed over real processes; the checker reads what they
// wrote down. More seeds: npm run chaos.
describe('a cluster under chaos', function () {
  this.timeout(300_000);

  it('keeps every promise through 25 s of faults', async () => {
    const report = await runChaos(
      { seed: 1, seconds: 25, nodes: 4, leaseMs: 5000, keep: false, say: console.log },
      new AbortController().signal,
    );
    const { violations, examples, oddities, kept, tasks, load } = report;
    expect(examples, `kept in ${String(kept)}`).to.deep.equal([]);
    expect(oddities, `kept in ${String(kept)}`).to.deep.equal([]);
    expect(Object.values(violations).every((count) => count === 0)).to.equal(true);
    expect(tasks.stored).to.be.at.least(load.acknowledged);
    // Without work and faults, none of it would have shown anything.
    expect(load.acknowledged).to.be.greaterThan(0);
    expect(tasks.terms).to.be.greaterThan(0);
    expect(Object.values(report.faults).length).to.be.greaterThan(5);
  });
});
