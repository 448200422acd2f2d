import { errors, toError } from './errors.ts';

/**
 * Gathers single items into batches, by what is there and never by a timer: the first item starts a
 * run at once, and all that arrive while it is under way make up the next. An idle caller pays no
 * wait, a busy one pays for a commit with many.
 *
 * The queue is bounded: what would overflow it is refused with `overloaded`, so that a slow database
 * shows as 429 to the client and not as memory of this process.
 */
export interface BatcherSettings<Item, Result> {
  /** Answers for each item, in order. A throw is the answer to every item of the batch. */
  readonly run: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly batchSizeMax: number;
  /** Items that wait, those under way not counted. */
  readonly queueSizeMax: number;
  /** Batches under way at once; 1 makes the largest batches. */
  readonly concurrency?: number;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

export class Batcher<Item, Result> {
  readonly #settings: BatcherSettings<Item, Result>;
  #queue: Waiting<Item, Result>[] = [];
  #running = 0;
  #stopped = false;
  #onIdle: (() => void)[] = [];

  constructor(settings: BatcherSettings<Item, Result>) {
    this.#settings = settings;
  }

  /** Resolves with this item's own result; rejects with `overloaded`, `stopping`, or what run threw. */
  add(item: Item): Promise<Result> {
    if (this.#stopped) return Promise.reject(errors.stopping());
    if (this.#queue.length >= this.#settings.queueSizeMax) {
      return Promise.reject(errors.overloaded('too many requests wait for the database'));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, resolve, reject });
      this.#maybeRun();
    });
  }

  /** Refuses new items; resolves when those already taken in are answered. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#running === 0 && this.#queue.length === 0) return;
    await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  #maybeRun(): void {
    if (this.#running >= (this.#settings.concurrency ?? 1)) return;
    if (this.#queue.length === 0) {
      if (this.#running === 0) this.#onIdle.splice(0).forEach((resolve) => resolve());
      return;
    }
    const batch = this.#queue.splice(0, this.#settings.batchSizeMax);
    this.#running += 1;
    void this.#runOnce(batch);
  }

  async #runOnce(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    let answer: (waiting: Waiting<Item, Result>, index: number) => void;
    try {
      const results = await this.#settings.run(batch.map(({ item }) => item));
      if (results.length !== batch.length) throw new Error('a batch was answered in part');
      answer = ({ resolve }, index) => {
        resolve(results[index] as Result);
      };
    } catch (thrown) {
      const error = toError(thrown);
      answer = ({ reject }) => {
        reject(error);
      };
    }
    // The next run is under way before those who waited for this one wake up.
    this.#running -= 1;
    this.#maybeRun();
    batch.forEach(answer);
  }
}
