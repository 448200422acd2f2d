/**
 * Since when tasks are ready, to the second: how many of each second there are, and which second each row
 * belongs to. What is asked is only how long the one that waits longest has waited, and a heap of priorities
 * cannot say that. Four bytes a row, and nothing to search.
 */
export class ReadyAges {
  #secondOf = new Int32Array(1024);
  /** All and only the seconds of which a row is ready; the earliest first, because time only grows. */
  readonly #counts = new Map<number, number>();

  enter(row: number, nowMs: number): void {
    if (row >= this.#secondOf.length) {
      const grown = new Int32Array(Math.max(row + 1, Math.ceil(this.#secondOf.length * 1.5)));
      grown.set(this.#secondOf);
      this.#secondOf = grown;
    }
    const second = Math.floor(nowMs / 1000);
    this.#secondOf[row] = second;
    this.#counts.set(second, (this.#counts.get(second) ?? 0) + 1);
  }

  leave(row: number): void {
    const second = this.#secondOf[row] as number;
    const left = (this.#counts.get(second) ?? 0) - 1;
    if (left > 0) this.#counts.set(second, left);
    else this.#counts.delete(second);
  }

  /** Of the one that waits longest; 0 where none is ready. */
  oldestMs(nowMs: number): number {
    const [oldest] = this.#counts.keys();
    return oldest === undefined ? 0 : Math.max(0, nowMs - oldest * 1000);
  }
}
