import { systemClock } from '../node/base/clock.ts';
import type { NodeProcess } from './node-process.ts';

/** What GET /cluster says, as far as the launcher reads it. */
export interface ClusterView {
  readonly term: number;
  /** The leader's name. */
  readonly leader: string | null;
  readonly nodes: readonly {
    readonly name: string;
    readonly pid: number;
    readonly state: string;
  }[];
}

export interface Awaited {
  readonly process: NodeProcess;
  readonly httpUrl: string;
}

const READY_MS = 60_000;
const LOOK_MS = 50;
const ANSWER_MS = 2000;

/**
 * Waits until every node says that it is ready, and the cluster that it has a leader and all of them;
 * throws when a node ends before, or when a minute was not enough.
 */
export async function untilReady(
  nodes: readonly Awaited[],
  signal: AbortSignal,
): Promise<ClusterView> {
  const end = systemClock.monotonicMs() + READY_MS;
  for (;;) {
    signal.throwIfAborted();
    for (const { process: node } of nodes) {
      if (node.hasEnded()) throw new Error(`${node.name} ended at its start: ${await node.ended}`);
    }
    const view = await maybeWhole(nodes, signal);
    if (view !== undefined) return view;
    if (systemClock.monotonicMs() > end) throw new Error('the cluster was not ready in a minute');
    await systemClock.sleep(LOOK_MS, signal);
  }
}

async function maybeWhole(
  nodes: readonly Awaited[],
  signal: AbortSignal,
): Promise<ClusterView | undefined> {
  const ready = await Promise.all(nodes.map(({ httpUrl }) => isReady(httpUrl, signal)));
  const first = nodes[0];
  if (first === undefined || ready.includes(false)) return undefined;
  const view = await clusterAt(first.httpUrl, signal);
  if (view?.leader === undefined || view.leader === null) return undefined;
  const alive = view.nodes.filter((node) => node.state === 'alive');
  // By name and process: rows of nodes that were killed earlier may still be there.
  const all = nodes.every(({ process: { name, pid } }) =>
    alive.some((node) => node.name === name && node.pid === pid),
  );
  return all && alive.some((node) => node.name === view.leader) ? view : undefined;
}

async function isReady(httpUrl: string, signal: AbortSignal): Promise<boolean> {
  return (await maybeGet(`${httpUrl}/readyz`, signal))?.status === 200;
}

export async function clusterAt(
  httpUrl: string,
  signal: AbortSignal,
): Promise<ClusterView | undefined> {
  const answer = await maybeGet(`${httpUrl}/cluster`, signal);
  if (answer?.status !== 200) return undefined;
  return JSON.parse(answer.body) as ClusterView;
}

async function maybeGet(
  url: string,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: string } | undefined> {
  try {
    const answer = await fetch(url, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    return { status: answer.status, body: await answer.text() };
  } catch {
    return undefined;
  }
}
