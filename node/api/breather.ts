import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../base/clock.ts';

/** Work in one piece on the event loop: heartbeats share it, and tolerate some tens of milliseconds. */
const SLICE_MS = 10;

/** Lets the event loop turn between the slices of a long piece of work. */
export class Breather {
  readonly #clock: Clock;
  #sliceStartMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sliceStartMs = clock.monotonicMs();
  }

  async maybeBreathe(): Promise<void> {
    if (this.#clock.monotonicMs() - this.#sliceStartMs < SLICE_MS) return;
    await setImmediate();
    this.#sliceStartMs = this.#clock.monotonicMs();
  }

  /** Runs a paused pass to its end. */
  async run<T>(pass: Generator<undefined, T>): Promise<T> {
    for (;;) {
      const step = pass.next();
      if (step.done === true) return step.value;
      await this.maybeBreathe();
    }
  }
}
