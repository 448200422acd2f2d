import type { ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { systemClock } from '../../node/base/clock.ts';
import { spawnNode } from '../../scripts/node-process.ts';
import type { NodeProcess } from '../../scripts/node-process.ts';
import { clusterAt, untilReady } from '../../scripts/readiness.ts';
import type { ClusterView } from '../../scripts/readiness.ts';
import { guard } from './guard.ts';
import { createTestDatabase } from './postgres.ts';

/**
 * A cluster of real processes for tests: `skein node` from the sources, each on free ports, all on a
 * database of their own unless one is named. Whatever a test does to it, `stop` leaves nothing.
 */
export interface ClusterOptions {
  readonly nodes?: number;
  readonly slots?: number;
  readonly databaseUrl?: string;
  readonly simulate?: boolean;
  /** For every node, as on the command line: `['--lease-ms', '5000']`. */
  readonly extraFlags?: readonly string[];
}

export interface TestNode {
  readonly name: string;
  readonly pid: number;
  /** Of REST, without a slash at the end. */
  readonly url: string;
  readonly process: ChildProcess;
  hasEnded(): boolean;
  /** All that it logged so far: JSON lines, and whatever a crash left. */
  log(): Promise<string>;
}

export interface TestCluster {
  /** In the order of their start; those that were killed stay in it. */
  readonly nodes: readonly TestNode[];
  readonly databaseUrl: string;
  /** By its name; throws where there is none of that name. */
  node(name: string): TestNode;
  /** What the first node that lives says. */
  view(): Promise<ClusterView>;
  /** The name of the leader, as soon as it is a node whose process lives. */
  leader(): Promise<string>;
  /** Sends a signal; one that ends a process is waited for. */
  kill(name: string, signal?: NodeJS.Signals): Promise<void>;
  /** One more node, ready. */
  add(): Promise<TestNode>;
  /** Drains what lives, kills what does not listen, and drops the database if it made it. */
  stop(): Promise<void>;
}

const PATIENCE_MS = 60_000;
const DRAIN_MS = 10_000;
const LOOK_MS = 25;
const ENDING: ReadonlySet<NodeJS.Signals> = new Set(['SIGKILL', 'SIGTERM', 'SIGINT']);

export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const database = options.databaseUrl === undefined ? await createTestDatabase() : undefined;
  const folder = await mkdtemp(path.join(tmpdir(), 'skein-cluster-'));
  const url = options.databaseUrl ?? database?.url ?? '';
  const cluster = new RunningCluster(
    options,
    url,
    folder,
    () => database?.drop() ?? Promise.resolve(),
  );
  try {
    const wanted = Array.from({ length: options.nodes ?? 3 }, () => cluster.spawn());
    await Promise.all(wanted);
    await cluster.untilReady();
    return cluster;
  } catch (error) {
    const logs = await cluster.tails();
    await cluster.stop();
    throw new Error(`the cluster did not start\n${logs}`, { cause: error });
  }
}

class RunningCluster implements TestCluster {
  nodes: readonly TestNode[] = [];
  readonly databaseUrl: string;
  private readonly options: ClusterOptions;
  private readonly folder: string;
  private readonly drop: () => Promise<void>;
  private readonly processes: NodeProcess[] = [];
  private readonly guards: ReturnType<typeof guard>[] = [];
  private spawned = 0;

  constructor(
    options: ClusterOptions,
    databaseUrl: string,
    folder: string,
    drop: () => Promise<void>,
  ) {
    this.options = options;
    this.databaseUrl = databaseUrl;
    this.folder = folder;
    this.drop = drop;
  }

  async spawn(): Promise<TestNode> {
    this.spawned += 1;
    const name = `node-${String(this.spawned)}`;
    const { slots = 3, simulate = false, extraFlags = [] } = this.options;
    const log = path.join(this.folder, `${name}.log`);
    const node = await spawnNode({
      name,
      flags: [
        ...['--name', name, '--slots', String(slots), '--log-format', 'json'],
        ...['--http-port', '0', '--grpc-port', '0', ...(simulate ? ['--simulate'] : [])],
        ...extraFlags,
      ],
      env: { ...process.env, SKEIN_DATABASE_URL: this.databaseUrl },
      log,
    });
    this.processes.push(node);
    this.guards.push(guard('kill -9 "$1"', [String(node.pid)]));
    const started: TestNode = {
      name,
      pid: node.pid,
      url: await this.urlOf(node),
      process: node.child,
      hasEnded: () => node.hasEnded(),
      log: () => readFile(log, 'utf8'),
    };
    this.nodes = [...this.nodes, started].toSorted((a, b) => order(a) - order(b));
    return started;
  }

  async add(): Promise<TestNode> {
    const node = await this.spawn();
    await this.untilReady();
    return node;
  }

  node(name: string): TestNode {
    const node = this.nodes.find((one) => one.name === name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  async untilReady(): Promise<void> {
    const living = this.nodes.filter((node) => !node.hasEnded());
    const awaited = living.flatMap(({ pid, url: httpUrl }) =>
      this.processes.filter((p) => p.pid === pid).map((process) => ({ process, httpUrl })),
    );
    await untilReady(awaited, AbortSignal.timeout(PATIENCE_MS));
  }

  async view(): Promise<ClusterView> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    for (;;) {
      const living = this.nodes.find((node) => !node.hasEnded());
      if (living === undefined) throw new Error('no node lives');
      const view = await clusterAt(living.url, signal);
      if (view !== undefined) return view;
      await systemClock.sleep(LOOK_MS, signal);
    }
  }

  async leader(): Promise<string> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    for (;;) {
      const { leader } = await this.view();
      if (this.nodes.some((node) => node.name === leader && !node.hasEnded())) return leader ?? '';
      await systemClock.sleep(LOOK_MS, signal);
    }
  }

  async kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { pid } = this.node(name);
    const node = this.processes.find((one) => one.pid === pid);
    node?.child.kill(signal);
    if (ENDING.has(signal)) await node?.ended;
  }

  async stop(): Promise<void> {
    const living = this.processes.filter((node) => !node.hasEnded());
    for (const node of living) {
      node.child.kill('SIGCONT');
      node.child.kill('SIGTERM');
    }
    const giveUp = systemClock.after(DRAIN_MS, () => {
      for (const node of living) node.child.kill('SIGKILL');
    });
    await Promise.all(living.map((node) => node.ended));
    giveUp();
    for (const { takeBack } of this.guards.splice(0)) takeBack();
    await rm(this.folder, { recursive: true, force: true });
    await this.drop();
  }

  /** The last lines of every log: why a start failed. */
  async tails(): Promise<string> {
    const texts = this.processes.map(async ({ name, log }) => {
      const lines = (await readFile(log, 'utf8')).trimEnd().split('\n').slice(-10);
      return [`--- ${name}`, ...lines].join('\n');
    });
    return (await Promise.all(texts)).join('\n');
  }

  /** A node on a free port writes down where it listens when it joins. */
  private async urlOf(node: NodeProcess): Promise<string> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const client = new Client({ connectionString: this.databaseUrl, application_name: 'test' });
    await client.connect();
    try {
      for (;;) {
        if (node.hasEnded()) throw new Error(`${node.name} ended: ${await node.ended}`);
        const url = await client
          .query<{ http_url: string }>(
            'select http_url from skein.node where pid = $1 and name = $2',
            [node.pid, node.name],
          )
          .then((answer) => answer.rows[0]?.http_url)
          // Where the database came empty, the first node is still making the table.
          .catch(() => undefined);
        if (url !== undefined) return url;
        await systemClock.sleep(LOOK_MS, signal);
      }
    } finally {
      await client.end();
    }
  }
}

function order(node: TestNode): number {
  return Number(node.name.replace('node-', ''));
}
