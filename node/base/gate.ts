import { errors } from './errors.ts';

/** Lets a bounded number of holders in, and a bounded number wait, in order of arrival. */
export class Gate {
  readonly #places: number;
  readonly #waitingMax: number;
  #held = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number, waitingMax: number) {
    this.#places = places;
    this.#waitingMax = waitingMax;
  }

  /** Runs `work` as soon as a place is free; throws `overloaded` where too many wait already. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#held < this.#places) {
      this.#held += 1;
    } else {
      if (this.#waiting.length >= this.#waitingMax) {
        throw errors.overloaded('too many large requests are under way');
      }
      // The place is handed over by whoever leaves, so the count of the held stays as it is.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#held -= 1;
      else next();
    }
  }
}
