import { PlaceHeap, longestPaths, sortedOrThrow, type ScheduledTask } from './ideal-schedule.ts';

/**
 * When a workflow that is under way will end: the rest of it is scheduled as the leader would, the longest
 * remaining path first, on the slots that there are, with what runs now as it is.
 */
export interface ForecastTask extends ScheduledTask {
  /** What is left of a task that runs now, milliseconds; null for one that has not started. */
  readonly leftMs: number | null;
  /** It starts no earlier than so many milliseconds from now. */
  readonly notBeforeMs: number;
}

/** What others hold of the slots, and have the better claim to. */
export interface Competition {
  /** Slots in which others run, each for about so long yet. */
  readonly busySlots: number;
  readonly busyMs: number;
  /** Milliseconds until the work of others that comes first has got its slots. */
  readonly aheadMs: number;
}

/** Milliseconds until the last task ends. Throws on a cycle and on less than one slot. */
export function remainingMakespanMs(
  tasks: readonly ForecastTask[],
  slots: number,
  { busySlots, busyMs, aheadMs }: Competition,
): number {
  if (!Number.isInteger(slots) || slots < 1) throw new RangeError('slots must be 1 or more');
  const { children, order } = sortedOrThrow(tasks);
  const pathMs = longestPaths(tasks, children, order);
  const waitingFor = tasks.map((task) => task.dependencies.length);
  const number = (numbers: readonly number[], place: number): number => numbers[place] as number;
  const task = (place: number): ForecastTask => tasks[place] as ForecastTask;
  const ready = new PlaceHeap(
    (a, b) =>
      number(pathMs, a) > number(pathMs, b) || (number(pathMs, a) === number(pathMs, b) && a < b),
  );
  /** When a place becomes free for others: the end of a task, or the hour of one that waits for it. */
  const atMs: number[] = [];
  const running = new PlaceHeap((a, b) => number(atMs, a) < number(atMs, b));
  const early = new PlaceHeap((a, b) => number(atMs, a) < number(atMs, b));
  let [nowMs, lastMs] = [0, 0];
  let used = Math.min(slots, busySlots);
  // What others run is a task of nobody here, beyond the end of the list.
  for (let place = tasks.length; place < tasks.length + used; place++) {
    atMs[place] = busyMs;
    running.push(place);
  }
  const open = (place: number): void => {
    const hourMs = Math.max(aheadMs, task(place).notBeforeMs);
    if (hourMs <= nowMs) ready.push(place);
    else {
      atMs[place] = hourMs;
      early.push(place);
    }
  };
  for (const [place, count] of waitingFor.entries()) {
    const { leftMs } = task(place);
    if (leftMs !== null) {
      atMs[place] = leftMs;
      running.push(place);
      used += 1;
    } else if (count === 0) open(place);
  }
  for (;;) {
    for (let next = ready.peek(); next !== undefined && used < slots; next = ready.peek()) {
      ready.pop();
      atMs[next] = nowMs + task(next).durationMs;
      running.push(next);
      used += 1;
    }
    const [ended, due] = [running.peek(), early.peek()];
    const endMs = ended === undefined ? Infinity : number(atMs, ended);
    const dueMs = due === undefined ? Infinity : number(atMs, due);
    if (endMs === Infinity && dueMs === Infinity) return lastMs;
    nowMs = Math.min(endMs, dueMs);
    if (due !== undefined && dueMs <= endMs) {
      early.pop();
      ready.push(due);
      continue;
    }
    running.pop();
    used -= 1;
    if (ended === undefined || ended >= tasks.length) continue;
    lastMs = nowMs;
    for (const child of children[ended] ?? []) {
      const left = number(waitingFor, child) - 1;
      waitingFor[child] = left;
      if (left === 0) open(child);
    }
  }
}
