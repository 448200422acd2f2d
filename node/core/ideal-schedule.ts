/**
 * The yardstick for a run: how long a set of tasks takes on `slots` slots when every duration is known
 * beforehand and nothing costs anything. It is list scheduling by the longest remaining path: whenever
 * a slot is free, the ready task with the longest path to the end starts. That is not the optimum
 * (finding it is NP-hard), but within 2 − 1/slots of it, and near it on real workflows.
 */
export interface ScheduledTask {
  /** Milliseconds, 0 or more; may have fractions. */
  readonly durationMs: number;
  /** Places of other tasks in the list. */
  readonly dependencies: readonly number[];
}

/** Milliseconds from the first start to the last end. Throws on a cycle and on less than one slot. */
export function idealMakespanMs(tasks: readonly ScheduledTask[], slots: number): number {
  if (!Number.isInteger(slots) || slots < 1) throw new RangeError('slots must be 1 or more');
  const { children, order } = sortedOrThrow(tasks);
  const pathMs = longestPaths(tasks, children, order);
  const waitingFor = tasks.map((task) => task.dependencies.length);
  const endMs: number[] = [];
  const ready = new PlaceHeap(
    (a, b) => at(pathMs, a) > at(pathMs, b) || (pathMs[a] === pathMs[b] && a < b),
  );
  const running = new PlaceHeap((a, b) => at(endMs, a) < at(endMs, b));
  for (const [place, count] of waitingFor.entries()) if (count === 0) ready.push(place);
  let nowMs = 0;
  for (;;) {
    while (running.size < slots) {
      const next = ready.pop();
      if (next === undefined) break;
      endMs[next] = nowMs + taskAt(tasks, next).durationMs;
      running.push(next);
    }
    // All that ends at this moment is taken in before the next one starts: the order of equals must
    // not decide which task gets the slot.
    const first = running.peek();
    if (first === undefined) return nowMs;
    nowMs = at(endMs, first);
    for (let ended = running.peek(); ended !== undefined; ended = running.peek()) {
      if (at(endMs, ended) > nowMs) break;
      running.pop();
      for (const child of children[ended] ?? []) {
        const left = at(waitingFor, child) - 1;
        waitingFor[child] = left;
        if (left === 0) ready.push(child);
      }
    }
  }
}

/** The length of the longest path: no number of slots is faster. Throws on a cycle. */
export function criticalPathMs(tasks: readonly ScheduledTask[]): number {
  const { children, order } = sortedOrThrow(tasks);
  return longestPaths(tasks, children, order).reduce((longest, ms) => Math.max(longest, ms), 0);
}

export interface Sorted {
  readonly children: readonly (readonly number[])[];
  /** Dependencies before their dependents. */
  readonly order: readonly number[];
}

/** Throws on a cycle, and on a dependency that is none. */
export function sortedOrThrow(tasks: readonly ScheduledTask[]): Sorted {
  const children = tasks.map((): number[] => []);
  for (const [place, { dependencies }] of tasks.entries()) {
    for (const dependency of dependencies) {
      const siblings = children[dependency];
      if (siblings === undefined) {
        throw new RangeError(
          `task ${String(place)} depends on ${String(dependency)}, which is none`,
        );
      }
      siblings.push(place);
    }
  }
  const left = tasks.map((task) => task.dependencies.length);
  const order = [...left.keys()].filter((place) => left[place] === 0);
  // The list grows while it is walked: each task is appended when its last dependency has been.
  for (const place of order) {
    for (const child of children[place] ?? []) {
      const count = at(left, child) - 1;
      left[child] = count;
      if (count === 0) order.push(child);
    }
  }
  if (order.length < tasks.length)
    throw new RangeError('the tasks depend on each other in a cycle');
  return { children, order };
}

/** From the start of each task to the end of its last descendant, milliseconds. */
export function longestPaths(
  tasks: readonly ScheduledTask[],
  children: Sorted['children'],
  order: readonly number[],
): readonly number[] {
  const pathMs = tasks.map(() => 0);
  for (const place of order.toReversed()) {
    let longest = 0;
    for (const child of children[place] ?? []) longest = Math.max(longest, at(pathMs, child));
    pathMs[place] = taskAt(tasks, place).durationMs + longest;
  }
  return pathMs;
}

/** A binary heap of places of tasks; the one that comes before all others is on top. */
export class PlaceHeap {
  private readonly items: number[] = [];
  private readonly before: (a: number, b: number) => boolean;

  constructor(before: (a: number, b: number) => boolean) {
    this.before = before;
  }

  get size(): number {
    return this.items.length;
  }

  peek(): number | undefined {
    return this.items[0];
  }

  push(item: number): void {
    const { items, before } = this;
    let place = items.length;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!before(item, at(items, parent))) break;
      items[place] = at(items, parent);
      place = parent;
    }
    items[place] = item;
  }

  pop(): number | undefined {
    const { items, before } = this;
    const top = items[0];
    const item = items.pop();
    if (item === undefined || items.length === 0) return top;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && before(at(items, child + 1), at(items, child))) child += 1;
      if (!before(at(items, child), item)) break;
      items[place] = at(items, child);
      place = child;
    }
    items[place] = item;
    return top;
  }
}

function at(numbers: readonly number[], place: number): number {
  const number = numbers[place];
  if (number === undefined) throw new RangeError(`there is nothing at ${String(place)}`);
  return number;
}

function taskAt(tasks: readonly ScheduledTask[], place: number): ScheduledTask {
  const task = tasks[place];
  if (task === undefined) throw new RangeError(`there is no task ${String(place)}`);
  return task;
}
