/**
 * Simulated time: what is to happen, in the order of its instant, ties in the order in which they were
 * asked for. Nothing else in a simulation makes anything happen, so a seed decides everything.
 */
interface Entry {
  readonly atMs: number;
  readonly order: number;
  action: (() => void) | undefined;
}

export class Timeline {
  nowMs = 0;
  /** Everything that has happened so far, counted. */
  happened = 0;
  private readonly heap: Entry[] = [];
  private lastOrder = 0;
  private isTouched = false;

  /** Calls `action` after `ms`; the returned function takes it back. */
  after(ms: number, action: () => void): () => void {
    const entry: Entry = { atMs: this.nowMs + Math.max(0, ms), order: this.lastOrder++, action };
    this.push(entry);
    return () => {
      entry.action = undefined;
    };
  }

  /** Role code was called: what it awaits must come to its next stop before anything else happens. */
  touch(): void {
    this.isTouched = true;
  }

  /** The next thing happens; false where nothing is left. */
  async happen(): Promise<boolean> {
    for (;;) {
      const entry = this.pop();
      if (entry === undefined) return false;
      const { action } = entry;
      if (action === undefined) continue;
      this.nowMs = entry.atMs;
      this.happened += 1;
      action();
      if (this.isTouched) await this.settle();
      return true;
    }
  }

  /** Every promise that can go on has gone on. */
  async settle(): Promise<void> {
    this.isTouched = false;
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }

  private push(entry: Entry): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (isEarlier(heap[above] as Entry, entry)) break;
      heap[at] = heap[above] as Entry;
      at = above;
    }
    heap[at] = entry;
  }

  private pop(): Entry | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      const right = heap[below + 1];
      if (right !== undefined && isEarlier(right, heap[below] as Entry)) below += 1;
      if (isEarlier(last, heap[below] as Entry)) break;
      heap[at] = heap[below] as Entry;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function isEarlier(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
