import type { Clock } from '../base/clock.ts';
import { errors } from '../base/errors.ts';
import type { FeedPort, LogPort, TaskReaderPort } from './ports.ts';

/**
 * Requests that wait for a task to end (`?wait=`). Three ways lead to the news, none of them needed
 * alone:
 *
 *   1. The feed: the leader says that a task ended. Subscribed to *before* the task is read, so that
 *      an end between the two is not missed.
 *   2. A new term: the new leader knows of no subscription, so all are made anew, and all tasks are
 *      looked at once, for what ended in between.
 *   3. The poll: once a second one statement for all that wait on this node.
 *
 * Each of them only wakes a request, which then reads the task: what it answers is always PostgreSQL's.
 */
export interface WaiterDeps {
  readonly clock: Clock;
  readonly feed: FeedPort;
  readonly tasks: Pick<TaskReaderPort, 'endedMany'>;
  readonly log: LogPort;
  readonly waitersMax?: number;
}

const WAITERS_MAX = 10_000;
const POLL_MS = 1000;

interface Waiting {
  readonly seq: number;
  /** Set by news that came while the request was reading. */
  hinted: boolean;
  /** Its time is up, or its client is gone. */
  isOver: boolean;
  wake: () => void;
}

export class Waiter {
  readonly #deps: WaiterDeps;
  /** All and only the requests that wait now, by task. */
  readonly #waiting = new Map<number, Set<Waiting>>();
  #count = 0;
  #stopped = false;
  #cancelPoll: (() => void) | null = null;
  #polling = false;
  #unsubscribe: readonly (() => void)[];

  constructor(deps: WaiterDeps) {
    this.#deps = deps;
    this.#unsubscribe = [
      deps.feed.onEnded((seqs) => {
        this.#wakeAll(seqs);
      }),
      deps.feed.onTerm(() => {
        deps.feed.watch([...this.#waiting.keys()]);
        this.#pollSoon(0);
      }),
    ];
  }

  get count(): number {
    return this.#count;
  }

  /**
   * Reads until the task has ended or `waitMs` are over, and returns what was read last. Ends early
   * when the signal aborts or the waiter stops. Throws `overloaded` beyond the number of waiters.
   */
  async until<T>(
    seq: number,
    waitMs: number,
    signal: AbortSignal,
    read: () => Promise<T>,
    isEnded: (value: T) => boolean,
  ): Promise<T> {
    if (this.#count >= (this.#deps.waitersMax ?? WAITERS_MAX)) {
      throw errors.overloaded('too many requests wait for tasks on this node');
    }
    const waiting: Waiting = { seq, hinted: false, isOver: signal.aborted, wake: () => undefined };
    const end = (): void => {
      waiting.isOver = true;
      waiting.wake();
    };
    const cancelTimer = this.#deps.clock.after(waitMs, end);
    signal.addEventListener('abort', end, { once: true });
    this.#add(waiting);
    try {
      for (;;) {
        const value = await read();
        if (isEnded(value) || waiting.isOver || this.#stopped) return value;
        if (!waiting.hinted) await new Promise<void>((resolve) => (waiting.wake = resolve));
        waiting.hinted = false;
      }
    } finally {
      this.#remove(waiting);
      cancelTimer();
      signal.removeEventListener('abort', end);
    }
  }

  /** Ends every wait; each is answered with its task as it is. */
  stop(): void {
    this.#stopped = true;
    this.#unsubscribe.forEach((unsubscribe) => unsubscribe());
    this.#unsubscribe = [];
    this.#cancelPoll?.();
    this.#cancelPoll = null;
    this.#wakeAll([...this.#waiting.keys()]);
  }

  #add(waiting: Waiting): void {
    this.#count += 1;
    const others = this.#waiting.get(waiting.seq);
    if (others === undefined) {
      this.#waiting.set(waiting.seq, new Set([waiting]));
      this.#deps.feed.watch([waiting.seq]);
    } else {
      others.add(waiting);
    }
    if (this.#cancelPoll === null && !this.#polling && !this.#stopped) this.#pollSoon(POLL_MS);
  }

  #remove(waiting: Waiting): void {
    this.#count -= 1;
    const all = this.#waiting.get(waiting.seq);
    all?.delete(waiting);
    if (all?.size !== 0) return;
    this.#waiting.delete(waiting.seq);
    this.#deps.feed.unwatch([waiting.seq]);
  }

  #wakeAll(seqs: readonly number[]): void {
    for (const seq of seqs) {
      for (const waiting of this.#waiting.get(seq) ?? []) {
        waiting.hinted = true;
        waiting.wake();
      }
    }
  }

  #pollSoon(ms: number): void {
    if (this.#stopped || this.#polling) return;
    this.#cancelPoll?.();
    this.#cancelPoll = this.#deps.clock.after(ms, () => {
      this.#cancelPoll = null;
      this.#polling = true;
      void this.#poll().finally(() => {
        this.#polling = false;
        if (this.#waiting.size > 0) this.#pollSoon(POLL_MS);
      });
    });
  }

  async #poll(): Promise<void> {
    const seqs = [...this.#waiting.keys()];
    if (seqs.length === 0) return;
    try {
      this.#wakeAll(await this.#deps.tasks.endedMany(seqs));
    } catch (thrown) {
      // The next poll is a second away; a request whose time is up reads for itself.
      this.#deps.log.debug('the poll for ended tasks failed', { error: String(thrown) });
    }
  }
}
