import { GrowingInt32 } from './growing.ts';
import { BATCH_DEPENDENCIES_MAX, BATCH_TASKS_MAX } from './task.ts';

/**
 * The checks of a submitted set of tasks, before anything is stored: ids given twice, a task that
 * depends on itself, cycles, limits. Tasks come in one by one (`add`), in any order; a dependency
 * may name a task that comes later, or none of the set (an *external* one, which only the database
 * can answer for).
 *
 * A set may hold a million tasks and five million edges, so names are interned once and everything
 * else is columns of 32-bit integers; every pass is iterative. The long passes are generators that
 * yield every few thousand steps, so that a caller with an event loop to keep alive can breathe
 * between them.
 */
export type GraphFaultKind =
  'duplicate-id' | 'self-dependency' | 'cycle' | 'too-many-tasks' | 'too-many-dependencies';

export interface GraphFault {
  readonly kind: GraphFaultKind;
  /** The task's place in the set, from 0. */
  readonly task: number;
  /** The place among its dependencies as they were given; null where the task as a whole is meant. */
  readonly dependency: number | null;
  readonly detail: string;
}

/** One mention of an id that is not in the set. */
export interface ExternalUse {
  readonly task: number;
  readonly dependency: number;
  readonly id: string;
}

export interface GraphLimits {
  readonly tasksMax: number;
  readonly dependenciesMax: number;
}

export const GRAPH_LIMITS: GraphLimits = {
  tasksMax: BATCH_TASKS_MAX,
  dependenciesMax: BATCH_DEPENDENCIES_MAX,
};

/** Steps between two yields of the long passes; some milliseconds of work. */
const STEPS_PER_YIELD = 50_000;
/** A longer cycle is named by its first tasks and its last. */
const CYCLE_NAMED_MAX = 20;

/** A set that passed its checks (`add` and `firstCycle` found nothing). */
export class SubmittedGraph {
  readonly #limits: GraphLimits;
  /** All and only the ids that were seen, as a task or as a dependency, by their number. */
  readonly #numbers = new Map<string, number>();
  readonly #names: string[] = [];
  /** By number of an id: the task that carries it, -1 for none (yet). */
  readonly #taskOf = new GrowingInt32();
  /** By number of an id: the last task that named it as a dependency, for removing the duplicates. */
  readonly #lastUser = new GrowingInt32();
  /** By task: the number of its id, and where its edges start. */
  readonly #nameOf = new GrowingInt32();
  readonly #starts = new GrowingInt32();
  /** By edge: the number of the id depended on, and its place in the list as it was given. */
  readonly #edges = new GrowingInt32();
  readonly #places = new GrowingInt32();

  constructor(limits: GraphLimits = GRAPH_LIMITS) {
    this.#limits = limits;
    this.#starts.push(0);
  }

  get count(): number {
    return this.#nameOf.length;
  }

  /** Edges without the duplicates. */
  get edgeCount(): number {
    return this.#edges.length;
  }

  /**
   * Takes one task in. A refused task keeps its place, so that the pointers of later faults stay
   * right; a task beyond a limit is not taken in, and its fault is the last worth collecting.
   */
  add(id: string, dependencies: readonly string[]): readonly GraphFault[] {
    const task = this.count;
    const tooMany = this.#limitFault(task, dependencies.length);
    if (tooMany !== null) return [tooMany];
    const faults: GraphFault[] = [];
    const number = this.#intern(id);
    this.#nameOf.push(number);
    const first = this.#taskOf.at(number);
    if (first === -1) {
      this.#taskOf.set(number, task);
    } else {
      const detail = `the id ${id} is given twice, first to task ${String(first)} of the set`;
      faults.push({ kind: 'duplicate-id', task, dependency: null, detail });
    }
    for (let place = 0; place < dependencies.length; place++) {
      const dependency = this.#intern(dependencies[place] as string);
      if (dependency === number) {
        const detail = `a task cannot depend on itself: ${id} → ${id}`;
        faults.push({ kind: 'self-dependency', task, dependency: place, detail });
        continue;
      }
      if (this.#lastUser.at(dependency) === task) continue;
      this.#lastUser.set(dependency, task);
      this.#edges.push(dependency);
      this.#places.push(place);
    }
    this.#starts.push(this.#edges.length);
    return faults;
  }

  /** The id of a task of the set. */
  idOf(task: number): string {
    return this.#names[this.#nameOf.at(task)] as string;
  }

  /** The task of the set that carries `id`, or -1. */
  taskOf(id: string): number {
    const number = this.#numbers.get(id);
    return number === undefined ? -1 : this.#taskOf.at(number);
  }

  /** Calls `visit` for each dependency of a task, duplicates removed, in the order given. */
  eachDependency(task: number, visit: (id: string, taskOfSet: number) => void): void {
    const end = this.#starts.at(task + 1);
    for (let edge = this.#starts.at(task); edge < end; edge++) {
      const number = this.#edges.at(edge);
      visit(this.#names[number] as string, this.#taskOf.at(number));
    }
  }

  /** The ids that are depended on and not in the set, each once. */
  externals(): string[] {
    return this.#names.filter((_, number) => this.#taskOf.at(number) === -1);
  }

  /** Where the external ids that `wanted` holds for are named, in order, at most `limit`. */
  usesOf(wanted: (id: string) => boolean, limit: number): readonly ExternalUse[] {
    const uses: ExternalUse[] = [];
    for (let task = 0; task < this.count && uses.length < limit; task++) {
      const end = this.#starts.at(task + 1);
      for (let edge = this.#starts.at(task); edge < end && uses.length < limit; edge++) {
        const number = this.#edges.at(edge);
        const id = this.#names[number] as string;
        if (this.#taskOf.at(number) === -1 && wanted(id)) {
          uses.push({ task, dependency: this.#places.at(edge), id });
        }
      }
    }
    return uses;
  }

  /**
   * The first cycle found, or null. Depth first along the dependencies, without recursion: a task is
   * white (0) until it is met, grey (1) while it is on the path, black (2) when all below it is done;
   * an edge to a grey one closes a cycle.
   */
  *firstCycle(): Generator<undefined, GraphFault | null> {
    const colour = new Uint8Array(this.count);
    const path = new Int32Array(this.count);
    const nextEdge = Int32Array.from(this.#starts.view().subarray(0, this.count));
    let steps = 0;
    for (let root = 0; root < this.count; root++) {
      if (colour[root] !== 0) continue;
      let depth = 0;
      path[0] = root;
      colour[root] = 1;
      while (depth >= 0) {
        if (++steps % STEPS_PER_YIELD === 0) yield;
        const task = path[depth] as number;
        const edge = nextEdge[task] as number;
        if (edge === this.#starts.at(task + 1)) {
          colour[task] = 2;
          depth -= 1;
          continue;
        }
        nextEdge[task] = edge + 1;
        const dependency = this.#taskOf.at(this.#edges.at(edge));
        if (dependency === -1 || colour[dependency] === 2) continue;
        if (colour[dependency] === 1) return this.#cycleFault(path, depth, dependency, edge);
        colour[dependency] = 1;
        depth += 1;
        path[depth] = dependency;
      }
    }
    return null;
  }

  /**
   * The tasks in the order of their ids, by code units: two submits that insert the same ids do so in
   * the same order and so cannot deadlock. A merge sort, because the built-in one cannot be paused.
   */
  *orderById(): Generator<undefined, Int32Array> {
    const count = this.count;
    let from = new Int32Array(count);
    const ids: string[] = [];
    for (let task = 0; task < count; task++) {
      from[task] = task;
      ids.push(this.idOf(task));
    }
    yield;
    let sorted = true;
    for (let i = 1; i < count && sorted; i++) {
      sorted = (ids[i - 1] as string) <= (ids[i] as string);
    }
    if (sorted) return from;
    let to = new Int32Array(count);
    let steps = 0;
    for (let width = 1; width < count; width *= 2) {
      for (let low = 0; low < count; low += 2 * width) {
        const middle = Math.min(low + width, count);
        const high = Math.min(low + 2 * width, count);
        let left = low;
        let right = middle;
        for (let out = low; out < high; out++) {
          const takesLeft =
            right >= high ||
            (left < middle &&
              (ids[from[left] as number] as string) <= (ids[from[right] as number] as string));
          to[out] = from[takesLeft ? left++ : right++] as number;
          if (++steps % STEPS_PER_YIELD === 0) yield;
        }
      }
      [from, to] = [to, from];
    }
    return from;
  }

  #intern(id: string): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    const number = this.#names.length;
    this.#numbers.set(id, number);
    this.#names.push(id);
    this.#taskOf.push(-1);
    this.#lastUser.push(-1);
    return number;
  }

  #limitFault(task: number, dependencies: number): GraphFault | null {
    const { tasksMax, dependenciesMax } = this.#limits;
    if (task >= tasksMax) {
      const detail = `a batch holds at most ${String(tasksMax)} tasks`;
      return { kind: 'too-many-tasks', task, dependency: null, detail };
    }
    if (this.#edges.length + dependencies > dependenciesMax) {
      const detail = `a batch holds at most ${String(dependenciesMax)} dependencies`;
      return { kind: 'too-many-dependencies', task, dependency: null, detail };
    }
    return null;
  }

  #cycleFault(path: Int32Array, depth: number, closing: number, edge: number): GraphFault {
    const last = path[depth] as number;
    const start = path.indexOf(closing);
    const length = depth - start + 1;
    const ids = Array.from(
      path.subarray(start, start + Math.min(length, CYCLE_NAMED_MAX)),
      (task) => this.idOf(task),
    );
    if (length > CYCLE_NAMED_MAX) {
      ids.push(`… (${String(length)} tasks in all)`, this.idOf(last));
    }
    ids.push(this.idOf(closing));
    const detail = `the dependencies form a cycle: ${ids.join(' → ')}`;
    return { kind: 'cycle', task: last, dependency: this.#places.at(edge), detail };
  }
}

/** Runs a paused pass to its end, for callers without an event loop to keep alive. */
export function runToEnd<T>(pass: Generator<undefined, T>): T {
  for (;;) {
    const step = pass.next();
    if (step.done === true) return step.value;
  }
}
