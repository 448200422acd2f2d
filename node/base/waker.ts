import type { Clock } from './clock.ts';

/** Lets one loop sleep until somebody has news for it; news while it is awake is kept. */
export class Waker {
  private readonly clock: Clock;
  private hasNews = false;
  private end: (() => void) | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  wake(): void {
    this.hasNews = true;
    this.end?.();
  }

  /** Resolves at news, after `ms`, or when the signal aborts; true where there was news. */
  async wait(ms: number, signal: AbortSignal): Promise<boolean> {
    if (!this.hasNews && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const end = (): void => {
          this.end = undefined;
          cancel();
          signal.removeEventListener('abort', end);
          resolve();
        };
        const cancel = this.clock.after(ms, end);
        signal.addEventListener('abort', end, { once: true });
        this.end = end;
      });
    }
    const { hasNews } = this;
    this.hasNews = false;
    return hasNews;
  }
}
