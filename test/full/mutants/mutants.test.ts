import { expect } from 'chai';
import { MUTANTS } from '../../mutants/list.ts';
import { runMutants } from '../../mutants/run.ts';

/**
 * Goal: every seeded bug of the protocol is noticed. Method: what `npm run mutants` does, whole; its
 * lanes share the cores, and each killer is bounded by limits of its own.
 */
describe('the mutants of the protocol', () => {
  it('are all killed, by killers that are sound without them', async function () {
    this.timeout(12 * 60_000);
    const faults: string[] = [];
    const left: string[] = [];
    await runMutants({
      mutants: MUTANTS,
      lanes: 2,
      signal: new AbortController().signal,
      onFault: (fault) => faults.push(fault),
      onResult: ({ mutant, verdict }) => {
        const { kind, by } = verdict;
        if (kind !== 'killed') left.push(`${mutant.name}: ${kind}, ${by}`);
      },
    });
    expect({ faults, left }).to.deep.equal({ faults: [], left: [] });
  });
});
