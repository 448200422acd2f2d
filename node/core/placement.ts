import { isMoreUrgent, RowHeap } from './ready-queue.ts';
import { NONE, type TaskGraph } from './task-graph.ts';
import { TaskTypes, type TaskType } from './task-types.ts';

/**
 * A set of tasks that the same nodes can run, with its own ready queue: a class that cannot run now
 * (paused, at its limit, of a type or with a label that no node has) blocks nobody else.
 */
export interface PlacementClass {
  readonly type: TaskType;
  /** The task carries a duration: it can be simulated where no node handles its type. */
  readonly hasDuration: boolean;
  /** `key=value`, sorted, each once: a node must have them all. */
  readonly labels: readonly string[];
  readonly ready: RowHeap;
  readonly key: number | string;
  /** Tasks of the graph that are of this class; without any it is forgotten. */
  tasks: number;
}

/** Labels of most tasks. */
const NO_LABELS: readonly string[] = [];

/** The classes that have tasks, by an index that a task keeps and that is reused. */
export class Placements {
  readonly types = new TaskTypes();
  private readonly graph: TaskGraph;
  private readonly classes: (PlacementClass | undefined)[] = [];
  private readonly free: number[] = [];
  private readonly byKey = new Map<number | string, number>();

  constructor(graph: TaskGraph) {
    this.graph = graph;
  }

  at(index: number): PlacementClass {
    return this.classes[index] as PlacementClass;
  }

  *all(): IterableIterator<PlacementClass> {
    for (const placement of this.classes) if (placement !== undefined) yield placement;
  }

  /** The class of a task that comes into the graph. */
  enter(typeId: number, hasDuration: boolean, labels: readonly string[] | null): number {
    const plain = typeId * 2 + (hasDuration ? 1 : 0);
    const isPlain = labels === null || labels.length === 0;
    const key = isPlain ? plain : `${String(plain)} ${labels.join('\n')}`;
    let index = this.byKey.get(key);
    if (index === undefined) {
      index = this.free.pop() ?? this.classes.length;
      const { graph } = this;
      this.classes[index] = {
        type: this.types.of(typeId),
        hasDuration,
        labels: isPlain ? NO_LABELS : labels,
        ready: new RowHeap(graph, (a, b) => isMoreUrgent(graph, a, b)),
        key,
        tasks: 0,
      };
      this.byKey.set(key, index);
    }
    this.at(index).tasks += 1;
    return index;
  }

  /** A task of the class has left the graph. */
  leave(index: number): void {
    const placement = this.at(index);
    placement.tasks -= 1;
    if (placement.tasks > 0) return;
    this.byKey.delete(placement.key);
    this.classes[index] = undefined;
    this.free.push(index);
  }

  /** The classes that have something ready, for one round of leasing. */
  contest(): Contest {
    const heads: number[] = [];
    for (const { ready } of this.all()) if (ready.size > 0) heads.push(ready.peek());
    return new Contest(this.graph, heads);
  }
}

/**
 * Ready classes in the order of their most urgent tasks. The order is kept by insertion: a round takes
 * thousands of tasks from what are mostly a handful of classes, and a thousand are still quick.
 */
export class Contest {
  private readonly graph: TaskGraph;
  /** The most urgent last. */
  private readonly heads: number[];

  constructor(graph: TaskGraph, heads: number[]) {
    this.graph = graph;
    this.heads = heads.sort((a, b) => (isMoreUrgent(graph, a, b) ? 1 : -1));
  }

  /** The most urgent ready task of all that still take part, or NONE. */
  get first(): number {
    return this.heads.at(-1) ?? NONE;
  }

  /** The class of the first takes part no more: nobody can run it now. */
  drop(): void {
    this.heads.pop();
  }

  /** The first has left its queue; the next of its class takes its place in the order. */
  advance({ ready }: PlacementClass): void {
    this.heads.pop();
    const next = ready.peek();
    if (next === NONE) return;
    const { graph, heads } = this;
    let [low, high] = [0, heads.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isMoreUrgent(graph, heads[middle] as number, next)) high = middle;
      else low = middle + 1;
    }
    heads.splice(low, 0, next);
  }
}
