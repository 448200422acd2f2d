import type { Clock } from '../base/clock.ts';

/**
 * The time that a drain gives to what runs: until nothing is held, until it is taken back, or until it is
 * up. Then what is left is interrupted, and gets a little more to be settled.
 */
export interface Patience {
  readonly graceMs: number;
  /** Ends the grace: what runs is interrupted at once. */
  readonly signal: AbortSignal;
  readonly isIdle: () => boolean;
  readonly interrupt: () => void;
}

/** What the outcomes of interrupted tasks get to be settled at the end of a drain. */
const LAST_SETTLES_MS = 5000;
/** The same where it must be quick: more than a child gets between its signal and its kill. */
const HURRIED_SETTLES_MS = 2000;

export class Grace {
  private readonly clock: Clock;
  /** All and only the drains that wait: a node that drains may be told to stop. */
  private readonly ends = new Set<() => void>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Nothing is held any more, or no drain is wanted. */
  end(): void {
    for (const end of this.ends) end();
  }

  /** Resolves at the latest 5 s after the grace, 2 s after the signal. */
  async wait({ graceMs, signal, isIdle, interrupt }: Patience): Promise<void> {
    const { clock } = this;
    const cancelGrace = clock.after(graceMs, interrupt);
    await new Promise<void>((resolve) => {
      const end = (): void => {
        this.ends.delete(end);
        cancelGrace();
        cancelLast();
        cancelHurry?.();
        signal.removeEventListener('abort', hurry);
        resolve();
      };
      const hurry = (): void => {
        cancelHurry = clock.after(HURRIED_SETTLES_MS, end);
        interrupt();
      };
      let cancelHurry: (() => void) | undefined;
      const cancelLast = clock.after(graceMs + LAST_SETTLES_MS, end);
      this.ends.add(end);
      signal.addEventListener('abort', hurry, { once: true });
      if (isIdle()) end();
      else if (signal.aborted) hurry();
    });
  }
}
