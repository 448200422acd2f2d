/**
 * Until when tasks must have started, for those few that have such a limit: a task without one costs
 * nothing here. A deadline is `armed`, which is in the heap, until its time comes. If its task is leased
 * then, it stays known, and is armed again where the task comes back without having begun.
 *
 * What is taken out or changed stays in the heap as a dead entry until its time comes, or until there
 * are more dead entries than living ones.
 */
interface Deadline {
  readonly seq: number;
  readonly atMs: number;
  isArmed: boolean;
  isDead: boolean;
}

/** So many dead entries are not worth the walk. */
const DEAD_MIN = 64;

export class Deadlines {
  /** All and only the tasks that still have to start by some time. */
  private readonly bySeq = new Map<number, Deadline>();
  /** A binary heap by time. */
  private heap: Deadline[] = [];

  get size(): number {
    return this.bySeq.size;
  }

  /** What the database says of a task; 0 for no limit, or not any more. */
  set(seq: number, atMs: number): void {
    if (atMs === 0) {
      if (this.bySeq.size > 0) this.delete(seq);
      return;
    }
    if (this.bySeq.get(seq)?.atMs === atMs) return;
    this.delete(seq);
    this.bySeq.set(seq, { seq, atMs, isArmed: false, isDead: false });
    this.arm(seq);
  }

  delete(seq: number): void {
    const known = this.bySeq.get(seq);
    if (known === undefined) return;
    known.isDead = true;
    this.bySeq.delete(seq);
  }

  /** The task is in nobody's hands, maybe again: its time counts. */
  arm(seq: number): void {
    if (this.bySeq.size === 0) return;
    const known = this.bySeq.get(seq);
    if (known === undefined || known.isArmed) return;
    known.isArmed = true;
    if (this.heap.length > DEAD_MIN + 2 * this.bySeq.size) this.removeDead();
    this.heap.push(known);
    this.rise(this.heap.length - 1);
  }

  /** When the first of them is due; Infinity for never. */
  get nextMs(): number {
    for (let first = this.heap[0]; first !== undefined; first = this.heap[0]) {
      if (!first.isDead) return first.atMs;
      this.pop();
    }
    return Infinity;
  }

  /** Takes out the next task whose time is over; it is armed no more, and still has its limit. */
  takeDue(nowMs: number): number | undefined {
    if (this.nextMs > nowMs) return undefined;
    const due = this.heap[0] as Deadline;
    this.pop();
    due.isArmed = false;
    return due.seq;
  }

  private removeDead(): void {
    this.heap = this.heap.filter(({ isDead }) => !isDead).sort((a, b) => a.atMs - b.atMs);
  }

  private pop(): void {
    const last = this.heap.pop();
    if (last === undefined || this.heap.length === 0) return;
    this.heap[0] = last;
    this.sink(0);
  }

  private rise(from: number): void {
    const { heap } = this;
    const entry = heap[from] as Deadline;
    let at = from;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt] as Deadline;
      if (parent.atMs <= entry.atMs) break;
      heap[at] = parent;
      at = parentAt;
    }
    heap[at] = entry;
  }

  private sink(from: number): void {
    const { heap } = this;
    const entry = heap[from] as Deadline;
    let at = from;
    for (;;) {
      const leftAt = 2 * at + 1;
      const left = heap[leftAt];
      if (left === undefined) break;
      const right = heap[leftAt + 1];
      const isRight = right !== undefined && right.atMs < left.atMs;
      const child = isRight ? right : left;
      if (entry.atMs <= child.atMs) break;
      heap[at] = child;
      at = isRight ? leftAt + 1 : leftAt;
    }
    heap[at] = entry;
  }
}
