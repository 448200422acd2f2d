import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Client } from 'pg';
import { systemClock } from '../../node/base/clock.ts';
import { SkeinClient } from '../../node/client/client.ts';
import { ChaosServer } from '../chaos/server.ts';
import { startCluster } from '../support/cluster.ts';
import type { TestCluster } from '../support/cluster.ts';
import { cpuOf, cpuOfFamily, rssOf } from './machine.ts';

/**
 * What everything is measured on: the PostgreSQL that comes with the packages, with the durability and the
 * settings that it comes with, and a cluster of real processes. `stop` leaves nothing.
 */
export interface RigOptions {
  readonly nodes?: number;
  readonly slots?: number;
  readonly extraFlags?: readonly string[];
  /** The node as a built module. */
  readonly main: string;
}

/** What a stretch of work has cost. */
export interface Cost {
  readonly seconds: number;
  /** CPU seconds by process: `postgres` with all its backends, the leader, and the other nodes. */
  readonly cpu: { readonly postgres: number; readonly leader: number; readonly others: number };
  readonly walBytes: number;
  /** Pages written whole into the log because a checkpoint came before them. */
  readonly walPages: number;
  /** Row versions: inserted, updated (and of those without touching an index), deleted. */
  readonly rows: {
    readonly inserted: number;
    readonly updated: number;
    readonly hot: number;
    readonly deleted: number;
  };
  /** Bytes, of the largest node afterwards. */
  readonly rss: number;
  readonly elections: number;
}

const PATIENCE_MS = 900_000;

export class Rig {
  readonly server: ChaosServer;
  readonly cluster: TestCluster;
  private readonly logs: string;

  static async start(options: RigOptions): Promise<Rig> {
    const logs = await mkdtemp(path.join(tmpdir(), 'skein-bench-'));
    const server = await ChaosServer.start();
    try {
      const { nodes = 3, slots = 3, extraFlags = [], main } = options;
      const cluster = await startCluster({
        ...{
          nodes,
          slots,
          extraFlags,
          logs,
          main,
          execArgv: [],
        },
        databaseUrl: server.url,
      });
      return new Rig(server, cluster, logs);
    } catch (thrown) {
      await server.stop();
      await rm(logs, { recursive: true, force: true });
      throw thrown;
    }
  }

  private constructor(server: ChaosServer, cluster: TestCluster, logs: string) {
    this.server = server;
    this.cluster = cluster;
    this.logs = logs;
  }

  async stop(): Promise<void> {
    await this.cluster.stop();
    await this.server.stop();
    await rm(this.logs, { recursive: true, force: true });
  }

  get urls(): readonly string[] {
    return this.cluster.nodes.map(({ url }) => url);
  }

  client(): SkeinClient {
    return new SkeinClient({ urls: this.urls });
  }

  /** One answer of the database, in numbers. */
  async numbers(text: string, values: readonly unknown[] = []): Promise<readonly number[]> {
    return this.sql(async (client) => {
      const { rows } = await client.query<unknown[]>({
        text,
        values: values as unknown[],
        rowMode: 'array',
      });
      return (rows[0] ?? []).map(Number);
    });
  }

  sql<T>(use: (client: Client) => Promise<T>): Promise<T> {
    return this.server.withClient(use, PATIENCE_MS);
  }

  /** Runs it after a checkpoint, and says what it has cost. */
  async cost(run: () => Promise<number>): Promise<Cost> {
    await this.sql(async (client) => {
      await client.query('vacuum (analyze) skein.live');
      await client.query('checkpoint');
    });
    const before = await this.reading();
    const seconds = await run();
    const after = await this.reading();
    return {
      seconds,
      cpu: {
        postgres: after.postgres - before.postgres,
        leader: after.leader - before.leader,
        others: after.others - before.others,
      },
      walBytes: after.walBytes - before.walBytes,
      walPages: after.walPages - before.walPages,
      rows: {
        inserted: after.inserted - before.inserted,
        updated: after.updated - before.updated,
        hot: after.hot - before.hot,
        deleted: after.deleted - before.deleted,
      },
      rss: Math.max(...this.cluster.nodes.map(({ pid }) => rssOf(pid))),
      elections: after.term - before.term,
    };
  }

  private async reading() {
    const leader = await this.cluster.leader();
    const [walBytes = 0, walPages = 0, inserted = 0, updated = 0, hot = 0, deleted = 0, term = 0] =
      await this.settledNumbers();
    const cpu = (isLeader: boolean): number =>
      this.cluster.nodes
        .filter(({ name }) => (name === leader) === isLeader)
        .reduce((sum, { pid }) => sum + cpuOf(pid), 0);
    return {
      ...{ walBytes, walPages, inserted, updated, hot, deleted, term },
      postgres: cpuOfFamily(await this.postmaster()),
      leader: cpu(true),
      others: cpu(false),
    };
  }

  /** A backend tells its counts once a second at most. */
  private async settledNumbers(): Promise<readonly number[]> {
    await systemClock.sleep(STATISTICS_MS);
    return this.numbers(READING);
  }

  private async postmaster(): Promise<number> {
    const file = path.join(this.server.home, 'pgdata', 'postmaster.pid');
    return Number((await readFile(file, 'utf8')).split('\n')[0]);
  }
}

const STATISTICS_MS = 1200;
const READING = `
select w.wal_bytes, w.wal_fpi,
  sum(t.n_tup_ins), sum(t.n_tup_upd), sum(t.n_tup_hot_upd), sum(t.n_tup_del),
  (select term from skein.term)
from pg_stat_wal w, pg_stat_user_tables t where t.schemaname = 'skein'
group by w.wal_bytes, w.wal_fpi`;
