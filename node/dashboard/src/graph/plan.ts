import type { GraphRow } from '../bodies.ts';
import { timeOf } from '../format.ts';
import type { Layers } from './layers.ts';

/**
 * When each task ran, runs, or is expected to: what ended is known, and for the rest a schedule is made on
 * the slots of the cluster, in the order of the longest path ahead. And which tasks lie on the critical path,
 * the chain that nothing but quicker tasks would make shorter.
 */
export interface Planned {
  readonly fromMs: number;
  readonly toMs: number;
  /** Expected, not seen: nobody knows it. */
  readonly isGuess: boolean;
}

export interface Plan {
  /** By the place of each task in the rows; null for what never ran and never will. */
  readonly tasks: readonly (Planned | null)[];
  readonly fromMs: number;
  readonly toMs: number;
  readonly critical: ReadonlySet<number>;
  readonly criticalMs: number;
}

const UNKNOWN_MS = 1000;

export interface Moment {
  readonly nowMs: number;
  readonly slots: number;
}

export function planOf(
  rows: readonly GraphRow[],
  { before, after, layers }: Layers,
  { nowMs, slots }: Moment,
): Plan {
  const lengths = lengthsOf(rows, nowMs);
  const ahead = new Float64Array(rows.length);
  for (const layer of layers.toReversed()) {
    for (const place of layer) {
      let longest = 0;
      for (const next of after[place] ?? []) longest = Math.max(longest, ahead[next] ?? 0);
      ahead[place] = longest + (lengths[place] ?? 0);
    }
  }
  const tasks = scheduled(rows, { before, after, lengths, ahead, nowMs, slots });
  let [fromMs, toMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const task of tasks) {
    if (task === null) continue;
    fromMs = Math.min(fromMs, task.fromMs);
    toMs = Math.max(toMs, task.toMs);
  }
  if (fromMs > toMs) [fromMs, toMs] = [nowMs, nowMs + 1];
  const critical = criticalOf(before, after, ahead, lengths);
  let criticalMs = 0;
  for (const place of critical) criticalMs += lengths[place] ?? 0;
  return { tasks, fromMs, toMs, critical, criticalMs };
}

/** How long each took, or is expected to take: by itself, by its type, by nothing better. */
function lengthsOf(rows: readonly GraphRow[], nowMs: number): Float64Array {
  const sums = new Map<string, { ms: number; count: number }>();
  for (const { type, started_at, finished_at } of rows) {
    const [from, to] = [timeOf(started_at), timeOf(finished_at)];
    if (from === null || to === null) continue;
    const sum = sums.get(type) ?? { ms: 0, count: 0 };
    sums.set(type, sum);
    sum.ms += to - from;
    sum.count += 1;
  }
  return Float64Array.from(rows, ({ type, expected_ms, started_at, finished_at }) => {
    const [from, to] = [timeOf(started_at), timeOf(finished_at)];
    if (from !== null && to !== null) return Math.max(0, to - from);
    const sum = sums.get(type);
    const expected = expected_ms ?? (sum === undefined ? UNKNOWN_MS : sum.ms / sum.count);
    return from === null ? expected : Math.max(expected, nowMs - from);
  });
}

interface Given {
  readonly before: readonly (readonly number[])[];
  readonly after: readonly (readonly number[])[];
  readonly lengths: Float64Array;
  readonly ahead: Float64Array;
  readonly nowMs: number;
  readonly slots: number;
}

function scheduled(rows: readonly GraphRow[], given: Given): readonly (Planned | null)[] {
  const { before, after, lengths, ahead, nowMs, slots } = given;
  const tasks: (Planned | null)[] = rows.map(() => null);
  const readyMs = new Float64Array(rows.length);
  const missing = new Int32Array(rows.length);
  const free: number[] = [];
  const ready: number[] = [];
  rows.forEach((row, place) => {
    const [from, to] = [timeOf(row.started_at), timeOf(row.finished_at)];
    const length = lengths[place] ?? 0;
    if (from !== null && (to !== null || row.status === 'RUNNING')) {
      const end = to ?? Math.max(nowMs, from + length);
      tasks[place] = { fromMs: from, toMs: end, isGuess: false };
      if (to === null) free.push(end);
    }
  });
  rows.forEach((row, place) => {
    if (row.status !== 'QUEUED' && row.status !== 'RUNNING') return;
    if (tasks[place] !== null) return;
    const open = (before[place] ?? []).filter((each) => isOpen(rows[each]));
    missing[place] = open.length;
    readyMs[place] = nowMs;
    if (open.length === 0) ready.push(place);
  });
  while (free.length < Math.max(1, slots)) free.push(nowMs);
  const room = new Heap(free);
  const queue = new Heap(ready, (place) => -(ahead[place] ?? 0));
  /** Ends that are to come, the soonest first: they release what waits for them. */
  const ends = new Heap<number>([], (place) => tasks[place]?.toMs ?? 0);
  tasks.forEach((task, place) => {
    if (task !== null && isOpen(rows[place])) ends.push(place);
  });
  while (queue.size + ends.size > 0) {
    const place = queue.pop();
    if (place !== undefined) {
      const fromMs = Math.max(room.pop() ?? nowMs, readyMs[place] ?? nowMs);
      const toMs = fromMs + (lengths[place] ?? 0);
      tasks[place] = { fromMs, toMs, isGuess: true };
      room.push(toMs);
      ends.push(place);
      continue;
    }
    const ended = ends.pop() ?? 0;
    const endMs = tasks[ended]?.toMs ?? nowMs;
    for (const next of after[ended] ?? []) {
      if (tasks[next] !== null) continue;
      readyMs[next] = Math.max(readyMs[next] ?? 0, endMs);
      missing[next] = (missing[next] ?? 0) - 1;
      if (missing[next] === 0) queue.push(next);
    }
  }
  return tasks;
}

function isOpen(row: GraphRow | undefined): boolean {
  return row?.status === 'QUEUED' || row?.status === 'RUNNING';
}

function criticalOf(
  before: readonly (readonly number[])[],
  after: readonly (readonly number[])[],
  ahead: Float64Array,
  lengths: Float64Array,
): ReadonlySet<number> {
  const path = new Set<number>();
  let at = -1;
  before.forEach((known, place) => {
    if (known.length === 0 && (at < 0 || (ahead[place] ?? 0) > (ahead[at] ?? 0))) at = place;
  });
  while (at >= 0 && !path.has(at)) {
    path.add(at);
    const left = (ahead[at] ?? 0) - (lengths[at] ?? 0);
    at = (after[at] ?? []).find((next) => Math.abs((ahead[next] ?? 0) - left) < 0.5) ?? -1;
  }
  return path;
}

/** The least first. */
class Heap<T extends number> {
  readonly #items: T[] = [];
  readonly #keyOf: (item: T) => number;

  constructor(items: readonly T[], keyOf: (item: T) => number = Number) {
    this.#keyOf = keyOf;
    for (const item of items) this.push(item);
  }

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isLess(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  pop(): T | undefined {
    const items = this.#items;
    const [first] = items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return first;
    items[0] = last;
    for (let at = 0; ;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < items.length && this.#isLess(child, least)) least = child;
      }
      if (least === at) return first;
      this.#swap(at, least);
      at = least;
    }
  }

  #isLess(a: number, b: number): boolean {
    const [left, right] = [this.#items[a], this.#items[b]];
    return left !== undefined && right !== undefined && this.#keyOf(left) < this.#keyOf(right);
  }

  #swap(a: number, b: number): void {
    const [left, right] = [this.#items[a], this.#items[b]];
    if (left === undefined || right === undefined) return;
    this.#items[a] = right;
    this.#items[b] = left;
  }
}
