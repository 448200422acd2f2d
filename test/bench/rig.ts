import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Client } from 'pg';
import { systemClock } from '../../node/base/clock.ts';
import { SkeinClient } from '../../node/client/client.ts';
import { ChaosServer } from '../chaos/server.ts';
import { guard } from '../support/guard.ts';
import type { Guard } from '../support/guard.ts';
import { startCluster } from '../support/cluster.ts';
import type { TestCluster } from '../support/cluster.ts';
import { addHeartbeats, heartbeatsIn } from './heartbeats.ts';
import type { Heartbeats } from './heartbeats.ts';
import { cpuOfFamily, rssOf } from './machine.ts';

/**
 * What everything is measured on: the PostgreSQL that comes with the packages, with the durability and the
 * settings that it comes with, and a cluster of real processes. `stop` leaves nothing.
 */
export interface RigOptions {
  readonly nodes?: number;
  readonly slots?: number;
  readonly extraFlags?: readonly string[];
  /** Of postgresql.conf; what is measured for its speed has none. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** The node as a built module. */
  readonly main: string;
}

/** What a stretch of work has cost. */
export interface Cost {
  readonly seconds: number;
  /** CPU seconds by process: `postgres` with all its backends, the leader, and the other nodes. */
  readonly cpu: {
    readonly postgres: number;
    readonly leader: number;
    readonly others: number;
    /** This process, which brings the load. */
    readonly client: number;
  };
  /** Of the log of the database, which holds all that was written. */
  readonly walBytes: number;
  /** Undefined where the log of the beginning was gone at the end: a checkpoint came between. */
  readonly written: Written | undefined;
  /** Bytes, of the largest node afterwards. */
  readonly rss: number;
}

/** As the log has it. */
export interface Written {
  /** For pages that are written whole because a checkpoint came before them. */
  readonly pageBytes: number;
  /** Row versions: inserted, updated (and of those without touching an index), deleted. */
  readonly inserted: number;
  readonly updated: number;
  readonly hot: number;
  readonly deleted: number;
}

const PATIENCE_MS = 900_000;

export class Rig {
  readonly server: ChaosServer;
  readonly cluster: TestCluster;
  private readonly logs: Logs;

  static async start(options: RigOptions): Promise<Rig> {
    const logs = await Logs.open();
    const server = await ChaosServer.start(options.settings);
    try {
      const { nodes = 3, slots = 3, extraFlags = [], main } = options;
      const cluster = await startCluster({
        ...{
          nodes,
          slots,
          extraFlags,
          logs: logs.folder,
          main,
          execArgv: [],
        },
        databaseUrl: server.url,
      });
      const rig = new Rig(server, cluster, logs);
      await rig.sql((client) => client.query('create extension if not exists pg_walinspect'));
      return rig;
    } catch (thrown) {
      await server.stop();
      await logs.remove();
      throw thrown;
    }
  }

  private constructor(server: ChaosServer, cluster: TestCluster, logs: Logs) {
    this.server = server;
    this.cluster = cluster;
    this.logs = logs;
  }

  async stop(): Promise<void> {
    await this.cluster.stop();
    await this.server.stop();
    await this.logs.remove();
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

  async term(): Promise<number> {
    return (await this.numbers('select term from skein.term'))[0] ?? 0;
  }

  /** Of all nodes since they began. */
  async heartbeats(): Promise<Heartbeats> {
    const texts = this.urls.map(async (url) => {
      const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(LOOK_UP_MS) });
      return heartbeatsIn(await answer.text());
    });
    return addHeartbeats(await Promise.all(texts));
  }

  /** Puts the database into the state in which every measurement begins: just after a checkpoint. */
  async prepare(): Promise<void> {
    await this.sql(async (client) => {
      await client.query('vacuum (analyze) skein.live');
      await client.query('checkpoint');
    });
  }

  /** Waits until nothing that was submitted after this number is unfinished. */
  untilGone(afterSeq: number, patienceMs = PATIENCE_MS): Promise<void> {
    return this.untilNone(UNFINISHED, [afterSeq], patienceMs);
  }

  /** Waits until the leader has taken in all that was submitted. */
  untilApplied(): Promise<void> {
    return this.untilNone(UNAPPLIED, [], PATIENCE_MS);
  }

  private async untilNone(
    text: string,
    values: readonly number[],
    patienceMs: number,
  ): Promise<void> {
    const giveUp = AbortSignal.timeout(patienceMs);
    await this.sql(async (client) => {
      for (;;) {
        const { rows } = await client.query<{ some: boolean }>(text, [...values]);
        if (rows[0]?.some === false) return;
        await systemClock.sleep(LOOK_MS, giveUp);
      }
    });
  }

  /** Runs it, and says what it has cost beside the seconds that it says. */
  async cost(run: () => Promise<number>): Promise<Cost> {
    const before = await this.reading();
    const seconds = await run();
    const after = await this.reading();
    if (after.term !== before.term) throw new Error('no figure: a leader was elected meanwhile');
    return {
      seconds,
      cpu: {
        postgres: after.postgres - before.postgres,
        leader: after.leader - before.leader,
        others: after.others - before.others,
        client: after.client - before.client,
      },
      walBytes: after.lsn - before.lsn,
      written: await this.written(before.lsn, after.lsn),
      rss: Math.max(...this.cluster.nodes.map(({ pid }) => rssOf(pid))),
    };
  }

  private async reading() {
    const leader = await this.cluster.leader();
    const [term = 0, lsn = 0] = await this.numbers(READING);
    const cpu = (isLeader: boolean): number =>
      this.cluster.nodes
        .filter(({ name }) => (name === leader) === isLeader)
        .reduce((sum, { pid }) => sum + cpuOfFamily(pid), 0);
    const { user, system } = process.cpuUsage();
    return {
      ...{ term, lsn },
      postgres: cpuOfFamily(await this.postmaster()),
      leader: cpu(true),
      others: cpu(false),
      client: (user + system) / 1e6,
    };
  }

  private async written(from: number, to: number): Promise<Written | undefined> {
    return this.numbers(WRITTEN, [from, to]).then(
      ([pageBytes = 0, inserted = 0, updated = 0, hot = 0, deleted = 0]) => {
        return { pageBytes, inserted, updated, hot, deleted };
      },
      () => undefined,
    );
  }

  private async postmaster(): Promise<number> {
    const file = path.join(this.server.home, 'pgdata', 'postmaster.pid');
    return Number((await readFile(file, 'utf8')).split('\n')[0]);
  }
}

/** The folder of the nodes' logs, gone with this process at the latest. */
class Logs {
  readonly folder: string;
  private readonly watch: Guard;

  static async open(): Promise<Logs> {
    return new Logs(await mkdtemp(path.join(tmpdir(), 'skein-bench-')));
  }

  private constructor(folder: string) {
    this.folder = folder;
    this.watch = guard('sleep 1; rm -rf "$1"', [folder]);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
    this.watch.takeBack();
  }
}

const LOOK_UP_MS = 10_000;
const LOOK_MS = 50;
const UNFINISHED = 'select exists (select from skein.live where seq > $1) as some';
const UNAPPLIED = 'select exists (select from skein.inbox) as some';
const READING = `
select term, pg_current_wal_flush_lsn() - '0/0'::pg_lsn from skein.term`;
/**
 * Between two places in the log. The counters of the tables would not do: a session that falls idle
 * tells its last counts ten seconds later.
 */
const WRITTEN = `
select sum(fpi_size),
  sum(count) filter (where type ~ '^Heap/INSERT'),
  sum(count) filter (where type ~ '^Heap/(HOT_)?UPDATE'),
  sum(count) filter (where type ~ '^Heap/HOT_UPDATE'),
  sum(count) filter (where type ~ '^Heap/DELETE')
from pg_get_wal_stats('0/0'::pg_lsn + $1::numeric, '0/0'::pg_lsn + $2::numeric, true)
  as s (type, count, count_share, size, size_share, fpi_size)`;
