import type { Rng } from '../../../node/base/clock.ts';
import { LOCK_SESSION, SUBMISSIONS, TASK_CHANGES } from './faces.ts';
import { LEASE_STORE } from './lease-store.ts';
import { GRAPH_READER, NODE_REGISTRY } from './readers.ts';
import { Data } from './schema.ts';
import type { Programs, Row } from './statement.ts';
import { TERM_WRITER } from './term-writer.ts';
import { ServerError, Transaction, type Change, type Laws, type Stop } from './transaction.ts';
import { STEP } from './transaction.ts';

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
  /** Every commit, in the order in which they become visible. */
  readonly onCommit?: (commit: Commit) => void;
}

export interface Commit {
  readonly statement: string;
  readonly fencedBy: number | undefined;
  readonly changes: readonly Change[];
}

export type Answer = { readonly rows: readonly Row[] } | { readonly error: Error };

export interface SessionOptions {
  readonly statementTimeoutMs: number;
  /** The session is over, by the server's doing. */
  readonly onEnded: (reason: string) => void;
}

/** What each step takes: most of the time nearly nothing, now and then as long as a slow disk. */
export interface Pace {
  readonly stepMs: number;
  readonly commitMs: number;
  /** The share of steps between which others are let in. */
  readonly interleaving: number;
}

export const PACE: Pace = { stepMs: 0.05, commitMs: 0.5, interleaving: 0.3 };

export class SimServer {
  readonly data: Data;
  readonly laws: Laws;
  pace = PACE;
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

  commit(transaction: Transaction, statement: string): void {
    this.commits += 1;
    const changes = transaction.end(this.commits);
    const { fencedBy } = transaction;
    this.deps.onCommit?.({ statement, fencedBy, changes });
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

interface Running {
  readonly name: string;
  readonly steps: Generator<Stop, readonly Row[], undefined>;
  readonly transaction: Transaction;
  readonly answer: (answer: Answer) => void;
  cancelTimeout: () => void;
  isOver: boolean;
}

export class SimSession {
  readonly pid: number;
  private readonly server: SimServer;
  private readonly options: SessionOptions;
  private readonly queue: (() => void)[] = [];
  private running: Running | undefined;
  /** Of `begin` … `commit`. */
  private transaction: Transaction | undefined;
  private idleTimeoutMs = Infinity;
  private cancelIdle: () => void = () => undefined;
  private isEnded = false;
  private isAbandoned = false;

  constructor(server: SimServer, pid: number, options: SessionOptions) {
    this.server = server;
    this.pid = pid;
    this.options = options;
  }

  /** Statements run in the order in which they come; each is answered unless the session ends. */
  execute(name: string, values: readonly unknown[], answer: (answer: Answer) => void): void {
    this.queue.push(() => {
      this.run(name, values, answer);
    });
    if (this.running === undefined) this.next();
  }

  begin(): void {
    this.transaction = this.server.begin();
  }

  commit(): void {
    if (this.transaction !== undefined) this.server.commit(this.transaction, 'commit');
    this.transaction = undefined;
  }

  rollback(): void {
    this.transaction?.end(undefined);
    this.transaction = undefined;
  }

  /** Whether its statement waits for a lock of another. */
  get isBlocked(): boolean {
    return (this.running?.transaction.waitsFor.length ?? 0) > 0;
  }

  setIdleTimeout(ms: number): void {
    this.idleTimeoutMs = ms;
    if (this.running === undefined) this.startIdling();
  }

  /** The client is gone: what runs goes on to its end, as on a server that has not noticed. */
  abandon(): void {
    this.isAbandoned = true;
    this.queue.length = 0;
    if (this.running === undefined) this.end('the client is gone');
  }

  terminate(reason: string): void {
    this.server.force(this);
    this.end(reason);
  }

  /** The connection broke: the server learns of it before the client may. */
  reset(): void {
    this.server.force(this);
    this.abandon();
  }

  /** By the server: whatever is not committed is rolled back, locks are freed. */
  end(reason: string): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.queue.length = 0;
    this.cancelIdle();
    const { running } = this;
    this.running = undefined;
    if (running !== undefined) {
      running.isOver = true;
      running.cancelTimeout();
      running.transaction.end(undefined);
    }
    this.transaction?.end(undefined);
    this.server.forget(this);
    this.options.onEnded(reason);
  }

  private next(): void {
    if (this.isEnded) return;
    const start = this.queue.shift();
    if (start !== undefined) start();
    else if (this.isAbandoned) this.end('the client is gone');
    else this.startIdling();
  }

  private startIdling(): void {
    this.cancelIdle();
    if (this.idleTimeoutMs === Infinity || this.isEnded) return;
    this.cancelIdle = this.server.after(this.idleTimeoutMs, () => {
      this.end('terminating connection due to idle-session timeout');
    });
  }

  private run(name: string, values: readonly unknown[], answer: (answer: Answer) => void): void {
    const { server } = this;
    this.cancelIdle();
    const program = PROGRAMS[name];
    if (program === undefined) throw new Error(`the model knows no statement ${name}`);
    const transaction = this.transaction ?? server.begin();
    transaction.beginStatement(server.snapshot());
    const isMine = (): boolean => server.holdsLock(this);
    const context = {
      transaction,
      data: server.data,
      lock: {
        tryTake: () => server.tryTakeLock(this),
        get isMine() {
          return isMine();
        },
      },
      setIdleTimeout: (ms: number) => {
        this.idleTimeoutMs = ms;
      },
    };
    const running: Running = {
      name,
      steps: program(context, values),
      transaction,
      answer,
      cancelTimeout: () => undefined,
      isOver: false,
    };
    running.cancelTimeout = server.after(this.options.statementTimeoutMs, () => {
      this.fail(running, new ServerError('57014', 'canceling statement due to statement timeout'));
    });
    this.running = running;
    this.advance(running);
  }

  /** As many steps as there are until others are let in, a lock is in the way, or it is done. */
  private advance(running: Running): void {
    const { server } = this;
    for (;;) {
      if (running.isOver) return;
      let stop: IteratorResult<Stop, readonly Row[]>;
      try {
        stop = running.steps.next();
      } catch (thrown) {
        this.fail(running, thrown as Error);
        return;
      }
      if (stop.done === true) {
        this.finish(running, stop.value);
        return;
      }
      const go = (): void => {
        this.advance(running);
      };
      if (stop.value !== STEP) {
        stop.value.waitForRelease(() => server.after(0, go));
        return;
      }
      const pauseMs = server.pauseMs();
      if (pauseMs === undefined) continue;
      server.after(pauseMs, go);
      return;
    }
  }

  private finish(running: Running, rows: readonly Row[]): void {
    running.transaction.waitsFor = [];
    if (this.transaction !== undefined) {
      this.over(running, { rows });
      return;
    }
    this.server.after(running.transaction.hasWritten ? this.server.commitMs() : 0, () => {
      if (running.isOver) return;
      this.server.commit(running.transaction, running.name);
      this.over(running, { rows });
    });
  }

  private fail(running: Running, error: Error): void {
    if (running.isOver) return;
    if ((error as { code?: unknown }).code === '40P01') this.server.deadlocks += 1;
    running.transaction.waitsFor = [];
    running.transaction.end(undefined);
    this.transaction = undefined;
    this.over(running, { error });
  }

  private over(running: Running, answer: Answer): void {
    running.isOver = true;
    running.cancelTimeout();
    this.running = undefined;
    if (!this.isAbandoned) running.answer(answer);
    this.next();
  }
}
