import { expect } from 'chai';
import { Client } from 'pg';
import { COLUMN_TYPES } from '../../node/store/column-types.ts';
import { GraphReader } from '../../node/store/graph-reader.ts';
import { LeaseStore } from '../../node/store/lease-store.ts';
import { NodeRegistry } from '../../node/store/node-registry.ts';
import type { Row, Statement, Statements } from '../../node/store/pipeline.ts';
import { TermWriter } from '../../node/store/term-writer.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

/**
 * Sessions on a real PostgreSQL, interleaved by hand: begin, run the project's own statement in one,
 * start the other's, see that it waits (or does not), commit, see the outcome.
 */
export const TERM = 7;

/** One session: in a transaction from `begin` to `commit`, else each statement in its own. */
export class Session implements Statements {
  readonly client: Client;
  readonly pid: number;

  private constructor(client: Client, pid: number) {
    this.client = client;
    this.pid = pid;
  }

  static async open(url: string): Promise<Session> {
    const client = new Client({ connectionString: url, types: COLUMN_TYPES });
    // Ends with the database that it is on.
    client.on('error', () => undefined);
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    return new Session(client, rows[0]?.pid ?? 0);
  }

  async query(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    const { name, text } = statement;
    const query = { name, text, values: [...values], rowMode: 'array' as const };
    return (await this.client.query<unknown[]>(query)).rows;
  }

  /** Rows as objects, for what a test wants to see. */
  async rows<T extends object>(text: string, values: readonly unknown[] = []): Promise<T[]> {
    return (await this.client.query<T>(text, [...values])).rows;
  }

  begin(): Promise<unknown> {
    return this.client.query('begin');
  }

  commit(): Promise<unknown> {
    return this.client.query('commit');
  }

  rollback(): Promise<unknown> {
    return this.client.query('rollback');
  }

  writer(term = TERM): TermWriter {
    return new TermWriter(this, term);
  }

  get reader(): GraphReader {
    return new GraphReader(this);
  }

  leases(nodeId: number): LeaseStore {
    return new LeaseStore(nodeId, this, [this]);
  }

  get registry(): NodeRegistry {
    return new NodeRegistry(this);
  }
}

export interface RowSketch {
  readonly seq: number;
  readonly deps?: readonly number[];
  readonly rule?: number;
  readonly payload?: string;
  readonly maxAttempts?: number;
}

export interface LiveRow {
  readonly lease_seq: number;
  readonly node_id: number | null;
  readonly attempt: number;
  readonly losses: number;
  readonly cancel: boolean;
  readonly priority: number;
}

export interface TaskRow {
  readonly status: number | null;
  readonly lease_seq: number;
  readonly attempt: number;
  readonly node_id: number | null;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
}

/** A database with a leader's term, one node, and tasks as a test writes them. */
export class Tables {
  readonly nodeId = 1;
  private readonly database: TestDatabase;
  private readonly sessions: Session[];

  private constructor(database: TestDatabase, first: Session) {
    this.database = database;
    this.sessions = [first];
  }

  static async open(): Promise<Tables> {
    const database = await createTestDatabase();
    return new Tables(database, await Session.open(database.url));
  }

  /** As new, at a tenth of what a database of its own would cost each test. */
  async reset(): Promise<void> {
    for (const session of this.sessions.splice(1)) await session.client.end();
    await this.sql.rows(
      `truncate skein.task, skein.live, skein.not_completed, skein.attempt, skein.inbox, skein.node,
         skein.type, skein.event restart identity`,
    );
    await this.sql.rows('update skein.term set term = $1', [TERM]);
    await this.sql.rows(`insert into skein.type (name) values ('work')`);
    await this.addNode('node-1');
  }

  get url(): string {
    return this.database.url;
  }

  /** The session of the test itself, never in a transaction. */
  get sql(): Session {
    return this.sessions[0] as Session;
  }

  async session(): Promise<Session> {
    const session = await Session.open(this.database.url);
    this.sessions.push(session);
    return session;
  }

  /** Two sessions, the first in a transaction. */
  async pair(): Promise<[Session, Session]> {
    const pair: [Session, Session] = [await this.session(), await this.session()];
    await pair[0].begin();
    return pair;
  }

  addNode(name: string, groups: readonly number[] = []): Promise<unknown> {
    return this.sql.rows(
      `insert into skein.node (incarnation, name, lease_until, boot_id, pid_namespace, pid,
         pid_started, http_url, grpc_address, slots, types, simulates, version, process_groups)
       values (gen_random_uuid(), $1, clock_timestamp() + interval '10 s', 'b', 'n', 1, '1', '', '',
         4, '{work}', false, '1', $2)`,
      [name, groups],
    );
  }

  async add(...tasks: readonly RowSketch[]): Promise<void> {
    for (const { seq, deps = [], rule = 0, payload = null, maxAttempts = 3 } of tasks) {
      await this.sql.rows(
        `insert into skein.task (seq, id, type_id, priority, max_attempts, trigger_rule,
           backoff_base_ms, backoff_max_ms, dependencies, payload)
         values ($1, $2, 1, 50, $3, $4, 1000, 1000, $5, $6)`,
        [seq, `t${String(seq)}`, maxAttempts, rule, deps.map((dep) => `t${String(dep)}`), payload],
      );
      await this.sql.rows(
        `insert into skein.live (seq, type_id, expected_ms, priority, trigger_rule, has_duration, deps)
         values ($1, 1, 1, 50, $2, false, $3)`,
        [seq, rule, deps],
      );
    }
  }

  /** Leases tasks under their first number to the node. */
  async lease(...seqs: readonly number[]): Promise<void> {
    const writer = this.sql.writer();
    const zeros = seqs.map(() => 0);
    const nodeIds = seqs.map(() => this.nodeId);
    expect((await writer.leaseMany(seqs, zeros, nodeIds)).seqs).to.have.length(seqs.length);
  }

  async live(seq: number): Promise<LiveRow | undefined> {
    const [row] = await this.sql.rows<LiveRow>(
      `select lease_seq, node_id, attempt, losses, cancel, priority
       from skein.live where seq = $1`,
      [seq],
    );
    return row;
  }

  async task(seq: number): Promise<TaskRow> {
    const [row] = await this.sql.rows<TaskRow>(
      `select status, lease_seq, attempt, node_id, started_at, finished_at
       from skein.task where seq = $1`,
      [seq],
    );
    return row as TaskRow;
  }

  /** Resolves when the session waits for a lock that another holds. */
  async waits(session: Session): Promise<void> {
    await until(async () => {
      const rows = await this.sql.rows(
        `select 1 from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'`,
        [session.pid],
      );
      return rows.length === 1;
    });
  }

  async close(): Promise<void> {
    for (const session of this.sessions) await session.client.end().catch(() => undefined);
    await this.database.drop();
  }
}

/** Asks again until it is so; the timeout of the test is the only bound. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

/** Completed columns of one outcome, as the worker sends them. */
export function completed(leaseSeq: number, ...seqs: readonly number[]) {
  return {
    seqs,
    leaseSeqs: seqs.map(() => leaseSeq),
    startedAgoMs: seqs.map(() => 2),
    finishedAgoMs: seqs.map(() => 1),
    results: seqs.map(() => '"done"'),
  };
}

/** Outcomes that are no success. */
export function settled(settledAs: 2 | 3 | 5 | 6, leaseSeq: number, ...seqs: readonly number[]) {
  return {
    seqs,
    leaseSeqs: seqs.map(() => leaseSeq),
    settledAs: seqs.map(() => settledAs),
    delayMs: seqs.map(() => 0),
    startedAgoMs: seqs.map(() => 2),
    finishedAgoMs: seqs.map(() => 1),
    errors: seqs.map(() => '{"code":"odd"}'),
  };
}
