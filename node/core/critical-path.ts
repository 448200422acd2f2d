import { NONE, type TaskGraph } from './task-graph.ts';

/**
 * Keeps `remainingMs`, the longest path from the start of a task to the end of its descendants. A new
 * batch is settled from its leaves upwards in O(V + E). What a batch changes for tasks that were there
 * before it goes up one parent at a time, only while it changes something, and in bounded steps per
 * call, so that a client that lengthens one chain for ever cannot stall the leader: the rest is done by
 * later calls. Paths are never shortened: an ended child leaves an estimate that is too long, which
 * costs order and never correctness (its parent has ended before it).
 */
export class CriticalPath {
  private readonly graph: TaskGraph;
  private readonly onRaised: (row: number) => void;
  /** Numbers (not rows, which are reused) of tasks whose parents are still to be raised. */
  private readonly pending: number[] = [];
  private readonly childrenLeft = new Map<number, number>();

  constructor(graph: TaskGraph, onRaised: (row: number) => void) {
    this.graph = graph;
    this.onRaised = onRaised;
  }

  get isSettled(): boolean {
    return this.pending.length === 0;
  }

  /** Takes in rows just added and linked, whose `remainingMs` is their `expectedMs`. */
  addBatch(rows: readonly number[]): void {
    const { graph, childrenLeft } = this;
    for (const row of rows) childrenLeft.set(row, 0);
    for (const row of rows) {
      graph.forEachParent(row, (parent) => {
        const left = childrenLeft.get(parent);
        if (left !== undefined) childrenLeft.set(parent, left + 1);
      });
    }
    const leaves = rows.filter((row) => childrenLeft.get(row) === 0);
    for (let row = leaves.pop(); row !== undefined; row = leaves.pop()) {
      this.takeLongestChild(row);
      let inBatch = 0;
      let parents = 0;
      graph.forEachParent(row, (parent) => {
        parents += 1;
        const left = childrenLeft.get(parent);
        if (left === undefined) return;
        inBatch += 1;
        childrenLeft.set(parent, left - 1);
        if (left === 1) leaves.push(parent);
      });
      if (inBatch < parents) this.pending.push(graph.at(graph.seq, row));
    }
    childrenLeft.clear();
  }

  /** Raises parents of what changed, `stepsMax` edges at most. */
  propagate(stepsMax: number): void {
    const { graph, pending } = this;
    let steps = 0;
    while (pending.length > 0 && steps < stepsMax) {
      const row = graph.find(pending.pop() as number);
      if (row === NONE) continue;
      const remaining = graph.at(graph.remainingMs, row);
      graph.forEachParent(row, (parent) => {
        steps += 1;
        const through = graph.at(graph.expectedMs, parent) + remaining;
        if (through <= graph.at(graph.remainingMs, parent)) return;
        graph.remainingMs[parent] = through;
        this.onRaised(parent);
        pending.push(graph.at(graph.seq, parent));
      });
    }
  }

  private takeLongestChild(row: number): void {
    const { graph } = this;
    let longest = 0;
    graph.forEachChild(row, (child) => {
      longest = Math.max(longest, graph.at(graph.remainingMs, child));
    });
    graph.remainingMs[row] = graph.at(graph.expectedMs, row) + longest;
  }
}
