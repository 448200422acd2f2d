import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import pg from 'pg';
import { systemClock } from '../../node/base/clock.ts';
import { checkRun, scheduledTasksOf } from '../../node/cli/check-run.ts';
import { workflowOfWfFormat } from '../../node/cli/wfformat.ts';
import { SkeinClient } from '../../node/client/client.ts';
import { idealMakespanMs } from '../../node/core/ideal-schedule.ts';
import type { TestCluster } from '../support/cluster.ts';

/** Far above what any of these runs needs; a machine that is busy is no failure. */
export const PATIENCE_MS = 120_000;

const DATA = new URL('../data/wfinstances/', import.meta.url);

export const WORKFLOWS = [
  { file: 'epigenomics-chameleon-hep-1seq-100k-001.json', tasks: 41, edges: 48 },
  { file: 'seismology-chameleon-100p-001.json', tasks: 101, edges: 100 },
  { file: 'montage-chameleon-2mass-01d-001.json', tasks: 103, edges: 231 },
  { file: 'montage-chameleon-2mass-05d-001.json', tasks: 1738, edges: 4698 },
] as const;

export function clientOf(cluster: TestCluster): SkeinClient {
  const urls = cluster.nodes.filter((node) => !node.hasEnded()).map((node) => node.url);
  return new SkeinClient({ urls, timeoutMs: PATIENCE_MS });
}

/** Submits a recorded workflow under an id; its tasks sleep for their recorded time, scaled. */
export async function submitRecorded(
  client: SkeinClient,
  file: string,
  id: string,
  timeScale: number,
): Promise<void> {
  const recorded: unknown = JSON.parse(await readFile(new URL(file, DATA), 'utf8'));
  await client.submitWorkflow({ ...workflowOfWfFormat(recorded, { timeScale }), id });
}

/** The nodes that answer may change meanwhile. */
export async function untilWorkflowEnds(client: SkeinClient, id: string): Promise<string> {
  return (await client.waitForWorkflow(id, { timeoutMs: PATIENCE_MS })).status;
}

export async function until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const untilMs = systemClock.monotonicMs() + PATIENCE_MS;
  while (systemClock.monotonicMs() < untilMs) {
    const found = await look();
    if (found !== undefined) return found;
    await systemClock.sleep(50);
  }
  throw new Error(`waited in vain for ${what}`);
}

/** Every task completed, every edge was respected; answers the makespan and its ideal. */
export async function expectRightRun(
  client: SkeinClient,
  id: string,
  sizes: { readonly tasks: number; readonly edges: number },
  slots: number,
): Promise<{ readonly makespanMs: number; readonly idealMs: number }> {
  const graph = await client.getWorkflowGraph(id);
  const check = checkRun(graph);
  expect(check.notCompleted).to.deep.equal([]);
  expect(check.violations).to.deep.equal([]);
  expect([check.tasks, check.edges]).to.deep.equal([sizes.tasks, sizes.edges]);
  const idealMs = idealMakespanMs(scheduledTasksOf(graph), slots);
  return { makespanMs: check.makespanMs ?? NaN, idealMs };
}

/** Reads the cluster's own tables, which is what the tests judge by. */
export async function withDatabase<T>(
  cluster: TestCluster,
  read: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: cluster.databaseUrl });
  await client.connect();
  try {
    return await read(client);
  } finally {
    await client.end();
  }
}

/** Lost leases by the name of their node. */
export function lostLeasesByNode(cluster: TestCluster): Promise<ReadonlyMap<string, number>> {
  return withDatabase(cluster, async (client) => {
    const { rows } = await client.query<{ name: string; count: number }>(
      `select n.name, count(*)::int as count
       from skein.attempt a join skein.node n using (node_id)
       where a.outcome = 'lost' group by n.name`,
    );
    return new Map(rows.map(({ name, count }) => [name, count]));
  });
}
