/**
 * The unfinished graph, compact: a million tasks live here, so a task is a row of typed columns and
 * an edge is five 32-bit numbers, never an object. An index names a row; it is reused after the row is
 * removed, so nothing outside keeps one across a removal. Text ids and payloads stay in PostgreSQL.
 *
 * Edges go both ways. A parent's list of children is singly linked and walked once, when the parent
 * ends. A child's list of parents is doubly linked, so that a fan-in of 100,000 does not scan it at
 * each end. A child that ends before its parents leaves its edges behind with `child = NONE`; the
 * parent frees them when it ends.
 */
export const NONE = -1;

/** Where a task is in the leader's memory; each row is in exactly one of these. */
export const Phase = {
  /** The row is unused. */
  FREE: 0,
  /** The trigger rule does not hold yet. */
  WAITING: 1,
  /** The trigger rule holds and `runAtMs` is in the future: all and only these are in the timer heap. */
  DELAYED: 2,
  /** All and only these are in a ready queue. */
  READY: 3,
  /** A lease is asked of the database; the slot is reserved. */
  GRANTING: 4,
  /** Leased to `node`. */
  LEASED: 5,
  /** An end (skip, cancel) or a release is asked of the database, or the row is being read again. */
  SETTLING: 6,
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/**
 * Bits of `seen`: which kinds of ends the dependencies have had so far, the cancel mark, and whether
 * `expectedMs` is what the task says itself.
 */
export const Seen = { SUCCESS: 1, FAILURE: 2, SKIP: 4, CANCEL: 8, SAID: 16 } as const;

const FIRST_CAPACITY = 1024;

export class TaskGraph {
  /** All and only the tasks that are in memory, by their number. */
  private readonly indexBySeq = new Map<number, number>();
  private capacity = FIRST_CAPACITY;
  private used = 0;
  private freeHead = NONE;

  seq = new Float64Array(FIRST_CAPACITY);
  /** Milliseconds since the epoch by the database's clock; 0 for at once. */
  runAtMs = new Float64Array(FIRST_CAPACITY);
  expectedMs = new Float32Array(FIRST_CAPACITY);
  /** What a held task counts for in the work ahead of its node; 0 for one that is not quick. */
  aheadMs = new Float32Array(FIRST_CAPACITY);
  /** The longest remaining path, its own expectedMs included. */
  remainingMs = new Float64Array(FIRST_CAPACITY);
  leaseSeq = new Int32Array(FIRST_CAPACITY);
  /** The node that holds the lease, or for which it is asked; 0 for none. */
  node = new Float64Array(FIRST_CAPACITY);
  unended = new Int32Array(FIRST_CAPACITY);
  placement = new Int32Array(FIRST_CAPACITY);
  /** The step that granted the lease; 0 for a lease that was read from the database. */
  grantStep = new Float64Array(FIRST_CAPACITY);
  /** Position in the heap that holds the task (ready or timer), NONE outside. */
  heapAt = new Int32Array(FIRST_CAPACITY);
  /** First edge to a child; for a free row the next free row. */
  childHead = new Int32Array(FIRST_CAPACITY);
  parentHead = new Int32Array(FIRST_CAPACITY);
  phase = new Uint8Array(FIRST_CAPACITY);
  priority = new Uint8Array(FIRST_CAPACITY);
  triggerRule = new Uint8Array(FIRST_CAPACITY);
  seen = new Uint8Array(FIRST_CAPACITY);
  attempt = new Uint8Array(FIRST_CAPACITY);
  losses = new Uint8Array(FIRST_CAPACITY);

  private edgeCapacity = FIRST_CAPACITY;
  private edgesUsed = 0;
  private edgeFreeHead = NONE;
  edgeChild = new Int32Array(FIRST_CAPACITY);
  edgeParent = new Int32Array(FIRST_CAPACITY);
  /** The next edge of the same parent; for a free edge the next free edge. */
  edgeNext = new Int32Array(FIRST_CAPACITY);
  edgeChildNext = new Int32Array(FIRST_CAPACITY);
  edgeChildPrevious = new Int32Array(FIRST_CAPACITY);

  get size(): number {
    return this.indexBySeq.size;
  }

  /** The row of a task, or NONE. */
  find(seq: number): number {
    return this.indexBySeq.get(seq) ?? NONE;
  }

  indexes(): IterableIterator<number> {
    return this.indexBySeq.values();
  }

  /** A new row with no edges, phase WAITING and no lease; the caller fills the rest. */
  add(seq: number): number {
    let index = this.freeHead;
    if (index === NONE) {
      if (this.used === this.capacity) this.growRows();
      index = this.used++;
    } else {
      this.freeHead = this.at(this.childHead, index);
    }
    this.indexBySeq.set(seq, index);
    this.seq[index] = seq;
    this.node[index] = 0;
    this.grantStep[index] = 0;
    this.unended[index] = 0;
    this.seen[index] = 0;
    this.heapAt[index] = NONE;
    this.childHead[index] = NONE;
    this.parentHead[index] = NONE;
    this.aheadMs[index] = 0;
    this.phase[index] = Phase.WAITING;
    return index;
  }

  /** Frees the row and its edges; its children must have been told before. */
  remove(index: number): void {
    for (let edge = this.at(this.childHead, index); edge !== NONE;) {
      const next = this.at(this.edgeNext, edge);
      if (this.at(this.edgeChild, edge) !== NONE) this.unlinkFromChild(edge);
      this.edgeNext[edge] = this.edgeFreeHead;
      this.edgeFreeHead = edge;
      edge = next;
    }
    this.unlinkParents(index);
    this.indexBySeq.delete(this.at(this.seq, index));
    this.phase[index] = Phase.FREE;
    this.childHead[index] = this.freeHead;
    this.freeHead = index;
  }

  link(parent: number, child: number): void {
    let edge = this.edgeFreeHead;
    if (edge === NONE) {
      if (this.edgesUsed === this.edgeCapacity) this.growEdges();
      edge = this.edgesUsed++;
    } else {
      this.edgeFreeHead = this.at(this.edgeNext, edge);
    }
    this.edgeParent[edge] = parent;
    this.edgeChild[edge] = child;
    this.edgeNext[edge] = this.at(this.childHead, parent);
    this.childHead[parent] = edge;
    const first = this.at(this.parentHead, child);
    this.edgeChildPrevious[edge] = NONE;
    this.edgeChildNext[edge] = first;
    if (first !== NONE) this.edgeChildPrevious[first] = edge;
    this.parentHead[child] = edge;
  }

  /** Forgets which parents a task has; each finds an empty edge when it ends. */
  unlinkParents(child: number): void {
    for (let edge = this.at(this.parentHead, child); edge !== NONE;) {
      const next = this.at(this.edgeChildNext, edge);
      this.edgeChild[edge] = NONE;
      edge = next;
    }
    this.parentHead[child] = NONE;
  }

  forEachChild(parent: number, visit: (child: number) => void): void {
    for (let edge = this.at(this.childHead, parent); edge !== NONE;) {
      const next = this.at(this.edgeNext, edge);
      const child = this.at(this.edgeChild, edge);
      if (child !== NONE) visit(child);
      edge = next;
    }
  }

  forEachParent(child: number, visit: (parent: number) => void): void {
    for (let edge = this.at(this.parentHead, child); edge !== NONE;) {
      const next = this.at(this.edgeChildNext, edge);
      visit(this.at(this.edgeParent, edge));
      edge = next;
    }
  }

  /** A column's value; the rows handed in are in range, which the compiler cannot see. */
  at(column: Float64Array | Float32Array | Int32Array | Uint8Array, index: number): number {
    return column[index] as number;
  }

  private unlinkFromChild(edge: number): void {
    const previous = this.at(this.edgeChildPrevious, edge);
    const next = this.at(this.edgeChildNext, edge);
    if (previous === NONE) this.parentHead[this.at(this.edgeChild, edge)] = next;
    else this.edgeChildNext[previous] = next;
    if (next !== NONE) this.edgeChildPrevious[next] = previous;
  }

  private growRows(): void {
    const size = (this.capacity *= 2);
    this.seq = grown64(this.seq, size);
    this.runAtMs = grown64(this.runAtMs, size);
    this.remainingMs = grown64(this.remainingMs, size);
    this.node = grown64(this.node, size);
    this.grantStep = grown64(this.grantStep, size);
    this.expectedMs = grownFloat(this.expectedMs, size);
    this.aheadMs = grownFloat(this.aheadMs, size);
    this.leaseSeq = grown32(this.leaseSeq, size);
    this.unended = grown32(this.unended, size);
    this.placement = grown32(this.placement, size);
    this.heapAt = grown32(this.heapAt, size);
    this.childHead = grown32(this.childHead, size);
    this.parentHead = grown32(this.parentHead, size);
    this.phase = grown8(this.phase, size);
    this.priority = grown8(this.priority, size);
    this.triggerRule = grown8(this.triggerRule, size);
    this.seen = grown8(this.seen, size);
    this.attempt = grown8(this.attempt, size);
    this.losses = grown8(this.losses, size);
  }

  private growEdges(): void {
    const size = (this.edgeCapacity *= 2);
    this.edgeChild = grown32(this.edgeChild, size);
    this.edgeParent = grown32(this.edgeParent, size);
    this.edgeNext = grown32(this.edgeNext, size);
    this.edgeChildNext = grown32(this.edgeChildNext, size);
    this.edgeChildPrevious = grown32(this.edgeChildPrevious, size);
  }
}

function grown64(column: Float64Array, size: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(size);
  larger.set(column);
  return larger;
}

function grownFloat(column: Float32Array, size: number): Float32Array<ArrayBuffer> {
  const larger = new Float32Array(size);
  larger.set(column);
  return larger;
}

function grown32(column: Int32Array, size: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(size);
  larger.set(column);
  return larger;
}

function grown8(column: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(size);
  larger.set(column);
  return larger;
}
