import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../node/base/clock.ts';
import { runIdOf } from '../../node/core/schedule.ts';
import { until, withDatabase } from '../cluster/setup.ts';
import type { TestCluster } from '../support/cluster.ts';

/** A node whose tasks can run in a process of their own, as they do when their first lease is lost. */
export const NODE = fileURLToPath(new URL('../outages/node-entry.ts', import.meta.url));

/**
 * Schedules that fire every second for a while, on a cluster whose leader is killed around the full
 * seconds, again and again. What must come of it: one run of each fire, and nothing else.
 */
export interface Plan {
  readonly tasks: number;
  readonly workflows: number;
  /** Fires of each. */
  readonly seconds: number;
}

const SECOND = 1000;
/** Between the first submit and the first fire. */
const AHEAD_MS = 2000;
/** When the leader is killed, from a full second on: before, at and after the commit of its fires. */
const OFFSETS_MS = [-150, 0, 4, 8, 12, 20, 40, 150];

/** Answers how many leaders were killed. */
export async function fireAmidKills(cluster: TestCluster, plan: Plan): Promise<number> {
  const first = await storeSchedules(cluster, plan);
  const last = first + (plan.seconds - 1) * SECOND;
  const reviving: Promise<unknown>[] = [];
  let kills = 0;
  for (let soon = first; soon <= last; soon = Math.ceil((Date.now() + 200) / SECOND) * SECOND) {
    const offset = OFFSETS_MS[kills % OFFSETS_MS.length] ?? 0;
    await systemClock.sleep(Math.max(0, soon + offset - Date.now()));
    const leader = await cluster.leader();
    await cluster.kill(leader);
    kills += 1;
    reviving.push(cluster.revive(leader).then(() => cluster.ready(leader)));
    // One of three is left to lead.
    if (reviving.length === 2) await reviving.shift();
  }
  await Promise.all(reviving);
  await expectOneRunEach(cluster, plan, first, last);
  return kills;
}

async function storeSchedules(cluster: TestCluster, plan: Plan): Promise<number> {
  const first = Math.ceil((Date.now() + AHEAD_MS) / SECOND) * SECOND;
  const endsAt = new Date(first + (plan.seconds - 1) * SECOND).toISOString();
  const times = { starts_at: new Date(first).toISOString(), ends_at: endsAt, catch_up: 'all' };
  const tasks = [
    { id: 'a', type: 'noop' },
    { id: 'b', type: 'noop', dependencies: ['a'] },
  ];
  const bodies = [
    ...Array.from({ length: plan.tasks }, () => ({ task: { type: 'noop' } })),
    ...Array.from({ length: plan.workflows }, () => ({ workflow: { tasks } })),
  ];
  for (const [at, body] of bodies.entries()) {
    const node = cluster.nodes[at % cluster.nodes.length];
    const response = await fetch(`${node?.url ?? ''}/schedules/s${String(at)}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ cron: '* * * * * *', ...times, ...body }),
    });
    expect(response.status, await response.text()).to.equal(201);
  }
  expect(Date.now(), 'the schedules were stored in time').to.be.below(first);
  return first;
}

async function expectOneRunEach(
  cluster: TestCluster,
  { tasks, workflows }: Plan,
  first: number,
  last: number,
): Promise<void> {
  const expected: string[] = [];
  for (let at = 0; at < tasks + workflows; at++) {
    for (let ms = first; ms <= last; ms += SECOND) {
      const run = runIdOf(`s${String(at)}`, ms);
      if (at < tasks) expected.push(run);
      else expected.push(`${run}/a`, `${run}/b`);
    }
  }
  await withDatabase(cluster, async (database) => {
    const ended = await until(
      async () => {
        const { rows } = await database.query<{
          id: string;
          status: number | null;
          error: object | null;
        }>('select id, status, error from skein.task');
        const isAll = rows.length >= expected.length && rows.every(({ status }) => status !== null);
        return isAll ? rows : undefined;
      },
      `the end of ${String(expected.length)} tasks`,
    );
    expect(ended.filter(({ status }) => status !== 1)).to.deep.equal([]);
    expect(ended.map(({ id }) => id).sort()).to.deep.equal(expected.sort());
    const { rows } = await database.query(
      'select id from skein.schedule where next_fire_at is not null or missed + skipped > 0',
    );
    expect(rows).to.deep.equal([]);
  });
}
