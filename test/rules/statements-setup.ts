import { expect } from 'chai';
import { Client } from 'pg';
import { COLUMN_TYPES } from '../../node/store/column-types.ts';
import type { Session } from '../../node/store/database.ts';
import { LeaseStore } from '../../node/store/lease-store.ts';
import { PLANNER } from '../../node/store/pipeline.ts';
import type { Row, Statement, Statements } from '../../node/store/pipeline.ts';
import { TermWriter } from '../../node/store/term-writer.ts';
import { createTestDatabase } from '../support/postgres.ts';

/**
 * Sessions interleaved by hand: each statement is the one that a node runs, in a transaction that the
 * test begins, holds open and ends, on a real PostgreSQL. "Waits" is read from the server's own list
 * of who blocks whom. Where each of the twenty rules of exactly one accepted outcome is tested, by
 * files in test/ or beside this one, without .test.ts:
 *
 * - 1, every message is a hint; a fence before every write:
 *   statements-lease; scheduler/scheduler, model; workers/settle
 * - 2, no watermark; one inbox row in the same commit:
 *   api/interleavings, submit, batch; scheduler/model
 * - 3, `lease_seq` outlives the live row:
 *   statements-settle; workers/settle
 * - 4, an accepted outcome ends the lease in its statement:
 *   statements-settle; workers/worker
 * - 5, a load only adds; settles meanwhile are kept:
 *   scheduler/scheduler, model
 * - 6, in neither table, in one snapshot, is COMPLETED:
 *   statements-leader; scheduler/model
 * - 7, the handlers of a dead node may live on:
 *   workers/isolation
 * - 8, an inventory names its last message; terms rise:
 *   scheduler/scheduler; workers/worker, leader-contact
 * - 9, only returned rows are sent:
 *   statements-lease; scheduler/scheduler
 * - 10, a payload is read after the lease:
 *   statements-lease; workers/worker; api/tasks
 * - 11, locks by number, in chunks:
 *   statements-leader; workers/settle; api/batch
 * - 12, a marked row ends as CANCELLED:
 *   statements-settle; workers/outcomes
 * - 13, a retry revives what was SKIPPED below:
 *   statements-leader
 * - 14, subscribe, read, wait:
 *   api/wait
 * - 15, no dependency is removed under a submit:
 *   api/interleavings
 * - 16, a body is read whole before its transaction:
 *   api/batch, spool
 * - 17, an outcome is charged, a lease is not:
 *   statements-lease; workers/drain, isolation
 * - 18, reclaim needs the clock of the database too:
 *   statements-leader; workers/leader-contact
 * - 19, instants are of the clock of the database:
 *   statements-settle; workers/settle
 * - 20, longest paths in bounded steps:
 *   core/critical-path
 */

/** The term that is led here. */
const TERM = 5;
/** The node that holds leases here. */
export const NODE = 7;
export const OTHER_NODE = 8;

/** Nothing here waits so long unless it waits for ever. */
const DEADLINE_MS = 15_000;
const POLL_MS = 3;

export class HandSession implements Statements {
  readonly pid: number;
  private readonly client: Client;

  private constructor(client: Client, pid: number) {
    this.client = client;
    this.pid = pid;
  }

  static async open(url: string, name: string): Promise<HandSession> {
    const client = new Client({
      connectionString: url,
      application_name: name,
      options: `-c statement_timeout=${String(DEADLINE_MS)} ${PLANNER}`,
      types: COLUMN_TYPES,
    });
    // The database is dropped under sessions that a failed test left open.
    client.on('error', () => undefined);
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    return new HandSession(client, rows[0]?.pid ?? 0);
  }

  async query(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    const query = { ...statement, values: values as unknown[], rowMode: 'array' as const };
    return (await this.client.query<unknown[]>(query)).rows;
  }

  /** For the classes that want rows by the names of their columns. */
  asSession(): Session {
    return {
      query: async <R>(statement: { readonly text: string }, values: readonly unknown[] = []) =>
        (await this.client.query({ ...statement, values: values as unknown[] })).rows as R[],
    };
  }

  async sql<R>(text: string, values: readonly unknown[] = []): Promise<R[]> {
    return (await this.client.query({ text, values: values as unknown[] })).rows as R[];
  }

  async begin(): Promise<void> {
    await this.client.query('begin');
  }

  async commit(): Promise<void> {
    await this.client.query('commit');
  }

  async rollback(): Promise<void> {
    await this.client.query('rollback');
  }

  async close(): Promise<void> {
    await this.client.end();
  }
}

/** How a task stands in all four tables. */
export interface Standing {
  readonly live: {
    readonly lease: number;
    readonly node: number | null;
    readonly attempt: number;
    readonly losses: number;
    readonly cancel: boolean;
  } | null;
  readonly task: {
    readonly status: number | null;
    readonly lease: number;
    readonly attempt: number;
  };
  /** `lease outcome`, by lease. */
  readonly attempts: readonly string[];
  readonly listed: number | null;
}

const STANDING = `
select json_build_object(
  'live', (select json_build_object('lease', lease_seq, 'node', node_id, 'attempt', attempt,
    'losses', losses, 'cancel', cancel) from skein.live where seq = t.seq),
  'task', json_build_object('status', status, 'lease', lease_seq, 'attempt', attempt),
  'attempts', array(select lease_seq || ' ' || outcome from skein.attempt
    where seq = t.seq order by lease_seq),
  'listed', (select status from skein.not_completed where seq = t.seq)) as standing
from skein.task t where seq = $1`;

export interface Hands {
  readonly url: string;
  /** Two that are interleaved, and one that sets up and looks on. */
  readonly one: HandSession;
  readonly two: HandSession;
  readonly aside: HandSession;
  /** The statements of the leader of TERM, and of NODE, on one of them. */
  readonly leader: (hand: HandSession) => TermWriter;
  readonly node: (hand: HandSession) => LeaseStore;
  readonly open: (name: string) => Promise<HandSession>;
  /** Tasks `t<seq>` with the numbers given, each depending on those named. */
  add(seqs: readonly number[], deps?: readonly number[]): Promise<void>;
  /** Leases unheld tasks to NODE, all under the number they get first. */
  lease(...seqs: readonly number[]): Promise<void>;
  how(seq: number): Promise<Standing>;
  /** Starts what must wait for another session, and comes back when it does. */
  readonly blocked: <T>(
    hand: HandSession,
    by: HandSession,
    start: () => Promise<T>,
  ) => Promise<Blocked<T>>;
  close(): Promise<void>;
}

/** In an object, because an await would wait for a bare promise. */
export interface Blocked<T> {
  readonly answer: Promise<T>;
}

export async function startHands(): Promise<Hands> {
  const database = await createTestDatabase();
  const { url } = database;
  const opened: HandSession[] = [];
  const open = async (name: string): Promise<HandSession> => {
    const hand = await HandSession.open(url, name);
    opened.push(hand);
    return hand;
  };
  const one = await open('one');
  const two = await open('two');
  const aside = await open('aside');
  await aside.sql(`insert into skein.type (name) values ('noop')`);
  await aside.sql('update skein.term set term = $1', [TERM]);
  const leader = (hand: HandSession) => new TermWriter(hand, TERM);
  return {
    url,
    one,
    two,
    aside,
    leader,
    node: (hand) => new LeaseStore(NODE, hand, [hand]),
    open,
    add: (seqs, deps = []) => addTasks(aside, seqs, deps),
    lease: async (...seqs) => {
      const zeros = seqs.map(() => 0);
      const nodes = seqs.map(() => NODE);
      const { seqs: leased } = await leader(aside).leaseMany(seqs, zeros, nodes);
      if (leased.length !== seqs.length) throw new Error('not all were leased');
    },
    how: async (seq) => {
      const [row] = await aside.sql<{ standing: string }>(STANDING, [seq]);
      return JSON.parse(row?.standing ?? 'null') as Standing;
    },
    blocked: (hand, by, start) => untilBlocked(aside, hand, by, start()),
    close: async () => {
      // What a failed test left waiting must not keep the others from ending.
      await aside.sql(
        `select pg_terminate_backend(pid) from pg_stat_activity
        where pid = any ($1::int[]) and pid <> pg_backend_pid() and state <> 'idle'`,
        [opened.map(({ pid }) => pid)],
      );
      for (const hand of opened) await hand.close().catch(() => undefined);
      await database.drop();
    },
  };
}

async function addTasks(
  hand: HandSession,
  seqs: readonly number[],
  deps: readonly number[],
): Promise<void> {
  await hand.sql(
    `with added as (
      insert into skein.task (seq, id, type_id, priority, max_attempts, trigger_rule,
        backoff_base_ms, backoff_max_ms, dependencies)
      select seq, 't' || seq, 1, 50, 3, 0, 100, 1000,
        array(select 't' || d from unnest($2::bigint[]) as d)
      from unnest($1::bigint[]) as seq returning seq)
    insert into skein.live (seq, type_id, expected_ms, priority, trigger_rule, has_duration, deps)
    select seq, 1, 1, 50, 0, false, $2::bigint[] from added`,
    [seqs, deps],
  );
}

async function untilBlocked<T>(
  aside: HandSession,
  hand: HandSession,
  by: HandSession,
  answer: Promise<T>,
): Promise<Blocked<T>> {
  const state = { hasEnded: false };
  const onEnd = (): void => {
    state.hasEnded = true;
  };
  answer.then(onEnd, onEnd);
  const deadline = performance.now() + DEADLINE_MS;
  while (performance.now() < deadline) {
    const [row] = await aside.sql<{ waits: boolean }>(
      'select $2::int = any (pg_blocking_pids($1::int)) as waits',
      [hand.pid, by.pid],
    );
    if (row?.waits === true) return { answer };
    if (state.hasEnded) expect.fail('the statement did not wait');
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  expect.fail('the statement does not wait for that session');
}

/** An outcome of one task, as SettledColumns with one row. */
export function settled(
  seq: number,
  leaseSeq: number,
  settledAs: 2 | 3 | 5 | 6,
): Parameters<LeaseStore['settleMany']>[0] {
  return {
    seqs: [seq],
    leaseSeqs: [leaseSeq],
    settledAs: [settledAs],
    delayMs: [0],
    startedAgoMs: [settledAs === 6 ? null : 0],
    finishedAgoMs: [0],
    errors: [settledAs === 6 ? null : '{"code":"thrown"}'],
  };
}

/** COMPLETED, begun and ended so many milliseconds ago. */
export function completed(
  seq: number,
  leaseSeq: number,
  startedAgoMs = 0,
  finishedAgoMs = 0,
): Parameters<LeaseStore['completeMany']>[0] {
  return {
    seqs: [seq],
    leaseSeqs: [leaseSeq],
    startedAgoMs: [startedAgoMs],
    finishedAgoMs: [finishedAgoMs],
    results: ['null'],
  };
}
