import { Client } from 'pg';
import { systemClock, systemRng, type Clock, type Rng } from '../../node/base/clock.ts';
import { ownIdentity } from '../../node/base/process-identity.ts';
import type { Handler } from '../../node/core/handler.ts';
import { builtInHandlers } from '../../node/handlers/built-in.ts';
import { LeaseStore } from '../../node/store/lease-store.ts';
import { NodeRegistry } from '../../node/store/node-registry.ts';
import { isDataError, Pipeline } from '../../node/store/pipeline.ts';
import { TermWriter } from '../../node/store/term-writer.ts';
import { Executor } from '../../node/worker/executor.ts';
import { ChildIsolation } from '../../node/worker/isolate.ts';
import { LogReports } from '../../node/worker/log-reports.ts';
import type { FinishedFacts, LeaseStorePort, ToldSettlement } from '../../node/worker/ports.ts';
import type { SettlerDeps } from '../../node/worker/settler.ts';
import { Worker } from '../../node/worker/worker.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { noSpawn } from '../support/no-spawn.ts';

/**
 * A worker of one node on a real PostgreSQL, which it reaches through a proxy; the test is its leader,
 * by the leader's own statements over a connection of its own. Tests wait for what the worker says or
 * for what the database shows, never for time.
 */
export interface TaskSketch {
  readonly type?: string;
  readonly payload?: string;
  readonly durationMs?: number;
  readonly maxAttempts?: number;
  readonly timeoutMs?: number;
  readonly backoff?: { readonly fixed: boolean; readonly baseMs: number; readonly maxMs: number };
  readonly losses?: number;
}

export interface BenchOptions {
  readonly handlers?: readonly Handler[];
  readonly slots?: number;
  readonly rng?: Rng;
  readonly clock?: Clock;
  readonly simulates?: boolean;
  /** From now to the kill time of the lease, as children are told. */
  readonly leaseLeftMs?: () => number;
  readonly graceMs?: number;
  /** The clock of the isolation alone. */
  readonly childClock?: Clock;
  readonly store?: (real: LeaseStore) => LeaseStorePort;
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The ended task as its row has it; times as milliseconds since the epoch. */
export interface TaskRow {
  readonly status: number | null;
  readonly result: string | null;
  readonly error: { readonly code: string; readonly message: string; retryable: boolean } | null;
  readonly attempt: number;
  readonly lease_seq: number;
  readonly created: number;
  readonly started: number | null;
  readonly finished: number | null;
}

export interface LiveRow {
  readonly lease_seq: number;
  readonly node_id: string | null;
  readonly attempt: number;
  readonly losses: number;
  readonly started_at: Date | null;
  /** Milliseconds from now to `run_at` by the database's clock. */
  readonly due_in_ms: number | null;
}

/** Between two words to a child. */
export const WORD_MS = 20;

const ms = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`;

export class Bench {
  readonly told: ToldSettlement[] = [];
  readonly finished: FinishedFacts[] = [];
  readonly lines: LogLine[] = [];
  stale = 0;
  slotsUsed = 0;
  slotsUsedMax = 0;
  isLeaseSafe = true;
  groupWrites = 0;
  readonly admin: Client;
  readonly proxy: TcpProxy;
  readonly nodeId: number;
  readonly worker: Worker;
  /** What a settler needs besides its store and its listener. */
  readonly parts: Omit<SettlerDeps, 'store' | 'onSettled' | 'settleLanes' | 'outage'>;
  readonly isolation: ChildIsolation;
  readonly leases: LeaseStore;
  readonly writer: TermWriter;
  readonly url: string;
  private readonly pipelines: readonly Pipeline[];
  private readonly dropDatabase: () => Promise<void>;
  private readonly waiting = new Set<() => void>();

  static async open(options: BenchOptions = {}): Promise<Bench> {
    const database = await createTestDatabase();
    const admin = new Client({ connectionString: database.url });
    await admin.connect();
    await admin.query(`update skein.term set term = 1`);
    const target = new URL(database.url);
    const proxy = await createTcpProxy({
      target: { host: target.hostname, port: Number(target.port) },
    });
    const proxied = new URL(database.url);
    proxied.hostname = proxy.host;
    proxied.port = String(proxy.port);
    const open = (role: string, url: string): Pipeline =>
      new Pipeline({
        url,
        applicationName: `skein/${role}/test`,
        statementTimeoutMs: 5000,
        clock: systemClock,
      });
    const pipelines = [
      open('leader', database.url),
      open('control', proxied.href),
      open('worker-read', proxied.href),
      open('worker', proxied.href),
      open('worker', proxied.href),
    ] as const;
    const nodeId = await new NodeRegistry(pipelines[0]).register(
      {
        ...ownIdentity(),
        incarnation: crypto.randomUUID(),
        name: 'node-1',
        httpUrl: '',
        grpcAddress: '',
        slots: options.slots ?? 4,
        types: (options.handlers ?? builtInHandlers).map(({ type }) => type),
        simulates: options.simulates ?? false,
        labels: [],
        version: '0',
      },
      600_000,
    );
    return new Bench(options, database, admin, proxy, pipelines, nodeId);
  }

  private constructor(
    options: BenchOptions,
    database: TestDatabase,
    admin: Client,
    proxy: TcpProxy,
    pipelines: readonly [Pipeline, Pipeline, Pipeline, ...Pipeline[]],
    nodeId: number,
  ) {
    this.url = database.url;
    this.dropDatabase = () => database.drop();
    this.admin = admin;
    this.proxy = proxy;
    this.pipelines = pipelines;
    this.nodeId = nodeId;
    const [leader, control, reads, ...writes] = pipelines;
    this.writer = new TermWriter(leader, 1);
    this.leases = new LeaseStore(nodeId, reads, writes);
    const registry = new NodeRegistry(control);
    const shared = {
      clock: options.clock ?? systemClock,
      rng: options.rng ?? systemRng,
      log: this.log,
    };
    this.parts = { ...shared, isDataError, metrics: this.metrics };
    this.isolation = new ChildIsolation({
      ...shared,
      clock: options.childClock ?? systemClock,
      childEntry: new URL('./child-entry.mjs', import.meta.url),
      graceMs: options.graceMs ?? 100,
      leaseLeftMs: options.leaseLeftMs ?? (() => 60_000),
      wordMs: WORD_MS,
      registerGroups: (groups) => {
        this.groupWrites += 1;
        return registry.setProcessGroups(nodeId, groups);
      },
    });
    const handlers = options.handlers ?? builtInHandlers;
    this.worker = new Worker({
      ...this.parts,
      slots: options.slots ?? 4,
      settleLanes: writes.length,
      store: options.store?.(this.leases) ?? this.leases,
      isLeaseSafe: () => this.isLeaseSafe,
      executor: new Executor({
        ...shared,
        handlers: new Map(handlers.map((handler) => [handler.type, handler])),
        simulates: options.simulates ?? false,
        isolation: this.isolation,
        reports: new LogReports(this.log),
        results: (seq) => this.leases.results(seq),
        spawn: noSpawn,
      }),
      onSettled: (settled) => {
        this.told.push(...settled);
        this.wake();
      },
    });
  }

  async close(): Promise<void> {
    await this.worker.stop();
    await Promise.all(this.pipelines.map((pipeline) => pipeline.close()));
    await this.proxy.close();
    await this.admin.end();
    await this.dropDatabase();
  }

  /** Stores tasks as a submit does, and answers their numbers. */
  async submit(...sketches: readonly TaskSketch[]): Promise<number[]> {
    const seqs: number[] = [];
    for (const sketch of sketches) {
      const { backoff = { fixed: true, baseMs: 60_000, maxMs: 600_000 } } = sketch;
      const { rows } = await this.admin.query<{ seq: string }>(
        `with t as (
           insert into skein.type (name) values ($1)
           on conflict (namespace_id, name) do update set name = excluded.name returning type_id
         ), task as (
           insert into skein.task (seq, id, type_id, priority, max_attempts, trigger_rule,
             duration_ms, timeout_ms, backoff_fixed, backoff_base_ms, backoff_max_ms, payload)
           select s, 'task-' || s, type_id, 50, $2, 0, $3, $4, $5, $6, $7, $8::json
           from t, nextval('skein.task_seq') as s returning seq, type_id
         )
         insert into skein.live (seq, type_id, expected_ms, priority, trigger_rule, has_duration,
           losses)
         select seq, type_id, 1, 50, 0, $3::int is not null, $9 from task returning seq`,
        [
          sketch.type ?? 'noop',
          sketch.maxAttempts ?? 3,
          sketch.durationMs ?? null,
          sketch.timeoutMs ?? null,
          backoff.fixed,
          backoff.baseMs,
          backoff.maxMs,
          sketch.payload ?? null,
          sketch.losses ?? 0,
        ],
      );
      seqs.push(Number(rows[0]?.seq));
    }
    return seqs;
  }

  /** Commits leases as the leader does, and hands them over where `grants`. */
  async lease(seqs: readonly number[], grants = true): Promise<readonly number[]> {
    const live: (LiveRow | undefined)[] = [];
    for (const seq of seqs) live.push(await this.live(seq));
    const leased = await this.writer.leaseMany(
      seqs,
      live.map((row) => row?.lease_seq ?? -1),
      seqs.map(() => this.nodeId),
    );
    const bySeq = new Map(leased.seqs.map((seq, at) => [seq, leased.leaseSeqs[at] as number]));
    const leaseSeqs = seqs.map((seq) => bySeq.get(seq) ?? -1);
    if (grants) {
      this.worker.accept({
        seqs,
        leaseSeqs,
        attempts: live.map((row) => row?.attempt ?? 0),
        losses: live.map((row) => row?.losses ?? 0),
      });
    }
    return leaseSeqs;
  }

  /** Ends a lease as if another had it meanwhile: whatever comes under it is stale. */
  async supersede(seq: number): Promise<void> {
    await this.admin.query(
      'update skein.live set lease_seq = lease_seq + 1, node_id = null where seq = $1',
      [seq],
    );
  }

  /** Stores tasks, leases them, and waits until each has been settled once. */
  async runAll(...sketches: readonly TaskSketch[]): Promise<number[]> {
    const seqs = await this.submit(...sketches);
    await this.lease(seqs);
    await this.settled(...seqs);
    return seqs;
  }

  /** Resolves when each of these tasks has been settled since the last look at `told`. */
  async settled(...seqs: readonly number[]): Promise<readonly ToldSettlement[]> {
    const find = (seq: number): ToldSettlement | undefined =>
      this.told.find((told) => told.seq === seq);
    await this.until(() => seqs.every((seq) => find(seq) !== undefined));
    return seqs.map((seq) => find(seq) as ToldSettlement);
  }

  /** Resolves when it holds; it is asked whenever the worker says something. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.waiting.add(resolve));
  }

  wake(): void {
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
  }

  /** Asks the database until it answers so; for what no one announces. */
  async shown<T>(read: () => Promise<T>, holds: (found: T) => boolean): Promise<T> {
    for (;;) {
      const found = await read();
      if (holds(found)) return found;
      await systemClock.sleep(5);
    }
  }

  async task(seq: number): Promise<TaskRow> {
    const { rows } = await this.admin.query<TaskRow>(
      `select status, result::text, error, attempt, lease_seq, ${ms('created_at')} as created,
         ${ms('started_at')} as started, ${ms('finished_at')} as finished
       from skein.task where seq = $1`,
      [seq],
    );
    return rows[0] as TaskRow;
  }

  async live(seq: number): Promise<LiveRow | undefined> {
    const { rows } = await this.admin.query<LiveRow>(
      `select lease_seq, node_id, attempt, losses, started_at,
         ${ms('(run_at - clock_timestamp())')} as due_in_ms
       from skein.live where seq = $1`,
      [seq],
    );
    return rows[0];
  }

  async attempts(seq: number): Promise<readonly { outcome: string; code: string | null }[]> {
    const { rows } = await this.admin.query<{ outcome: string; code: string | null }>(
      `select outcome, error ->> 'code' as code from skein.attempt where seq = $1 order by lease_seq`,
      [seq],
    );
    return rows;
  }

  async groups(): Promise<readonly number[]> {
    const { rows } = await this.admin.query<{ process_groups: number[] }>(
      'select process_groups from skein.node where node_id = $1',
      [this.nodeId],
    );
    return rows[0]?.process_groups ?? [];
  }

  /** Milliseconds since the epoch by the database's clock. */
  async now(): Promise<number> {
    const { rows } = await this.admin.query<{ now: number }>(
      `select ${ms('clock_timestamp()')} as now`,
    );
    return rows[0]?.now as number;
  }

  private get log() {
    const at =
      (level: string) =>
      (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
        this.lines.push({ level, message, fields });
        this.wake();
      };
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  }

  private get metrics() {
    return {
      tasksFinished: (batch: readonly FinishedFacts[]): void => {
        this.finished.push(...batch);
      },
      staleOutcomes: (count: number): void => {
        this.stale += count;
        this.wake();
      },
      committed: (): void => undefined,
      setSlots: (_total: number, used: number): void => {
        this.slotsUsed = used;
        this.slotsUsedMax = Math.max(this.slotsUsedMax, used);
        this.wake();
      },
    };
  }
}
