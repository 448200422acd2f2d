import type { Clock } from '../base/clock.ts';

/**
 * The database's time without asking it each time: its last reading, and the monotonic time since the
 * reading *arrived*, so that the estimate is never ahead of the truth by more than the drift of two
 * clocks in a second. A task is due when this says so; the lease statement checks again.
 */
export class DatabaseClock {
  private readonly clock: Clock;
  private readMs = 0;
  private readAtMs: number;

  constructor(clock: Clock) {
    this.clock = clock;
    this.readAtMs = clock.monotonicMs();
  }

  /** A reading that has just arrived, milliseconds since the epoch. */
  set(readMs: number): void {
    this.readMs = readMs;
    this.readAtMs = this.clock.monotonicMs();
  }

  nowMs(): number {
    return this.readMs === 0 ? 0 : this.readMs + this.clock.monotonicMs() - this.readAtMs;
  }
}
