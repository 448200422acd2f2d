import { expect } from 'chai';
import type { Session } from '../../node/store/database.ts';
import { GraphReader } from '../../node/store/graph-reader.ts';
import { LeaseStore } from '../../node/store/lease-store.ts';
import { NodeRegistry } from '../../node/store/node-registry.ts';
import type { NodeFacts } from '../../node/store/node-registry.ts';
import type { Statements } from '../../node/store/pipeline.ts';
import { TaskChanges } from '../../node/store/task-changes.ts';
import { TypeControl } from '../../node/store/type-control.ts';
import { TermWriter } from '../../node/store/term-writer.ts';

/**
 * Sessions interleaved by hand: each statement is the one that a node runs, in a transaction that the
 * script begins, holds open and ends. The same scripts run on a real PostgreSQL (real-hands.ts) and on
 * the model of it that the simulation runs on (model-hands.ts), so that the model cannot lie. "Waits" is
 * read from the server's own list of who blocks whom. Where each of the twenty rules of exactly one
 * accepted outcome is tested, by files in test/ or in test/rules, without .test.ts; the scripts of
 * statements-* are in this folder:
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
 *   conformance/faces; api/interleavings
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
export const TERM = 5;
/** The node that holds leases here. */
export const NODE = 7;
export const OTHER_NODE = 8;

export interface HandSession extends Statements {
  /** Each statement is in a transaction of its own, except between these. */
  begin(): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
  /** For the classes that want rows by the names of their columns. */
  asSession(): Session;
  /** By an administrator: what is not committed is gone; resolves when its locks are free. */
  terminate(): Promise<void>;
  /** Resolves when the server has ended it. */
  readonly ended: Promise<void>;
  /** The statements of node/store/lock-session.ts. */
  tryLock(idleMs?: number): Promise<TriedLock>;
  /** The new term, or undefined where this session does not hold the lock. */
  bumpTerm(above: number, nodeId: number): Promise<number | undefined>;
  readTerm(): Promise<TermView>;
}

export interface TermView {
  readonly term: number;
  readonly nodeId: number | null;
  readonly name: string | null;
}

export interface TriedLock extends TermView {
  readonly taken: boolean;
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

/** Milliseconds since the epoch, by the server's clock. */
export interface Times {
  readonly liveStartedAtMs: number | null;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
}

/** What a script writes into a live row past the statements of a node. */
export interface LiveChange {
  readonly leaseSeq?: number;
  readonly nodeId?: number;
  readonly cancel?: boolean;
  /** From now by the server's clock. */
  readonly runInMs?: number;
  readonly leasedAgoMs?: number;
  readonly expiresInMs?: number;
}

export interface SketchedTask {
  readonly id: string;
  readonly type?: string;
  readonly dependencies?: readonly string[];
  readonly delayMs?: number;
  readonly ttlMs?: number;
}

export type Submitted = 'stored' | 'exist' | 'missing' | 'lease_lost';

/** What is in the tables, rows as arrays, times as whether there is one and whether it has passed. */
export type Tables = Readonly<Record<string, readonly (readonly unknown[])[]>>;

/** In an object, because an await would wait for a bare promise. */
export interface Blocked<T> {
  readonly answer: Promise<T>;
}

/** Either server, with sessions on it. */
export interface Hands {
  /** Two that are interleaved, and one that sets up and looks on. */
  readonly one: HandSession;
  readonly two: HandSession;
  readonly aside: HandSession;
  open(name: string): Promise<HandSession>;
  /** Tasks `t<seq>` with the numbers given, each depending on those named. */
  add(seqs: readonly number[], deps?: readonly number[]): Promise<void>;
  /** Changes a live row, or removes it. */
  alter(seq: number, change: LiveChange | 'remove'): Promise<void>;
  /** Marks a row of the inbox as one that is applied beside the rest. */
  markBulk(inboxId: number): Promise<void>;
  how(seq: number): Promise<Standing>;
  times(seq: number): Promise<Times>;
  tables(): Promise<Tables>;
  /** `select … for update` of one row. */
  hold(hand: HandSession, table: 'live' | 'task', seq: number): Promise<void>;
  /** As retention removes an ended task; the number of removed rows. */
  removeTask(hand: HandSession, seq: number): Promise<number>;
  /** node/store/submissions.ts over that session. */
  submit(hand: HandSession, tasks: readonly SketchedTask[]): Promise<Submitted>;
  /** The same for tasks that `parent` adds under its lease 1. */
  spawn(hand: HandSession, parent: number, tasks: readonly SketchedTask[]): Promise<Submitted>;
  /** Starts what must wait for another session, and comes back when it does. */
  blocked<T>(hand: HandSession, by: HandSession, start: () => Promise<T>): Promise<Blocked<T>>;
  /**
   * What runs is committed, and its answer never comes; the session given ends with it. Where it is a
   * transaction that ends with a `commit` of its own, that is what is not answered.
   */
  loseAnswer(run: (hand: HandSession) => Promise<unknown>, to?: 'commit'): Promise<void>;
}

/** A kind of server that scripts run on. */
export interface Backend {
  readonly name: string;
  open(): Promise<OpenBackend>;
}

export interface OpenBackend {
  /** As new, without tasks, in TERM. */
  reset(): Promise<Hands>;
  close(): Promise<void>;
}

export const leader = (hand: HandSession, term = TERM): TermWriter => new TermWriter(hand, term);
export const node = (hand: HandSession, nodeId = NODE): LeaseStore =>
  new LeaseStore(nodeId, hand, [hand]);
export const reader = (hand: HandSession): GraphReader => new GraphReader(hand);
export const registry = (hand: HandSession): NodeRegistry => new NodeRegistry(hand);
export const types = (hand: HandSession): TypeControl => new TypeControl(hand.asSession());
export const changes = (hand: HandSession): TaskChanges => new TaskChanges(hand.asSession());

/** Leases unheld tasks to NODE, all under the number they get first. */
export async function lease({ aside }: Hands, ...seqs: readonly number[]): Promise<void> {
  const zeros = seqs.map(() => 0);
  const nodes = seqs.map(() => NODE);
  const { seqs: leased } = await leader(aside).leaseMany(seqs, zeros, nodes);
  expect(leased, 'leased').to.have.length(seqs.length);
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

/** A node as it registers, the number in its incarnation. */
export function facts(number: number, types: readonly string[] = []): NodeFacts {
  return {
    incarnation: `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`,
    name: `node-${String(number)}`,
    bootId: 'boot',
    pidNamespace: 'pid:[1]',
    pid: 1,
    pidStarted: '1',
    httpUrl: 'http://127.0.0.1:1',
    grpcAddress: '127.0.0.1:1',
    slots: 1,
    types,
    simulates: true,
    labels: [],
    version: '0',
  };
}

/** What a promise was rejected with. */
export function refusal(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
}
