import type { Clock } from '../../node/base/clock.ts';

/** Time that stands still until it is told to pass. */
export class ModelClock implements Clock {
  nowMs = 0;
  private timers: { readonly atMs: number; readonly action: () => void }[] = [];

  monotonicMs(): number {
    return this.nowMs;
  }

  after(ms: number, action: () => void): () => void {
    const timer = { atMs: this.nowMs + ms, action };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        cancel();
        reject(new Error('aborted', { cause: signal?.reason }));
      };
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      if (signal?.aborted === true) onAbort();
      else signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** To the next timer; returns the milliseconds that passed. */
  advance(): number {
    const next = this.timers.reduce((a, b) => (b.atMs < a.atMs ? b : a));
    this.timers = this.timers.filter((timer) => timer !== next);
    const passedMs = Math.max(0, next.atMs - this.nowMs);
    this.nowMs += passedMs;
    next.action();
    return passedMs;
  }
}
