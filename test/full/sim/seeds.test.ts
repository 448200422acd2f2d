import { expect } from 'chai';
import { runCampaign } from '../../sim/campaign.ts';

// Goal: as test/sim/simulation.test.ts, over more seeds, and over some that nobody has seen before.
describe('the simulation at length', function () {
  this.timeout(1_200_000);

  it('violates no invariant in 1,000 seeds', async () => {
    const sum = await runCampaign({ from: 201, seeds: 1000, jobs: 2 });
    expect(sum.failed).to.deep.equal([]);
    expect(sum.seeds).to.equal(1000);
  });

  it('violates no invariant in 50 fresh seeds', async () => {
    const from = 1_000_000 + Math.floor(Math.random() * 1_000_000_000);
    console.log(`      seeds from ${String(from)}`);
    const sum = await runCampaign({ from, seeds: 50, jobs: 2 });
    expect(sum.failed).to.deep.equal([]);
  });
});
