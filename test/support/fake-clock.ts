import type { Clock } from '../../node/base/clock.ts';

interface Timer {
  readonly atMs: number;
  readonly action: () => void;
}

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  private nowMs = 1000;
  private timers: Timer[] = [];

  monotonicMs(): number {
    return this.nowMs;
  }

  after(ms: number, action: () => void): () => void {
    const timer = { atMs: this.nowMs + ms, action };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((one) => one !== timer);
    };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        cancel();
        reject(signal?.reason as Error);
      };
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      if (signal?.aborted === true) onAbort();
      else signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Timers that have not fired and were not taken back. */
  get pending(): number {
    return this.timers.length;
  }

  /** Fires what falls due on the way, in its order, and lets what follows from each happen. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    for (;;) {
      await settled();
      const next = this.timers.reduce<Timer | undefined>(
        (first, timer) => (first === undefined || timer.atMs < first.atMs ? timer : first),
        undefined,
      );
      if (next === undefined || next.atMs > untilMs) break;
      this.timers = this.timers.filter((one) => one !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.action();
    }
    this.nowMs = untilMs;
    await settled();
  }

  /** As a process that was frozen: time has passed, and no timer has fired. */
  jump(ms: number): void {
    this.nowMs += ms;
  }
}

/** All that is promised and not waiting for time has happened. */
async function settled(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}
