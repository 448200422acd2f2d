import { expect } from 'chai';
import fc from 'fast-check';
import { CriticalPath } from '../../node/core/critical-path.ts';
import { RowHeap } from '../../node/core/ready-queue.ts';
import { TaskGraph } from '../../node/core/task-graph.ts';

interface Sketch {
  readonly durations: readonly number[];
  /** Edges from the lower to the higher position, so that there is no cycle. */
  readonly edges: readonly (readonly [number, number])[];
}

const sketches: fc.Arbitrary<Sketch> = fc.integer({ min: 1, max: 40 }).chain((size) =>
  fc.record({
    durations: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: size, maxLength: size }),
    edges: fc
      .uniqueArray(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), {
        maxLength: 120,
        selector: ([a, b]) => `${String(Math.min(a, b))} ${String(Math.max(a, b))}`,
      })
      .map((pairs) =>
        pairs
          .filter(([a, b]) => a !== b)
          .map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]),
      ),
  }),
);

function longestPaths({ durations, edges }: Sketch): readonly number[] {
  const longest = [...durations];
  for (let from = durations.length - 1; from >= 0; from--) {
    const below = edges.filter(([a]) => a === from).map(([, b]) => longest[b] ?? 0);
    longest[from] = (durations[from] ?? 0) + Math.max(0, ...below);
  }
  return longest;
}

// Goal: the longest remaining path, whatever order the tasks come in. Method: random graphs, added in
// random batches, against a plain recursion from the leaves.
describe('the longest remaining path', () => {
  it('is right after any order of arrival, and no step does more than it may', () => {
    const property = fc.property(
      sketches,
      fc.infiniteStream(fc.nat(1000)),
      fc.integer({ min: 1, max: 10 }),
      (sketch, draws, batchSize) => {
        const graph = new TaskGraph();
        const path = new CriticalPath(graph, () => undefined);
        const order = sketch.durations
          .map((_, at) => ({ at, key: draws.next().value as number }))
          .sort((a, b) => a.key - b.key)
          .map(({ at }) => at);
        for (let from = 0; from < order.length; from += batchSize) {
          const batch = order.slice(from, from + batchSize);
          addBatch(graph, path, sketch, batch);
        }
        for (let step = 0; !path.isSettled; step++) {
          expect(step).to.be.lessThan(100_000);
          path.propagate(1);
        }
        const found = sketch.durations.map((_, at) => graph.remainingMs[graph.find(at + 1)]);
        expect(found).to.deep.equal(longestPaths(sketch));
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  // Seen to fail without the bound.
  it('of a long chain is raised in portions of what one step may do', () => {
    const size = 1000;
    const graph = new TaskGraph();
    const path = new CriticalPath(graph, () => undefined);
    const edges = Array.from({ length: size - 1 }, (_, at): [number, number] => [at, at + 1]);
    const sketch = { durations: Array.from({ length: size }, () => 1), edges };
    const chain = Array.from({ length: size - 1 }, (_, at) => at);
    addBatch(graph, path, sketch, chain);
    addBatch(graph, path, sketch, [size - 1]);
    let steps = 0;
    for (; !path.isSettled; steps++) path.propagate(100);
    expect(steps).to.be.within(10, 11);
    expect(graph.remainingMs[graph.find(1)]).to.equal(size);
  });
});

function addBatch(
  graph: TaskGraph,
  path: CriticalPath,
  { durations, edges }: Sketch,
  batch: readonly number[],
): void {
  const rows = batch.map((at) => {
    const row = graph.add(at + 1);
    graph.expectedMs[row] = durations[at] ?? 0;
    graph.remainingMs[row] = durations[at] ?? 0;
    return row;
  });
  const isNew = new Set(batch);
  for (const [from, to] of edges) {
    if (!isNew.has(from) && !isNew.has(to)) continue;
    const [parent, child] = [graph.find(from + 1), graph.find(to + 1)];
    if (parent >= 0 && child >= 0) graph.link(parent, child);
  }
  path.addBatch(rows);
}

describe('a heap of rows', () => {
  it('gives its rows in order through pushes, removals and changed keys', () => {
    const operations = fc.array(fc.tuple(fc.constantFrom('push', 'delete', 'change'), fc.nat(30)));
    const property = fc.property(operations, fc.infiniteStream(fc.nat(50)), (steps, draws) => {
      const graph = new TaskGraph();
      const rows = Array.from({ length: 31 }, (_, seq) => graph.add(seq + 1));
      const keys = new Map<number, number>();
      const heap = new RowHeap(graph, (a, b) => (keys.get(a) ?? 0) < (keys.get(b) ?? 0));
      const inside = new Set<number>();
      for (const [kind, at] of steps) {
        const row = rows[at] ?? 0;
        if (kind === 'push' && !inside.has(row)) {
          keys.set(row, draws.next().value as number);
          heap.push(row);
          inside.add(row);
        } else if (kind === 'delete' && inside.delete(row)) {
          heap.delete(row);
        } else if (kind === 'change' && inside.has(row)) {
          keys.set(row, draws.next().value as number);
          heap.reorder(row);
        }
      }
      const given: number[] = [];
      while (heap.size > 0) given.push(keys.get(heap.pop()) ?? -1);
      const expected = [...inside].map((row) => keys.get(row) ?? -1).sort((a, b) => a - b);
      expect(given).to.deep.equal(expected);
    });
    fc.assert(property, { numRuns: 300 });
  });
});
