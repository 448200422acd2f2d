import type { Rig } from './rig.ts';
import type { Flow } from './flow.ts';
import type { PartReport } from './report.ts';
import { executionsIn, faultsIn, untilAllEnded } from './verdict.ts';
import type { Executions } from './verdict.ts';

/** How a part is run. */
export interface PartOptions {
  readonly count: number;
  /** The node as a built module; from the sources unless given. */
  readonly main: string | undefined;
  /** A line of progress. */
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  /** Tasks that wait while failovers are measured. */
  readonly queued: number;
}

export type Part = (options: PartOptions) => Promise<PartReport>;

const PATIENCE_MS = 180_000;

/** Runs a part on a rig; its logs are kept where it failed or missed something. */
export async function onRig(
  start: () => Promise<Rig>,
  say: (line: string) => void,
  run: (rig: Rig) => Promise<PartReport>,
): Promise<PartReport> {
  const rig = await start();
  let isKept = true;
  try {
    const report = await run(rig);
    isKept = report.faults.length + report.misses.length > 0;
    return report;
  } finally {
    if (isKept) say(`the logs of the nodes are in ${rig.logs}`);
    await rig.stop(isKept);
  }
}

export interface Ending {
  readonly faults: readonly string[];
  readonly executions: Executions;
}

/** Ends the flow, waits for the last task, and judges all of them. */
export async function judge(rig: Rig, flow: Flow): Promise<Ending> {
  await flow.stop();
  const hasEnded = await untilAllEnded(rig.ledger, PATIENCE_MS);
  const faults = await faultsIn(rig.ledger, flow.acknowledged);
  const executions = await executionsIn(rig.ledger);
  return {
    faults: [
      ...(hasEnded ? [] : ['not all tasks have ended']),
      ...(flow.acknowledged.length > 0 ? [] : ['nothing was acknowledged']),
      ...faults,
      ...flow.oddities.slice(0, 5),
    ],
    executions,
  };
}

/** One line of counts for a report. */
export function factsOf(flow: Flow, { leases, extra, unsent, charged, attempts }: Executions) {
  return {
    acknowledged: flow.acknowledged.length,
    leases,
    'extra executions': extra,
    'leases never sent': unsent,
    'charged attempts': charged,
    ...Object.fromEntries(
      Object.entries(attempts).map(([outcome, count]) => [`attempts ${outcome}`, count]),
    ),
  };
}
