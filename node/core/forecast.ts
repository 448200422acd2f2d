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
  /** What comes next, by its moment: the end of a task that runs, or the hour of one that waits for it. */
  const atMs: number[] = [];
  const coming = new PlaceHeap((a, b) => number(atMs, a) < number(atMs, b));
  const hasStarted = tasks.map(({ leftMs }) => leftMs !== null);
  let [nowMs, lastMs] = [0, 0];
  let used = Math.min(slots, busySlots);
  const expect = (place: number, ms: number): void => {
    atMs[place] = ms;
    coming.push(place);
  };
  // What others run is a task of nobody here, beyond the end of the list.
  for (let place = tasks.length; place < tasks.length + used; place++) expect(place, busyMs);
  const open = (place: number): void => {
    const hourMs = Math.max(aheadMs, task(place).notBeforeMs);
    if (hourMs <= nowMs) ready.push(place);
    else expect(place, hourMs);
  };
  const end = (place: number): void => {
    used -= 1;
    if (place >= tasks.length) return;
    lastMs = nowMs;
    for (const child of children[place] ?? []) {
      const left = number(waitingFor, child) - 1;
      waitingFor[child] = left;
      if (left === 0) open(child);
    }
  };
  for (const [place, count] of waitingFor.entries()) {
    const { leftMs } = task(place);
    if (leftMs !== null) {
      expect(place, leftMs);
      used += 1;
    } else if (count === 0) open(place);
  }
  for (;;) {
    for (let next = ready.peek(); next !== undefined && used < slots; next = ready.peek()) {
      ready.pop();
      hasStarted[next] = true;
      expect(next, nowMs + task(next).durationMs);
      used += 1;
    }
    const first = coming.peek();
    if (first === undefined) return lastMs;
    nowMs = number(atMs, first);
    // All of this moment is taken in before the next one starts: the order of equals decides nothing.
    for (let next = coming.peek(); next !== undefined; next = coming.peek()) {
      if (number(atMs, next) > nowMs) break;
      coming.pop();
      if (hasStarted[next] === false) ready.push(next);
      else end(next);
    }
  }
}
