import { expect } from 'chai';
import { runCampaign } from './campaign.ts';
import { simulate } from './simulation.ts';

/**
 * Goal: nothing is lost, nothing accepted twice, nothing started early, nothing stuck, whatever happens.
 * Method: the real roles in a simulated world (simulation.ts). Seeds 1 to 200 are run here, more by the
 * full tests; a seed that fails is named, and `npm run simulate -- --seed N` replays it. That the checks
 * can fail is shown by the mutants (test/mutants).
 */
describe('the simulation', function () {
  this.timeout(600_000);

  it('violates no invariant in 200 seeds, and generates what it is meant to', async () => {
    const sum = await runCampaign({ from: 1, seeds: 200, jobs: 2 });
    expect(sum.failed).to.deep.equal([]);
    expect(sum.seeds).to.equal(200);
    const generated = (what: string): number => sum.counts.get(what) ?? 0;
    for (const what of MUST_BE_GENERATED) {
      expect(generated(what), what).to.be.greaterThan(0);
    }
  });

  it('does the same again for the same seed, to the last line', async () => {
    for (const seed of [3, 17]) {
      const first = await traceOf(seed);
      expect(first.length).to.be.greaterThan(100);
      expect(await traceOf(seed)).to.deep.equal(first);
    }
  });
});

/** What the simulation is there for: a run that never meets these proves nothing. */
const MUST_BE_GENERATED = [
  'Leadership was lost.',
  'A node was lost.',
  'Leases were taken back.',
  'Ended tasks were revived.',
  'This life of the node is over; it begins anew.',
  'Outcomes could not be committed yet.',
  'added',
  'added before',
  'a lease was refused by its guard',
  'a row of live had changed under a statement',
  'a write was refused by the fence',
  'an answer was lost',
  'an outcome was refused by its guard',
  'an unknown commit was looked up',
  'ran in a process of its own',
  'submit found stored',
  'ended 1',
  'ended 2',
  'ended 3',
  'ended 4',
];

async function traceOf(seed: number): Promise<readonly string[]> {
  const lines: string[] = [];
  await simulate({
    seed,
    trace: (line) => {
      lines.push(line);
    },
  });
  return lines;
}
