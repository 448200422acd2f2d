import type { Rng } from '../../../node/base/clock.ts';
import { LOCK_SESSION, TASK_CHANGES, TYPE_CONTROL } from './faces.ts';
import { LEASE_STORE } from './lease-store.ts';
import { GRAPH_READER, NODE_REGISTRY } from './readers.ts';
import { Data } from './schema.ts';
import { SimSession, type Host, type SessionOptions } from './session.ts';
import type { Programs } from './statement.ts';
import { SUBMISSIONS } from './submissions.ts';
import { TERM_WRITER } from './term-writer.ts';
import { Transaction, type Change, type Laws } from './transaction.ts';

/**
 * A PostgreSQL for the simulator: sessions that run named statements one after the other, each in a
 * transaction of its own or in one that was begun by hand. Between any two steps of a statement other
 * sessions may go on, as far as the row locks let them; what is committed stays, also when the server
 * crashes or when nobody is left to hear of it.
 *
 * What it is not: a PostgreSQL that loses what it has committed, or a planner. Which rows a statement
 * locks in which order is written down in its program; test/conformance runs the same scripts of
 * interleaved sessions against this and against the real one.
 */
export const PROGRAMS: Programs = {
  ...LEASE_STORE,
  ...TERM_WRITER,
  ...GRAPH_READER,
  ...NODE_REGISTRY,
  ...TASK_CHANGES,
  ...TYPE_CONTROL,
  ...SUBMISSIONS,
  ...LOCK_SESSION,
};

export interface ServerDeps {
  /** Calls back after so many milliseconds; the pace of everything that the server does. */
  readonly after: (ms: number, action: () => void) => () => void;
  readonly rng: Rng;
  /** Time that only grows, beside the clock that people see and may set. */
  readonly nowMs: () => number;
  readonly clockMs: () => number;
  readonly laws?: Laws;
  /** What a test does past the statements of the roles. */
  readonly morePrograms?: Programs;
  /** Every commit, in the order in which they become visible. */
  readonly onCommit?: (commit: Commit) => void;
}

export interface Commit {
  readonly statement: string;
  readonly fencedBy: number | undefined;
  readonly changes: readonly Change[];
}

/** What each step takes: most of the time nearly nothing, now and then as long as a slow disk. */
export interface Pace {
  readonly stepMs: number;
  readonly commitMs: number;
  /** The share of steps between which others are let in. */
  readonly interleaving: number;
}

export const PACE: Pace = { stepMs: 0.05, commitMs: 0.5, interleaving: 0.3 };

export class SimServer implements Host {
  readonly data: Data;
  readonly programs: Programs;
  readonly laws: Laws;
  pace = PACE;
  /** The share of commits whose connection breaks before they are answered. */
  answersLost = 0;
  /** Called at each commit that has changed something. */
  onCommitted: ((statement: string, owner: string) => void) | undefined;
  isUp = true;
  /** Deadlocks that were found and broken. */
  deadlocks = 0;
  /**
   * When the leader's lock was last taken from its holder by force: by an administrator, a crash, a
   * connection that was reset. Then the holder believes in it until it hears of that; what it could
   * still do the fence refuses.
   */
  lockForcedAtMs = -Infinity;
  private readonly deps: ServerDeps;
  private readonly sessions = new Set<SimSession>();
  private lockHolder: SimSession | undefined;
  private commits = 0;
  private pids = 0;

  constructor(deps: ServerDeps) {
    this.deps = deps;
    this.programs = { ...PROGRAMS, ...deps.morePrograms };
    this.laws = deps.laws ?? { rechecks: true };
    this.data = new Data(deps.clockMs);
    const transaction = new Transaction(this.laws, 0);
    const none = { term: 0, nodeId: 0, name: '', grpcAddress: '', httpUrl: '' };
    this.data.term.slot(1).write(transaction, none);
    this.data.term.slot(1).end(transaction, 0);
  }

  /** Undefined while the server is down. */
  connect(options: SessionOptions): SimSession | undefined {
    if (!this.isUp) return undefined;
    const session = new SimSession(this, (this.pids += 1), options);
    this.sessions.add(session);
    return session;
  }

  get sessionCount(): number {
    return this.sessions.size;
  }

  /** All sessions end, what is not committed is gone; connections are refused until `start`. */
  crash(): void {
    this.isUp = false;
    for (const session of [...this.sessions]) session.terminate('the server crashed');
  }

  start(): void {
    this.isUp = true;
  }

  /** Ends the session that holds the leader's lock, as an administrator may. */
  terminateLockHolder(): void {
    this.lockHolder?.terminate('terminating connection due to administrator command');
  }

  terminateAny(): void {
    const sessions = [...this.sessions];
    const at = Math.floor(this.deps.rng.random() * sessions.length);
    sessions[at]?.terminate('terminating connection due to administrator command');
  }

  // What follows is for the sessions.

  begin(): Transaction {
    return new Transaction(this.laws, this.commits);
  }

  snapshot(): number {
    return this.commits;
  }

  commit(transaction: Transaction, statement: string, owner: string): void {
    this.commits += 1;
    const changes = transaction.end(this.commits);
    const { fencedBy } = transaction;
    this.deps.onCommit?.({ statement, fencedBy, changes });
    if (changes.length > 0) this.onCommitted?.(statement, owner);
  }

  isAnswerLost(): boolean {
    return this.answersLost > 0 && this.deps.rng.random() < this.answersLost;
  }

  after(ms: number, action: () => void): () => void {
    return this.deps.after(ms, action);
  }

  /** Called before the session ends against the will of its client. */
  force(session: SimSession): void {
    if (this.lockHolder === session) this.lockForcedAtMs = this.deps.nowMs();
  }

  /** Whether others are let in here, and how long it takes. */
  pauseMs(): number | undefined {
    const { rng } = this.deps;
    const { interleaving, stepMs } = this.pace;
    return rng.random() < interleaving ? rng.random() * 2 * stepMs : undefined;
  }

  commitMs(): number {
    return this.deps.rng.random() * 2 * this.pace.commitMs;
  }

  tryTakeLock(session: SimSession): boolean {
    if (this.lockHolder !== undefined && this.lockHolder !== session) return false;
    this.lockHolder = session;
    return true;
  }

  holdsLock(session: SimSession): boolean {
    return this.lockHolder === session;
  }

  forget(session: SimSession): void {
    this.sessions.delete(session);
    if (this.lockHolder === session) this.lockHolder = undefined;
  }
}
