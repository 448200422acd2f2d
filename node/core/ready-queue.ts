import { NONE, type TaskGraph } from './task-graph.ts';

export interface RowsBefore {
  readonly rows: readonly number[];
  /** Whether these are all. */
  readonly isAll: boolean;
  readonly estimate: number;
}

/**
 * A binary heap of rows of the graph, ordered by `before`. Each row remembers its position in
 * `graph.heapAt`, so that it can be re-ordered or taken out in O(log n). A row is in one heap at most.
 */
export class RowHeap {
  private readonly rows: number[] = [];
  private readonly graph: TaskGraph;
  private readonly isBefore: (a: number, b: number) => boolean;

  constructor(graph: TaskGraph, before: (a: number, b: number) => boolean) {
    this.graph = graph;
    this.isBefore = before;
  }

  get size(): number {
    return this.rows.length;
  }

  /** The first row, or NONE. */
  peek(): number {
    return this.rows[0] ?? NONE;
  }

  push(row: number): void {
    this.rows.push(row);
    this.rise(this.rows.length - 1, row);
  }

  pop(): number {
    const first = this.peek();
    if (first !== NONE) this.delete(first);
    return first;
  }

  /** The row's key changed either way. */
  reorder(row: number): void {
    const at = this.position(row);
    this.rise(at, row);
    if (this.position(row) === at) this.sink(at, row);
  }

  delete(row: number): void {
    const at = this.position(row);
    const last = this.rows.pop() as number;
    this.graph.heapAt[row] = NONE;
    if (last === row) return;
    this.place(at, last);
    this.reorder(last);
  }

  rowsInHeapOrder(): readonly number[] {
    return this.rows;
  }

  /**
   * Which rows come before one that need not be in this heap; it looks at about twice `max` rows at most.
   * Where there are more, some of them that stand for all, and how many there are, as an estimate.
   */
  before(row: number, max: number): RowsBefore {
    const found: number[] = [];
    // Whatever is below a row that does not come before comes no earlier itself.
    const places = [0];
    for (let place = places.pop(); place !== undefined; place = places.pop()) {
      const other = this.rows[place];
      if (other === undefined || !this.isBefore(other, row)) continue;
      if (found.length === max) return this.sampleBefore(row, max);
      found.push(other);
      places.push(2 * place + 1, 2 * place + 2);
    }
    return { rows: found, isAll: true, estimate: found.length };
  }

  /** Every so-manieth: a heap is no order, but near enough to none that a stride is a fair sample. */
  private sampleBefore(row: number, max: number): RowsBefore {
    const stride = Math.ceil(this.rows.length / max);
    const found: number[] = [];
    let looks = 0;
    for (let place = 0; place < this.rows.length; place += stride) {
      looks += 1;
      const other = this.rows[place] as number;
      if (this.isBefore(other, row)) found.push(other);
    }
    const estimate = Math.max(max, Math.round((found.length / looks) * this.rows.length));
    return { rows: found, isAll: false, estimate };
  }

  private position(row: number): number {
    return this.graph.heapAt[row] as number;
  }

  private place(at: number, row: number): void {
    this.rows[at] = row;
    this.graph.heapAt[row] = at;
  }

  private rise(from: number, row: number): void {
    let at = from;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = this.rows[parentAt] as number;
      if (!this.isBefore(row, parent)) break;
      this.place(at, parent);
      at = parentAt;
    }
    this.place(at, row);
  }

  private sink(from: number, row: number): void {
    const { rows } = this;
    let at = from;
    for (;;) {
      let childAt = 2 * at + 1;
      if (childAt >= rows.length) break;
      const right = childAt + 1;
      if (right < rows.length && this.isBefore(rows[right] as number, rows[childAt] as number)) {
        childAt = right;
      }
      const child = rows[childAt] as number;
      if (!this.isBefore(child, row)) break;
      this.place(at, child);
      at = childAt;
    }
    this.place(at, row);
  }
}

/** The order of ready work: priority, then the longest remaining path, then age. */
export function isMoreUrgent(graph: TaskGraph, a: number, b: number): boolean {
  const { priority, remainingMs, seq } = graph;
  const byPriority = (priority[a] as number) - (priority[b] as number);
  if (byPriority !== 0) return byPriority < 0;
  const byPath = (remainingMs[a] as number) - (remainingMs[b] as number);
  if (byPath !== 0) return byPath > 0;
  return (seq[a] as number) < (seq[b] as number);
}

/** The order of tasks that wait for their time. */
export function isDueEarlier(graph: TaskGraph, a: number, b: number): boolean {
  const byTime = (graph.runAtMs[a] as number) - (graph.runAtMs[b] as number);
  if (byTime !== 0) return byTime < 0;
  return (graph.seq[a] as number) < (graph.seq[b] as number);
}
