import { Client } from 'pg';
import { systemClock } from '../../node/base/clock.ts';
import type { Handler } from '../../node/core/handler.ts';
import { LAN, type Timings } from '../../node/core/timings.ts';
import { builtInHandlers } from '../../node/handlers/built-in.ts';
import type { LinkToNode, LogPort } from '../../node/leader/ports.ts';
import { Lives } from '../../node/lives.ts';
import { Metrics } from '../../node/observe/metrics.ts';
import { PeerServer } from '../../node/rpc/peer-server.ts';
import { PrimaryWatch } from '../../node/store/primary.ts';
import { realSurroundings, type Surroundings } from '../../node/surroundings.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { noSpawn } from '../support/no-spawn.ts';

/**
 * Nodes in the process of the test, whole but for REST, on a real PostgreSQL. What surrounds one may be
 * changed by the test: a connection that never answers, a dial that fails.
 */
export interface NodeOptions {
  readonly handlers?: readonly Handler[];
  readonly slots?: number;
  readonly timings?: Timings;
  /** What surrounds this node, made of what really does. */
  readonly surround?: (real: Surroundings) => Surroundings;
  readonly databaseUrl?: string;
}

interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export class World {
  readonly admin: Client;
  readonly url: string;
  readonly nodes: TestNode[] = [];
  private readonly database: TestDatabase;

  static async open(): Promise<World> {
    const database = await createTestDatabase();
    const admin = new Client({ connectionString: database.url });
    // Ends with the database that it is on.
    admin.on('error', () => undefined);
    await admin.connect();
    return new World(database, admin);
  }

  private constructor(database: TestDatabase, admin: Client) {
    this.database = database;
    this.url = database.url;
    this.admin = admin;
  }

  async begin(options: NodeOptions = {}): Promise<TestNode> {
    const node = new TestNode(`node-${String(this.nodes.length + 1)}`, this.url, options);
    this.nodes.push(node);
    await node.begin();
    return node;
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end()));
    await this.admin.end();
    await this.database.drop();
  }

  /** Commits tasks of one type as a submit does, with their row in the inbox; answers their numbers. */
  async submit(type: string, count = 1): Promise<readonly number[]> {
    const { rows } = await this.admin.query<{ seq: string }>(
      `with t as (
         insert into skein.type (name) values ($1)
         on conflict (namespace_id, name) do update set name = excluded.name returning type_id
       ), task as (
         insert into skein.task (seq, id, type_id, priority, max_attempts, trigger_rule,
           backoff_base_ms, backoff_max_ms)
         select nextval('skein.task_seq'), gen_random_uuid(), type_id, 50, 3, 0, 10, 10
         from t, generate_series(1, $2::int) returning seq, type_id
       ), live as (
         insert into skein.live (seq, type_id, expected_ms, priority, trigger_rule, has_duration)
         select seq, type_id, 1, 50, 0, false from task returning seq
       ), told as (
         insert into skein.inbox (kind, first_seq, last_seq)
         select 'submitted', min(seq), max(seq) from live
       )
       select seq from live order by seq`,
      [type, count],
    );
    return rows.map(({ seq }) => Number(seq));
  }

  /** How many tasks have ended so. */
  async ended(status: 1 | 2 | 3 | 4): Promise<number> {
    const { rows } = await this.admin.query<{ count: number }>(
      'select count(*)::int as count from skein.task where status = $1',
      [status],
    );
    return rows[0]?.count ?? 0;
  }

  async stateOf(nodeId: number): Promise<string> {
    const { rows } = await this.admin.query<{ state: string }>(
      'select state from skein.node where node_id = $1',
      [nodeId],
    );
    return rows[0]?.state ?? 'none';
  }
}

export class TestNode {
  readonly lives: Lives;
  readonly lines: LogLine[] = [];
  private readonly peers: PeerServer;
  private readonly links = new Set<LinkToNode>();
  private readonly addresses = { httpUrl: '', grpcAddress: '' };

  constructor(name: string, databaseUrl: string, options: NodeOptions) {
    const { log } = this;
    const url = options.databaseUrl ?? databaseUrl;
    const childEntry = new URL('../workers/child-entry.mjs', import.meta.url);
    const real = realSurroundings({
      ...{ databaseUrl: url, name, log, childEntry, primary: new PrimaryWatch() },
      doubt: () => undefined,
    });
    this.peers = new PeerServer({
      host: '127.0.0.1',
      port: 0,
      log,
      accept: (link) => {
        this.links.add(link);
        return this.lives.accept(link);
      },
    });
    this.lives = new Lives({
      config: {
        name,
        slots: options.slots ?? 4,
        simulate: false,
        labels: [],
        drainMs: 1000,
        timings: options.timings ?? LAN,
      },
      log: { ...log, child: () => log },
      metrics: new Metrics(),
      surroundings: options.surround?.(real) ?? real,
      handlers: options.handlers ?? builtInHandlers,
      spawn: noSpawn,
      addresses: this.addresses,
      version: '0',
      isStopping: () => false,
      onEnded: () => undefined,
      onTerm: () => undefined,
      onNews: () => undefined,
    });
  }

  async begin(): Promise<void> {
    const { port } = await this.peers.start();
    this.addresses.grpcAddress = `127.0.0.1:${String(port)}`;
    await this.lives.begin();
  }

  async end(): Promise<void> {
    await this.lives.end();
    await this.peers.stop(100);
  }

  get grpcAddress(): string {
    return this.addresses.grpcAddress;
  }

  /** Ends every stream that other nodes, or this one, have to it. */
  cutStreams(): void {
    for (const link of this.links) link.close();
    this.links.clear();
  }

  get isLeader(): boolean {
    return this.lives.current?.isLeader ?? false;
  }

  get nodeId(): number {
    return this.lives.current?.nodeId ?? 0;
  }

  said(message: string): boolean {
    return this.lines.some((line) => line.message === message);
  }

  private get log(): LogPort {
    const at =
      (level: string) =>
      (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
        this.lines.push({ level, message, fields });
      };
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  }
}

/** Asks until it is so; for what no one announces. The test's own time limit ends it. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await systemClock.sleep(10);
}
