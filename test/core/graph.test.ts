import { expect } from 'chai';
import fc from 'fast-check';
import { runToEnd, SubmittedGraph } from '../../node/core/graph.ts';
import type { GraphFault } from '../../node/core/graph.ts';

/**
 * Goal: the checks of a submitted set find what they should and nothing else, at any size.
 * Method: tables for what is found, random graphs against a naive reference, and one large set.
 */
type Edges = Readonly<Record<string, readonly string[]>>;

function graphOf(edges: Edges): { graph: SubmittedGraph; faults: GraphFault[] } {
  const graph = new SubmittedGraph();
  const faults = Object.entries(edges).flatMap(([id, dependencies]) => [
    ...graph.add(id, dependencies),
  ]);
  const cycle = runToEnd(graph.firstCycle());
  return { graph, faults: cycle === null ? faults : [...faults, cycle] };
}

function dependenciesOf(
  graph: SubmittedGraph,
  task: number,
): readonly (readonly [string, number])[] {
  const found: (readonly [string, number])[] = [];
  graph.eachDependency(task, (id, inside) => found.push([id, inside]));
  return found;
}

describe('the checks of a submitted graph', () => {
  it('finds nothing wrong with a graph in any order of its tasks', () => {
    const { graph, faults } = graphOf({ d: ['b', 'c'], b: ['a'], a: [], c: ['a', 'outside'] });
    expect(faults).to.deep.equal([]);
    expect(graph.count).to.equal(4);
    expect(graph.edgeCount).to.equal(5);
    expect(graph.externals()).to.deep.equal(['outside']);
    expect(dependenciesOf(graph, 3)).to.deep.equal([
      ['a', 2],
      ['outside', -1],
    ]);
  });

  it('removes duplicate dependencies and keeps the order in which they were first named', () => {
    const { graph } = graphOf({ a: [], b: [], c: ['b', 'a', 'b', 'a'] });
    expect(dependenciesOf(graph, 2)).to.deep.equal([
      ['b', 1],
      ['a', 0],
    ]);
  });

  it('names where an external id is used, by the places as they were given', () => {
    const { graph } = graphOf({ a: ['x', 'x', 'y'], b: ['a', 'x'] });
    expect(graph.usesOf((id) => id === 'x', 10)).to.deep.equal([
      { task: 0, dependency: 0, id: 'x' },
      { task: 1, dependency: 1, id: 'x' },
    ]);
    expect(graph.usesOf(() => true, 2)).to.have.length(2);
  });

  it('finds an id that is given twice, also one that was named as a dependency before', () => {
    const graph = new SubmittedGraph();
    expect(graph.add('a', ['b'])).to.deep.equal([]);
    expect(graph.add('b', [])).to.deep.equal([]);
    const [fault] = graph.add('b', []);
    expect(fault).to.include({ kind: 'duplicate-id', task: 2, dependency: null });
  });

  it('finds a task that depends on itself', () => {
    const { faults } = graphOf({ x: [], a: ['x', 'a'] });
    expect(faults).to.have.length(1);
    expect(faults[0]).to.include({ kind: 'self-dependency', task: 1, dependency: 1 });
    expect(faults[0]?.detail).to.include('a → a');
  });

  it('names a cycle along the dependencies, and the edge that closes it', () => {
    const { faults } = graphOf({ s: ['a'], a: ['x', 'b'], b: ['c'], c: ['a'], x: [] });
    expect(faults).to.have.length(1);
    expect(faults[0]).to.include({ kind: 'cycle', task: 3, dependency: 0 });
    expect(faults[0]?.detail).to.match(/: a → b → c → a$/);
  });

  it('shortens the name of a long cycle', () => {
    const graph = new SubmittedGraph();
    const count = 100_000;
    for (let i = 0; i < count; i++) graph.add(`t${String(i)}`, [`t${String((i + 1) % count)}`]);
    const fault = runToEnd(graph.firstCycle());
    expect(fault?.detail).to.include('t0 → t1 →').and.to.include('100000 tasks');
    expect(fault?.detail.endsWith('→ t0')).to.equal(true);
    expect(fault?.detail.length).to.be.below(1000);
  });

  it('stops at its limits, and takes no more in', () => {
    const graph = new SubmittedGraph({ tasksMax: 2, dependenciesMax: 3 });
    expect(graph.add('a', ['1', '2', '3', '4'])[0]).to.include({ kind: 'too-many-dependencies' });
    expect(graph.count).to.equal(0);
    graph.add('a', ['1', '2']);
    graph.add('b', []);
    expect(graph.add('c', [])[0]).to.include({ kind: 'too-many-tasks', task: 2 });
    expect(graph.count).to.equal(2);
  });

  it('agrees with a naive reference on random graphs', () => {
    const task = fc.array(fc.nat({ max: 11 }), { maxLength: 4 });
    fc.assert(
      fc.property(fc.array(task, { minLength: 1, maxLength: 12 }), (lists) => {
        const edges = Object.fromEntries(
          lists.map((list, i) => [
            `t${String(i)}`,
            list.filter((d) => d !== i).map((d) => `t${String(d)}`),
          ]),
        );
        const { faults } = graphOf(edges);
        expect(faults.length > 0).to.equal(hasCycle(edges));
        const path = faults[0]?.detail.split(': ')[1]?.split(' → ') ?? [];
        for (let i = 1; i < path.length; i++) {
          expect(edges[path[i - 1] ?? '']).to.include(path[i]);
        }
      }),
      { seed: 7, numRuns: 2000 },
    );
  });

  it('orders tasks by id as a plain sort does', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ maxLength: 3 }), { maxLength: 50 }), (ids) => {
        const graph = new SubmittedGraph();
        for (const id of ids) graph.add(id, []);
        const order = runToEnd(graph.orderById());
        expect(Array.from(order, (task) => graph.idOf(task))).to.deep.equal([...ids].sort());
      }),
      { seed: 7, numRuns: 500 },
    );
  });

  it('checks a million tasks with three million edges, pausing often', () => {
    const graph = new SubmittedGraph();
    const count = 1_000_000;
    for (let i = 0; i < count; i++) {
      // Ids in an order of their own, so that the sort has work to do.
      const id = (k: number): string => `task-${String((k * 7919) % count)}`;
      graph.add(id(i), i < 3 ? [] : [id(i - 1), id(i - 2), id(i >> 1)]);
    }
    let pauses = 0;
    const cycles = graph.firstCycle();
    let step = cycles.next();
    for (; step.done !== true; step = cycles.next()) pauses += 1;
    expect(step.value).to.equal(null);
    expect(pauses).to.be.above(50);
    const order = runToEnd(graph.orderById());
    for (let i = 1; i < count; i += 997) {
      expect(graph.idOf(order[i - 1] ?? 0) < graph.idOf(order[i] ?? 0)).to.equal(true);
    }
  }).timeout(60_000);
});

/** By removing tasks whose dependencies are all removed, until none is left or none can be. */
function hasCycle(edges: Edges): boolean {
  const left = new Map(Object.entries(edges));
  for (let changed = true; changed;) {
    changed = false;
    for (const [id, dependencies] of left) {
      if (dependencies.some((dependency) => left.has(dependency))) continue;
      left.delete(id);
      changed = true;
    }
  }
  return left.size > 0;
}
