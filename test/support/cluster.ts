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
import type { Guard } from './guard.ts';
import { createNodeProxies } from './node-proxies.ts';
import type { NodeProxies, Site } from './node-proxies.ts';
import { createTestDatabase } from './postgres.ts';
import type { TcpProxy } from './tcp-proxy.ts';

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
  /** The same, where nodes differ. */
  readonly flagsOf?: (name: string) => readonly string[];
  /** Puts proxies between each node and PostgreSQL, and between each node and its peers. */
  readonly proxied?: boolean;
  /** Where the proxies listen; loopback unless given. */
  readonly proxyHost?: string;
  /** The nodes that live elsewhere than this process, by name; only where it is `proxied`. */
  readonly sites?: ReadonlyMap<string, Site>;
  /** What a process runs instead of the command line: a module that understands `node` and flags. */
  readonly main?: string;
  /** The same, where nodes differ. */
  readonly mainOf?: (name: string) => string | undefined;
  /** The options of Node for it: those of this process unless given. */
  readonly execArgv?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where the logs go, to be kept; a folder of its own, removed by `stop`, unless given. */
  readonly logs?: string;
}

export interface TestNode {
  readonly name: string;
  readonly pid: number;
  /** Of REST, without a slash at the end. */
  readonly url: string;
  readonly process: ChildProcess;
  /** Between this node and PostgreSQL; throws where the cluster is not `proxied`, as `peer` does. */
  readonly database: TcpProxy;
  /** Between this node's gRPC server and all its peers: the streams of the followers, when it leads. */
  readonly peer: TcpProxy;
  hasEnded(): boolean;
  /** All that it logged so far: JSON lines, and whatever a crash left. */
  log(): Promise<string>;
}

export interface TestCluster {
  /** By their names; those that were killed stay in it until they are started again. */
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
  /** SIGSTOP, until `thaw`: the process keeps its sockets and hears nothing. */
  freeze(name: string): Promise<void>;
  thaw(name: string): Promise<void>;
  /** A new process under the name, and in the place, of a node that has ended; need not be ready. */
  revive(name: string): Promise<TestNode>;
  /** Ends a node with a signal, revives it, and waits until it is ready. */
  restart(name: string, signal?: NodeJS.Signals): Promise<TestNode>;
  /** Waits until a node says that it is ready, and the cluster that it is there. */
  ready(name: string): Promise<void>;
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
  const folder = options.logs ?? (await mkdtemp(path.join(tmpdir(), 'skein-cluster-')));
  const url = options.databaseUrl ?? database?.url ?? '';
  const cluster = new RunningCluster(options, url, folder, async () => {
    if (options.logs === undefined) await rm(folder, { recursive: true, force: true });
    await database?.drop();
  });
  try {
    await Promise.all(Array.from({ length: options.nodes ?? 3 }, () => cluster.spawn()));
    await cluster.untilReady();
    return cluster;
  } catch (error) {
    const logs = await cluster.tails();
    await cluster.stop();
    throw new Error(`the cluster did not start\n${logs}`, { cause: error });
  }
}

class RunningNode implements TestNode {
  readonly name: string;
  readonly url: string;
  readonly running: NodeProcess;
  private readonly proxies: NodeProxies | undefined;
  private readonly watch: Guard;

  constructor(running: NodeProcess, watch: Guard, url: string, proxies: NodeProxies | undefined) {
    this.name = running.name;
    this.running = running;
    this.watch = watch;
    this.url = url;
    this.proxies = proxies;
  }

  get pid(): number {
    return this.running.pid;
  }

  get process(): ChildProcess {
    return this.running.child;
  }

  get database(): TcpProxy {
    return this.proxied.database;
  }

  get peer(): TcpProxy {
    return this.proxied.peer;
  }

  hasEnded(): boolean {
    return this.running.hasEnded();
  }

  log(): Promise<string> {
    return readFile(this.running.log, 'utf8');
  }

  /** Once it has ended its number may be another's: nobody watches it any longer. */
  release(): void {
    this.watch.takeBack();
  }

  private get proxied(): NodeProxies {
    if (this.proxies === undefined) throw new Error('the cluster was started without proxies');
    return this.proxies;
  }
}

class RunningCluster implements TestCluster {
  nodes: readonly RunningNode[] = [];
  readonly databaseUrl: string;
  private readonly options: ClusterOptions;
  private readonly folder: string;
  private readonly clean: () => Promise<void>;
  private readonly proxies = new Map<string, NodeProxies>();
  private spawned = 0;

  constructor(
    options: ClusterOptions,
    databaseUrl: string,
    folder: string,
    clean: () => Promise<void>,
  ) {
    this.options = options;
    this.databaseUrl = databaseUrl;
    this.folder = folder;
    this.clean = clean;
  }

  async spawn(): Promise<RunningNode> {
    this.spawned += 1;
    const name = `node-${String(this.spawned)}`;
    const { proxied = false, proxyHost, sites } = this.options;
    if (proxied) {
      const proxies = await createNodeProxies(this.databaseUrl, proxyHost, sites?.get(name));
      this.proxies.set(name, proxies);
    }
    return this.start(name);
  }

  async add(): Promise<TestNode> {
    const node = await this.spawn();
    await this.untilReady();
    return node;
  }

  async revive(name: string): Promise<TestNode> {
    const node = this.node(name);
    if (!node.hasEnded()) throw new Error(`${name} has not ended`);
    node.release();
    return this.start(name);
  }

  async restart(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<TestNode> {
    await this.kill(name, signal);
    const node = await this.revive(name);
    await this.ready(name);
    return node;
  }

  node(name: string): RunningNode {
    const node = this.nodes.find((one) => one.name === name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  async untilReady(): Promise<void> {
    // One that is being added beside this one has no address yet; its own `add` waits for it.
    await awaitReady(this.nodes.filter((node) => !node.hasEnded() && node.url !== ''));
  }

  async ready(name: string): Promise<void> {
    await awaitReady([this.node(name)]);
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
    const { running } = this.node(name);
    running.child.kill(signal);
    if (ENDING.has(signal)) await running.ended;
  }

  async freeze(name: string): Promise<void> {
    await this.kill(name, 'SIGSTOP');
  }

  async thaw(name: string): Promise<void> {
    await this.kill(name, 'SIGCONT');
  }

  async stop(): Promise<void> {
    for (const proxies of this.proxies.values()) proxies.heal();
    const living = this.nodes.filter((node) => !node.hasEnded());
    for (const node of living) {
      node.process.kill('SIGCONT');
      node.process.kill('SIGTERM');
    }
    const giveUp = systemClock.after(DRAIN_MS, () => {
      for (const node of living) node.process.kill('SIGKILL');
    });
    await Promise.all(living.map((node) => node.running.ended));
    giveUp();
    for (const node of this.nodes) node.release();
    await Promise.all([...this.proxies.values()].map((proxies) => proxies.close()));
    await this.clean();
  }

  /** The last lines of every log: why a start failed. */
  async tails(): Promise<string> {
    const texts = this.nodes.map(async (node) => {
      const lines = (await node.log()).trimEnd().split('\n').slice(-10);
      return [`--- ${node.name}`, ...lines].join('\n');
    });
    return (await Promise.all(texts)).join('\n');
  }

  private async start(name: string): Promise<RunningNode> {
    const {
      slots = 3,
      simulate = false,
      extraFlags = [],
      flagsOf = () => [],

      main = this.options.mainOf?.(name),
      execArgv,
      env,
      sites,
    } = this.options;
    const proxies = this.proxies.get(name);
    const site = sites?.get(name);
    const running = await spawnNode({
      name,
      flags: [
        ...['--name', name, '--slots', String(slots), '--log-format', 'json'],
        ...(proxies?.flags ?? ['--http-port', '0', '--grpc-port', '0']),
        ...(simulate ? ['--simulate'] : []),
        ...extraFlags,
        ...flagsOf(name),
      ],
      env: {
        ...process.env,
        ...env,
        SKEIN_DATABASE_URL: proxies?.databaseUrl ?? this.databaseUrl,
      },
      log: path.join(this.folder, `${name}.log`),
      ...(main === undefined ? {} : { main }),
      ...(execArgv === undefined ? {} : { execArgv }),
      ...(site === undefined ? {} : { command: site.command }),
    });
    const watch = guard('kill -9 "$1"', [String(running.pid)]);
    const place = (url: string): RunningNode => {
      const node = new RunningNode(running, watch, url, proxies);
      const others = this.nodes.filter((one) => one.name !== name);
      this.nodes = [...others, node].toSorted((a, b) => order(a) - order(b));
      return node;
    };
    // It is in the list before it is known to be up: a start that fails must end it too.
    const node = place(proxies?.httpUrl ?? '');
    return proxies === undefined ? place(await urlOf(node.running, this.databaseUrl)) : node;
  }
}

async function awaitReady(nodes: readonly RunningNode[]): Promise<void> {
  const awaited = nodes.map(({ running, url }) => ({ process: running, httpUrl: url }));
  await untilReady(awaited, AbortSignal.timeout(PATIENCE_MS));
}

/** A node on a free port writes down where it listens when it joins. */
async function urlOf(node: NodeProcess, databaseUrl: string): Promise<string> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const client = new Client({ connectionString: databaseUrl, application_name: 'test' });
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

function order(node: TestNode): number {
  return Number(node.name.replace('node-', ''));
}
