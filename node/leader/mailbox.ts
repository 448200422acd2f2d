import type { Clock } from '../base/clock.ts';
import { Waker } from '../base/waker.ts';
import type { SchedulerEvent } from '../core/events.ts';

/**
 * Events for the loop, in the order they happened. A poster may wait until its events have been taken
 * in and all their effects carried out. Bounded by its posters: streams carry one heartbeat a second
 * and what their node holds, jobs wait for what they post.
 */
export class Mailbox {
  private readonly waker: Waker;
  private events: SchedulerEvent[] = [];
  private waiters: (() => void)[] = [];

  constructor(clock: Clock) {
    this.waker = new Waker(clock);
  }

  post(...events: SchedulerEvent[]): void {
    this.events.push(...events);
    this.waker.wake();
  }

  /** Resolves when these events and their effects are done; never, when the term ends before. */
  postAndWait(...events: SchedulerEvent[]): Promise<void> {
    return new Promise((resolve) => {
      this.waiters.push(resolve);
      this.post(...events);
    });
  }

  /** Everything there is; `done` is called when it has been dealt with. */
  take(): { readonly events: readonly SchedulerEvent[]; readonly done: () => void } {
    const { events, waiters } = this;
    this.events = [];
    this.waiters = [];
    return {
      events,
      done: () => {
        for (const resolve of waiters) resolve();
      },
    };
  }

  /** Resolves at the next post, after `ms`, or when the signal aborts. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    await this.waker.wait(ms, signal);
  }
}
