/** A list of 32-bit integers that grows by half: 4 bytes an element, and nothing for the collector. */
export class GrowingInt32 {
  #items: Int32Array;
  #length = 0;

  constructor(capacity = 16) {
    this.#items = new Int32Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#items.length) {
      const grown = new Int32Array(Math.ceil(this.#items.length * 1.5) + 16);
      grown.set(this.#items);
      this.#items = grown;
    }
    this.#items[this.#length] = value;
    this.#length += 1;
  }

  at(index: number): number {
    return this.#items[index] as number;
  }

  set(index: number, value: number): void {
    this.#items[index] = value;
  }

  /** The elements as they are now; shares their memory. */
  view(): Int32Array {
    return this.#items.subarray(0, this.#length);
  }
}
