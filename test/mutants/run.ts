import { Judge, type Baseline, type Verdict } from './judge.ts';
import { isTestKiller, type Killer, type Mutant } from './mutant.ts';
import { Server } from './server.ts';

export interface Result {
  readonly mutant: Mutant;
  readonly killer: Killer;
  readonly verdict: Verdict;
}

export interface RunOptions {
  readonly mutants: readonly Mutant[];
  /** Copies of the sources, in which as many mutants are tried at once. */
  readonly lanes: number;
  readonly signal: AbortSignal;
  /** What is wrong with the killers themselves, before the first result. */
  readonly onFault: (fault: string) => void;
  /** In the order of the list. */
  readonly onResult: (result: Result) => void;
}

/** Resolves to whether every killer has killed its mutant. Leaves nothing behind, also when aborted. */
export async function runMutants(options: RunOptions): Promise<boolean> {
  const { mutants, lanes, signal, onFault, onResult } = options;
  const trials = mutants.flatMap((mutant) => mutant.killedBy.map((killer) => ({ mutant, killer })));
  const killers = trials.map(({ killer }) => killer);
  const tests = [...new Set(killers.filter(isTestKiller).map(({ test }) => test))];
  const seeds = Math.max(0, ...killers.map((killer) => (isTestKiller(killer) ? 0 : killer.seeds)));
  const baseline: Baseline = { tests: new Map(), seeds: 0, faults: [] };
  const server = await Server.open();
  const judges: Judge[] = [];
  try {
    for (let lane = 1; lane <= lanes; lane++) {
      judges.push(await Judge.open(server, `mutants_${String(lane)}`, signal));
    }
    const soundness = tests.map((test) => (judge: Judge) => judge.addTests(baseline, test));
    if (seeds > 0) soundness.unshift((judge) => judge.addSeeds(baseline, seeds));
    await inLanes(judges, soundness, () => undefined);
    for (const fault of baseline.faults) onFault(fault);
    const work = trials.map(({ mutant, killer }) => async (judge: Judge): Promise<Result> => {
      return { mutant, killer, verdict: await judge.judge(mutant, killer, baseline) };
    });
    const results = await inLanes(judges, work, onResult);
    return results.every(({ verdict }) => verdict.kind === 'killed');
  } finally {
    await Promise.all(judges.map((judge) => judge.close()));
    await server.close();
  }
}

/** Each lane takes the next piece of work; what comes of them is given out in their order. */
async function inLanes<T>(
  judges: readonly Judge[],
  work: readonly ((judge: Judge) => Promise<T>)[],
  onDone: (result: T) => void,
): Promise<readonly T[]> {
  const results: T[] = [];
  const done = new Map<number, T>();
  let next = 0;
  const runLane = async (judge: Judge): Promise<void> => {
    for (let at = next++; at < work.length; at = next++) {
      done.set(at, await (work[at] as (judge: Judge) => Promise<T>)(judge));
      while (done.has(results.length)) {
        const result = done.get(results.length) as T;
        results.push(result);
        onDone(result);
      }
    }
  };
  const lanes = await Promise.allSettled(judges.map(runLane));
  for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason;
  return results;
}
