import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { simulate, type SimulationResult } from './simulation.ts';

/**
 * Many seeds, on as many processes as are asked for. A seed that fails is told as soon as it does; the
 * sums are the same whatever the number of processes.
 */
export interface CampaignOptions {
  readonly from: number;
  /** Infinity: until `signal` aborts. */
  readonly seeds: number;
  readonly jobs: number;
  readonly signal?: AbortSignal;
  readonly onFault?: (result: Pick<SimulationResult, 'seed' | 'faults'>) => void;
  readonly onProgress?: (sum: CampaignSum) => void;
}

export interface CampaignSum {
  seeds: number;
  tasks: number;
  events: number;
  simulatedMs: number;
  /** Seeds that violated an invariant, in their order. */
  failed: number[];
  readonly counts: Map<string, number>;
}

type Report = Omit<SimulationResult, 'counts'> & { readonly counts: readonly [string, number][] };

export async function runCampaign(options: CampaignOptions): Promise<CampaignSum> {
  const sum: CampaignSum = {
    seeds: 0,
    tasks: 0,
    events: 0,
    simulatedMs: 0,
    failed: [],
    counts: new Map(),
  };
  let next = options.from;
  const take = (): number | undefined => {
    const isOver = next >= options.from + options.seeds || options.signal?.aborted === true;
    return isOver ? undefined : next++;
  };
  const add = (report: Report): void => {
    sum.seeds += 1;
    sum.tasks += report.tasks;
    sum.events += report.events;
    sum.simulatedMs += report.simulatedMs;
    for (const [what, count] of report.counts) {
      sum.counts.set(what, (sum.counts.get(what) ?? 0) + count);
    }
    if (report.faults.length > 0) {
      sum.failed.push(report.seed);
      options.onFault?.(report);
    }
    options.onProgress?.(sum);
  };
  if (options.jobs === 1) {
    for (let seed = take(); seed !== undefined; seed = take()) add(await reportOf(seed));
  } else {
    await Promise.all(Array.from({ length: options.jobs }, () => runJob(take, add)));
  }
  sum.failed = sum.failed.toSorted((a, b) => a - b);
  return sum;
}

async function reportOf(seed: number): Promise<Report> {
  const result = await simulate({ seed });
  return { ...result, counts: [...result.counts] };
}

async function runJob(
  take: () => number | undefined,
  add: (report: Report) => void,
): Promise<void> {
  const child = fork(new URL('./campaign-job.ts', import.meta.url), {
    execArgv: ['--import', 'tsx'],
  });
  const ended = once(child, 'exit') as Promise<[number | null]>;
  try {
    for (let seed = take(); seed !== undefined; seed = take()) add(await ask(child, ended, seed));
  } finally {
    child.disconnect();
    await ended;
  }
}

async function ask(
  child: ChildProcess,
  ended: Promise<[number | null]>,
  seed: number,
): Promise<Report> {
  const answer = once(child, 'message') as Promise<[Report]>;
  child.send(seed);
  const first = await Promise.race([answer, ended.then(([code]) => code)]);
  if (!Array.isArray(first))
    throw new Error(`seed ${String(seed)} ended its process: ${String(first)}`);
  return first[0];
}

/** The other side of `runJob`: a seed comes in, its result goes out. */
export function serveCampaign(): void {
  process.on('message', (seed: number) => {
    void reportOf(seed).then(
      (report) => process.send?.(report),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
}
