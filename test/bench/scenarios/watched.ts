import { once } from 'node:events';
import { WebSocket } from 'ws';
import { systemClock } from '../../../node/base/clock.ts';
import { cpuOfFamily } from '../machine.ts';
import { grouped, onRig } from '../measure.ts';
import type { Reading, Scenario } from '../measure.ts';
import { batchesOf, postAll } from '../poster.ts';
import { lastSeq, prove } from '../proof.ts';
import type { Rig } from '../rig.ts';
import { drain } from './drain.ts';

/**
 * What it costs that people watch: 200 clients of `/ws` at one node, over four views, while the cluster
 * drains as fast as it can, and while 5,000 tasks a second come and go. Each is measured with and without
 * them, in turns. The clients are on the same machine and parse nothing; what they read costs it too.
 */
export const WATCHED: Scenario = {
  name: 'watched',
  what: '200 clients of the live protocol at one node, beside nobody',
  measure: (options) =>
    onRig(options, {}, async (rig, round) => {
      if (round === 0) await submitGraph(rig);
      const runs = {} as Record<'alone' | 'watched', Costs>;
      const order =
        round % 2 === 0 ? (['alone', 'watched'] as const) : (['watched', 'alone'] as const);
      for (const who of order) {
        const audience = who === 'watched' ? await Audience.gather(rig.urls[0] ?? '') : undefined;
        try {
          runs[who] = await costs(rig, options.tasks, `${who}-${String(round)}`, audience);
        } finally {
          audience?.leave();
        }
      }
      return readingsOf(runs.alone, runs.watched, options.tasks);
    }),
};

const CLIENTS = 200;
const GRAPH = 'watched-graph';
/** As large as the largest workflow among the recorded ones. */
const GRAPH_TASKS = 1738;
const VIEWS = [
  { view: 'overview' },
  { view: 'tasks' },
  { view: 'nodes' },
  { view: 'workflow', id: GRAPH },
];
const PACE_TASKS_A_SECOND = 5000;
const PACED_TASKS = 50_000;
const BATCH = 1000;

interface Costs {
  readonly drainRate: number;
  /** Of all processes of the cluster, and of the node that serves, while 5,000 tasks a second come. */
  readonly pacedCpu: number;
  readonly servingCpu: number;
  /** From a task's submit to its end, at the median. */
  readonly pacedMs: number;
  readonly bytesASecond: number;
}

/** Clients that count the bytes they get. */
class Audience {
  bytes = 0;
  private readonly sockets: readonly WebSocket[];

  static async gather(url: string): Promise<Audience> {
    const sockets = Array.from(
      { length: CLIENTS },
      () => new WebSocket(`${url.replace('http', 'ws')}/ws`),
    );
    await Promise.all(sockets.map((socket) => once(socket, 'open')));
    const audience = new Audience(sockets);
    // Until each has its first view.
    await systemClock.sleep(2000);
    return audience;
  }

  private constructor(sockets: readonly WebSocket[]) {
    this.sockets = sockets;
    for (const [at, socket] of sockets.entries()) {
      socket.on('message', (data: Buffer) => {
        this.bytes += data.length;
      });
      const to = VIEWS[at % VIEWS.length];
      socket.send(JSON.stringify({ type: 'subscribe', sub: 'a', to }));
    }
  }

  leave(): void {
    for (const socket of this.sockets) socket.terminate();
  }
}

/** It waits for a time that does not come. */
async function submitGraph(rig: Rig): Promise<void> {
  const run_at = new Date(Date.now() + 24 * 3_600_000).toISOString();
  const tasks = Array.from({ length: GRAPH_TASKS }, (_, at) => ({
    ...{ id: `t${String(at)}`, type: 'noop', run_at },
    dependencies: at < 10 ? [] : [`t${String(Math.floor(at / 10))}`],
  }));
  await rig.client().submitWorkflow({ id: GRAPH, tasks });
}

async function costs(
  rig: Rig,
  tasks: number,
  name: string,
  audience: Audience | undefined,
): Promise<Costs> {
  const { value: drainRate } = await drain(rig, { tasks, name, waiting: GRAPH_TASKS });
  const afterSeq = await lastSeq(rig);
  const count = Math.min(PACED_TASKS, tasks);
  const requests = batchesOf(
    Array.from({ length: count }, (_, at) => ({ id: `${name}-paced-${String(at)}`, type: 'noop' })),
  );
  const [serving] = rig.cluster.nodes;
  const servingPid = serving?.pid ?? 0;
  const before = { bytes: audience?.bytes ?? 0, serving: cpuOfFamily(servingPid) };
  let serves = NaN;
  const cost = await rig.cost(async () => {
    const begunMs = performance.now();
    for (const [at, request] of requests.entries()) {
      const dueMs = begunMs + (at * BATCH * 1000) / PACE_TASKS_A_SECOND;
      await systemClock.sleep(Math.max(0, dueMs - performance.now()));
      await postAll(rig.urls.slice(at % rig.urls.length), 1, [request]);
    }
    await rig.untilGone(afterSeq);
    serves = cpuOfFamily(servingPid) - before.serving;
    return (performance.now() - begunMs) / 1000;
  });
  await prove(rig, afterSeq, count, GRAPH_TASKS);
  const { postgres, leader, others } = cost.cpu;
  return {
    drainRate,
    pacedCpu: (postgres + leader + others) / cost.seconds,
    servingCpu: serves / cost.seconds,
    pacedMs: (await rig.numbers(MEDIAN_MS, [afterSeq]))[0] ?? NaN,
    bytesASecond: ((audience?.bytes ?? 0) - before.bytes) / cost.seconds,
  };
}

const MEDIAN_MS = `
select percentile_cont(0.5) within group (order by extract(epoch from finished_at - created_at) * 1000)
from skein.task where seq > $1`;

function readingsOf(alone: Costs, watched: Costs, tasks: number): readonly Reading[] {
  const drained = `drain of ${grouped(tasks)} tasks`;
  const paced = `${grouped(PACE_TASKS_A_SECOND)} tasks a second`;
  const share = (value: number): number => value * 100;
  return [
    { what: `${drained}, nobody watches`, unit: 'tasks/s', value: alone.drainRate },
    { what: `${drained}, 200 clients`, unit: 'tasks/s', value: watched.drainRate },
    { what: 'the second by the first', unit: 'times', value: watched.drainRate / alone.drainRate },
    {
      what: `${paced}, nobody watches, cluster`,
      unit: '% of a core',
      value: share(alone.pacedCpu),
    },
    { what: `${paced}, 200 clients, cluster`, unit: '% of a core', value: share(watched.pacedCpu) },
    {
      ...{ what: `${paced}, a client, at its node`, unit: '% of a core' },
      value: share(watched.servingCpu - alone.servingCpu) / CLIENTS,
    },
    { what: `${paced}, submit to end, nobody watches`, unit: 'ms', value: alone.pacedMs },
    { what: `${paced}, submit to end, 200 clients`, unit: 'ms', value: watched.pacedMs },
    {
      ...{ what: `${paced}, sent to a client each second`, unit: 'bytes' },
      value: watched.bytesASecond / CLIENTS,
    },
  ];
}
