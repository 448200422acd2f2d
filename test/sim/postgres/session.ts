import type { Data } from './schema.ts';
import type { Programs, Row } from './statement.ts';
import { ServerError, STEP, type Laws, type Stop, type Transaction } from './transaction.ts';

/** What a session needs of its server. */
export interface Host {
  readonly data: Data;
  readonly programs: Programs;
  readonly laws: Laws;
  /** Deadlocks that were found and broken. */
  deadlocks: number;
  begin(): Transaction;
  /** The number of the last commit. */
  snapshot(): number;
  commit(transaction: Transaction, statement: string, owner: string): void;
  isAnswerLost(): boolean;
  after(ms: number, action: () => void): () => void;
  /** Whether others are let in here, and how long it takes. */
  pauseMs(): number | undefined;
  commitMs(): number;
  tryTakeLock(session: SimSession): boolean;
  holdsLock(session: SimSession): boolean;
  /** Called before the session ends against the will of its client. */
  force(session: SimSession): void;
  forget(session: SimSession): void;
}

export type Answer = { readonly rows: readonly Row[] } | { readonly error: Error };

export interface SessionOptions {
  /** Who has opened it. */
  readonly owner: string;
  readonly statementTimeoutMs: number;
  /** The session is over, by the server's doing. */
  readonly onEnded: (reason: string) => void;
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
  private readonly server: Host;
  private readonly options: SessionOptions;
  private readonly queue: (() => void)[] = [];
  private running: Running | undefined;
  /** Of `begin` … `commit`. */
  private transaction: Transaction | undefined;
  /** A statement of it has failed: nothing is done any more until its end, which is a rollback. */
  private hasFailed = false;
  private idleTimeoutMs = Infinity;
  private cancelIdle: () => void = () => undefined;
  private isEnded = false;
  private isAbandoned = false;

  constructor(server: Host, pid: number, options: SessionOptions) {
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
    if (this.transaction !== undefined)
      this.server.commit(this.transaction, 'commit', this.options.owner);
    this.transaction = undefined;
    this.hasFailed = false;
  }

  rollback(): void {
    this.transaction?.end(undefined);
    this.transaction = undefined;
    this.hasFailed = false;
  }

  /** Whether its statement waits for a lock of another. */
  get isBlocked(): boolean {
    return (this.running?.transaction.waitsFor.length ?? 0) > 0;
  }

  isBlockedBy(other: SimSession): boolean {
    const blockers: readonly unknown[] = this.running?.transaction.waitsFor ?? [];
    return blockers.includes(other.transaction ?? other.running?.transaction);
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
    if (this.hasFailed) {
      answer({ error: new ServerError('25P02', 'current transaction is aborted') });
      this.next();
      return;
    }
    const program = server.programs[name];
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
      const { hasWritten } = running.transaction;
      this.server.commit(running.transaction, running.name, this.options.owner);
      if (hasWritten && this.server.isAnswerLost()) {
        this.server.laws.count?.('an answer was lost');
        this.terminate('the connection broke');
      } else this.over(running, { rows });
    });
  }

  private fail(running: Running, error: Error): void {
    if (running.isOver) return;
    if ((error as { code?: unknown }).code === '40P01') this.server.deadlocks += 1;
    running.transaction.waitsFor = [];
    running.transaction.end(undefined);
    if (this.transaction !== undefined) this.hasFailed = true;
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
