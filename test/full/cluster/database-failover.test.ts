import { expect } from 'chai';
import { systemClock } from '../../../node/base/clock.ts';
import { migrate } from '../../../node/store/migrate.ts';
import { clientOf, PATIENCE_MS, until } from '../../cluster/setup.ts';
import { startCluster, type TestCluster } from '../../support/cluster.ts';
import { startReplicas, type Replica, type Replicas } from '../../support/replicas.ts';

/**
 * Goal: PostgreSQL fails over, and of what the standby had nothing is lost, run out of order, or
 * accepted a second time. Method: three real nodes under load, each with a proxy before a real primary
 * and its streaming standby. The primary is killed, or frozen and woken after the standby was promoted;
 * then the tables of the new primary are compared with what clients had been told.
 */
const NODES = ['node-1', 'node-2', 'node-3'];
const SLOTS = 8;
const CHILDREN = 4;

describe('a cluster outlives its primary', function () {
  this.timeout(2 * PATIENCE_MS);
  let servers: Replicas;
  let cluster: TestCluster;
  let load: Load;

  beforeEach(async () => {
    servers = await startReplicas((databaseUrl) => migrate({ databaseUrl }));
    cluster = await startCluster({
      slots: SLOTS,
      databaseUrl: servers.primary.url,
      proxied: true,
      simulate: true,
    });
    load = new Load(cluster);
  });

  afterEach(async () => {
    await load.stop();
    await cluster.stop();
    await servers.stop();
  });

  const switchOver = (): void => {
    for (const node of cluster.nodes) node.database.leadTo(servers.standby);
  };

  it('kill -9 of the primary, with a synchronous standby: all that was acknowledged is done', async () => {
    await servers.makeSynchronous();
    const old = await factsOf(servers.primary);
    load.start();
    await load.untilSeenCompleted(200);
    // What a primary shows while it dies, its standby may not have confirmed.
    const seen = load.completed();
    await servers.primary.signalAll('SIGKILL');
    switchOver();
    await servers.promote();
    await untilAllAnew(servers.standby, old);
    await load.untilSeenCompleted(seen.size + 200);
    await load.stop();
    await expectAllDone(servers.standby, load, old, seen);
    console.log(`      first task of the new era ${await msUntilFirstLease(servers.standby, old)}`);
  });

  it('the primary frozen, and woken after the promotion: every node leaves it', async () => {
    await servers.makeSynchronous();
    const old = await factsOf(servers.primary);
    load.start();
    await load.untilSeenCompleted(200);
    const seen = load.completed();
    await servers.primary.signalAll('SIGSTOP');
    switchOver();
    await servers.promote();
    await servers.primary.signalAll('SIGCONT');
    await untilAllAnew(servers.standby, old);
    await untilLeft(servers.primary);
    await load.untilSeenCompleted(seen.size + 200);
    await load.stop();
    await expectAllDone(servers.standby, load, old, seen);
  });

  it('a standby that lags: what it had is done, and the next term is above the lost ones', async () => {
    load.start();
    await load.untilSeenCompleted(200);
    await load.stop();
    await until(
      async () => ((await factsOf(servers.primary)).unfinished === 0 ? true : undefined),
      'all',
    );
    await servers.untilCaughtUp();
    const had = await factsOf(servers.standby);
    const seen = load.completed();
    servers.replication.pause();
    // Terms, and a task, that the standby will never hear of.
    for (let terms = 0; terms < 2; terms += 1) await cluster.restart(await cluster.leader());
    await clientOf(cluster).submitTask({ id: 'lost', type: 'sleep', duration_ms: 1 });
    const old = await factsOf(servers.primary);
    expect(old.term).to.be.at.least(had.term + 2);
    await servers.primary.signalAll('SIGKILL');
    servers.replication.cutAll();
    switchOver();
    await servers.promote();
    await untilAllAnew(servers.standby, { ...old, nodes: [...old.nodes, ...had.nodes] });
    load = new Load(cluster, 'again');
    load.start();
    await load.untilSeenCompleted(100);
    await load.stop();
    await expectAllDone(servers.standby, load, old, seen);
    const lost = await servers.standby.ask(`select from skein.task where id = 'lost'`);
    expect(lost).to.deep.equal([]);
  });
});

/** Submits small graphs without pause, and reads how they end; keeps what it was told. */
class Load {
  /** All and only the ids whose submit was answered 201. */
  readonly acknowledged = new Set<string>();
  private readonly ended = new Map<string, string>();
  private readonly cluster: TestCluster;
  private readonly prefix: string;
  private readonly stopping = new AbortController();
  private running: Promise<unknown> = Promise.resolve();
  private submitted = 0;

  constructor(cluster: TestCluster, prefix = 'load') {
    this.cluster = cluster;
    this.prefix = prefix;
  }

  start(): void {
    this.running = Promise.all([
      ...this.cluster.nodes.map((node) => this.keepSubmitting(node.url)),
      this.keepReading(),
    ]);
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  /** When each ended, by what clients were told so far. */
  completed(): ReadonlyMap<string, string> {
    return new Map(this.ended);
  }

  async untilSeenCompleted(count: number): Promise<void> {
    await until(
      () => Promise.resolve(this.ended.size >= count ? true : undefined),
      `${String(count)} tasks seen completed`,
    );
  }

  /** A parent and its children, all or nothing; an answer that is not 201 promises nothing. */
  private async keepSubmitting(url: string): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      this.submitted += 1;
      const id = `${this.prefix}-${String(this.submitted)}`;
      const task = { type: 'work', duration_ms: 20 };
      const graph = Array.from({ length: CHILDREN }, (_, child) => ({
        ...task,
        id: `${id}-${String(child)}`,
        dependencies: [id],
      }));
      const answer = await post(`${url}/tasks/batch`, [{ ...task, id }, ...graph]);
      if (answer === 201) for (const one of [{ id }, ...graph]) this.acknowledged.add(one.id);
      else await systemClock.sleep(20);
    }
  }

  private async keepReading(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      for (const { url } of this.cluster.nodes) {
        const answer = await fetch(`${url}/tasks?status=COMPLETED`).catch(() => undefined);
        if (answer?.ok !== true) continue;
        const page = (await answer.json()) as { id: string; finished_at: string }[];
        for (const { id, finished_at } of page) this.ended.set(id, finished_at);
      }
      await systemClock.sleep(20);
    }
  }
}

async function post(url: string, body: unknown): Promise<number | undefined> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }).catch(() => undefined);
  await answer?.arrayBuffer().catch(() => undefined);
  return answer?.status;
}

interface Facts {
  readonly term: number;
  readonly nodes: readonly number[];
  readonly unfinished: number;
}

async function factsOf(server: Replica): Promise<Facts> {
  const [facts] = await server.ask<Facts>(
    `select (select term::int from skein.term) as term,
      array(select node_id::int from skein.node) as nodes,
      (select count(*)::int from skein.live) as unfinished`,
  );
  if (facts === undefined) throw new Error('the server says nothing');
  return facts;
}

/** Every node has registered on this server under a number that was nobody's before. */
async function untilAllAnew(server: Replica, old: Facts): Promise<void> {
  await until(async () => {
    const rows = await server.ask<{ node_id: number; name: string }>(
      `select node_id::int, name from skein.node
       where state = 'alive' and lease_until > clock_timestamp() order by name`,
    );
    const anew = rows.filter((row) => !old.nodes.includes(row.node_id)).map((row) => row.name);
    return anew.join() === NODES.join() ? true : undefined;
  }, 'new numbers of all nodes');
}

/** From the promotion, as the new primary has it, to the first task that one of the new lives ran. */
async function msUntilFirstLease(server: Replica, old: Facts): Promise<string> {
  const [row] = await server.ask<{ ms: number | null }>(
    `select extract(epoch from min(started_at) -
        (select min(started_at) from skein.node where node_id <> all (array[${old.nodes.join()}])))
      * 1000 as ms
     from skein.task where node_id <> all (array[${old.nodes.join()}])`,
  );
  return `${String(Math.round(Number(row?.ms)))} ms after the first new number`;
}

/** A backend that waits for the standby to confirm a commit cannot notice that its client has left. */
async function untilLeft(server: Replica): Promise<void> {
  await until(async () => {
    const rows = await server.ask(
      `select application_name, state, wait_event, query from pg_stat_activity
       where application_name like 'skein/%' and wait_event is distinct from 'SyncRep'`,
    );
    return rows.length === 0 ? true : undefined;
  }, 'the last session of a node on the old primary');
}

/**
 * All that was acknowledged completes, each once and after its parent, under a term above the old; and
 * what a client had seen completed is as it was seen: it was not accepted anew.
 */
async function expectAllDone(
  server: Replica,
  load: Load,
  old: Facts,
  seen: ReadonlyMap<string, string>,
): Promise<void> {
  await until(
    async () => ((await factsOf(server)).unfinished === 0 ? true : undefined),
    'the end of all',
  );
  const tasks = await server.ask<{ id: string; status: number; attempt: number; finished: Date }>(
    'select id, status::int, attempt::int, finished_at as finished from skein.task',
  );
  const byId = new Map(tasks.map((task) => [task.id, task]));
  expect(load.acknowledged.size).to.be.greaterThan(0);
  expect([...load.acknowledged].filter((id) => !byId.has(id))).to.deep.equal([]);
  const odd = tasks.filter(({ status, attempt }) => status !== 1 || attempt !== 1);
  expect(odd).to.deep.equal([]);
  const changed = [...seen].filter(
    ([id, finishedAt]) => byId.get(id)?.finished.toISOString() !== finishedAt,
  );
  expect(changed).to.deep.equal([]);
  const early = await server.ask(
    `select child.id from skein.task child
     join skein.task parent on parent.id = any (child.dependencies)
     where child.started_at < parent.finished_at`,
  );
  expect(early).to.deep.equal([]);
  expect((await factsOf(server)).term).to.be.greaterThan(old.term);
}
