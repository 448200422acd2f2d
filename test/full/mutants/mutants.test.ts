import { expect } from 'chai';
import { MUTANTS } from '../../mutants/list.ts';
import { runMutants } from '../../mutants/run.ts';

/**
 * Goal: every seeded bug of the protocol is noticed. Method: what `npm run mutants` does, with a sixth of
 * the list, another one each day, because all of it takes longer than all other tests together; its lanes
 * share the cores, and each killer is bounded by limits of its own.
 */
const SHARES = 6;
const DAY_MS = 86_400_000;

describe('the mutants of the protocol', () => {
  it('are killed, by killers that are sound without them', async function () {
    this.timeout(12 * 60_000);
    const share = Math.floor(Date.now() / DAY_MS) % SHARES;
    console.log(`      share ${String(share + 1)} of ${String(SHARES)}`);
    const faults: string[] = [];
    const left: string[] = [];
    await runMutants({
      mutants: MUTANTS.filter((_, at) => at % SHARES === share),
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
