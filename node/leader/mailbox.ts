import type { Clock } from '../base/clock.ts';
import { Waker } from '../base/waker.ts';
import type { SchedulerEvent } from '../core/events.ts';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Events for the loop, in the order they happened. A poster may wait until its events have been taken
 * in and all their effects carried out. Bounded by its posters: streams carry one heartbeat a second
 * and what their node holds, jobs wait for what they post.
 */
export class Mailbox {
  private readonly waker: Waker;
  private events: SchedulerEvent[] = [];
  private waiters: Waiter[] = [];
  /** Those whose events are being dealt with. */
  private taken: Waiter[] = [];
  private closed: Error | undefined;

  constructor(clock: Clock) {
    this.waker = new Waker(clock);
  }

  post(...events: SchedulerEvent[]): void {
    this.events.push(...events);
    this.waker.wake();
  }

  /** Resolves when these events and their effects are done; rejects when the term ends before. */
  postAndWait(...events: SchedulerEvent[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.closed !== undefined) {
        reject(this.closed);
        return;
      }
      this.waiters.push({ resolve, reject });
      this.post(...events);
    });
  }

  /** Nobody takes anything out any more: whoever waits is told so. */
  close(reason: Error): void {
    this.closed = reason;
    for (const { reject } of [...this.taken, ...this.waiters]) reject(reason);
    this.taken = [];
    this.waiters = [];
  }

  /** Everything there is; `done` is called when it has been dealt with. */
  take(): { readonly events: readonly SchedulerEvent[]; readonly done: () => void } {
    const { events } = this;
    this.events = [];
    this.taken = this.waiters;
    this.waiters = [];
    return {
      events,
      done: () => {
        for (const { resolve } of this.taken) resolve();
        this.taken = [];
      },
    };
  }

  /** Resolves at the next post, after `ms`, or when the signal aborts. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    await this.waker.wait(ms, signal);
  }
}
