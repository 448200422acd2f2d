import { errors, toError } from './errors.ts';

/** Lets a bounded number of holders in, and a bounded number wait, in order of arrival. */
export class Gate {
  readonly #places: number;
  readonly #waitingMax: number;
  #held = 0;
  readonly #waiting = new Set<() => void>();

  constructor(places: number, waitingMax: number) {
    this.#places = places;
    this.#waitingMax = waitingMax;
  }

  /**
   * Runs `work` as soon as a place is free; throws `overloaded` where too many wait already, and the
   * signal's reason where that comes before the place.
   */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#held < this.#places) {
      this.#held += 1;
    } else {
      if (this.#waiting.size >= this.#waitingMax) {
        throw errors.overloaded('too many large requests are under way');
      }
      // The place is handed over by whoever leaves, so the count of the held stays as it is.
      await this.#turn(signal);
    }
    try {
      return await work();
    } finally {
      const [next] = this.#waiting;
      if (next === undefined) this.#held -= 1;
      else next();
    }
  }

  async #turn(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(enter);
        signal?.removeEventListener('abort', onAbort);
      };
      const enter = (): void => {
        leave();
        resolve();
      };
      const onAbort = (): void => {
        leave();
        reject(toError(signal?.reason));
      };
      this.#waiting.add(enter);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
