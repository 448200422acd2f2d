import { expect } from 'chai';
import { layersOf, untangled } from '../../node/dashboard/src/graph/layers.ts';
import type { Node } from '../../node/dashboard/src/graph/layers.ts';
import { planOf } from '../../node/dashboard/src/graph/plan.ts';
import type { Plan } from '../../node/dashboard/src/graph/plan.ts';
import { SINGLE_MAX, sceneOf } from '../../node/dashboard/src/graph/scene.ts';
import type { Box } from '../../node/dashboard/src/graph/scene.ts';
import type { GraphRow } from '../../node/dashboard/src/bodies.ts';

/** Goal: a graph is drawn so that it can be read. Method: small graphs, wide ones and deep ones. */
const node = (id: string, ...dependencies: string[]): Node => ({ id, dependencies });
const row = (id: string, dependencies: string[] = [], rest: Partial<GraphRow> = {}): GraphRow => ({
  ...{ id, dependencies, type: 'noop', status: 'QUEUED', expected_ms: 1000 },
  ...{ started_at: null, finished_at: null },
  ...rest,
});
const fan = (leaves: number): readonly GraphRow[] => [
  row('root'),
  ...Array.from({ length: leaves }, (_, n) => row(`n${String(n)}`, ['root'])),
];
const NONE: ReadonlySet<string> = new Set();

function overlaps(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

describe('the layers of a graph', () => {
  it('put each task after all that it depends on', () => {
    const { layerOf, layers } = layersOf([
      node('c', 'a', 'b'),
      node('a'),
      node('b', 'a'),
      node('d', 'elsewhere'),
    ]);
    expect([...layerOf]).to.deep.equal([2, 0, 1, 0]);
    expect(layers).to.have.length(3);
  });

  it('put tasks beside their neighbours, so that edges need not cross', () => {
    const { layers } = untangled(layersOf([node('a'), node('b'), node('y', 'b'), node('x', 'a')]));
    expect(layers).to.deep.equal([
      [0, 1],
      [3, 2],
    ]);
  });
});

describe('the scene of a graph', () => {
  it('gives each task of a small graph a box of its own, and folds a layer that is very high', () => {
    const { boxes, edges, width, height } = sceneOf(fan(400), NONE, 1.9);
    expect(boxes).to.have.length(401);
    expect(edges).to.have.length(400);
    expect(width / height).to.be.within(0.8, 4);
    const clashes = boxes.filter((box, at) => boxes.slice(at + 1).some((b) => overlaps(box, b)));
    expect(clashes).to.deep.equal([]);
  });

  it('draws the tasks of one type in one layer as one box, above 500 tasks', () => {
    const rows = fan(SINGLE_MAX);
    const { boxes, edges, groupOf } = sceneOf(rows, NONE, 1.9);
    expect(boxes.map(({ members }) => members?.length)).to.deep.equal([1, SINGLE_MAX]);
    expect(edges.map(({ weight }) => weight)).to.deep.equal([SINGLE_MAX]);
    expect(groupOf).to.have.length(SINGLE_MAX + 1);
  });

  it('opens a level, with its tasks inside of it', () => {
    const closed = sceneOf(fan(SINGLE_MAX), NONE, 1.9);
    const group = closed.boxes[1]?.id ?? '';
    const { boxes, boxOf } = sceneOf(fan(SINGLE_MAX), new Set([group]), 1.9);
    expect(boxes).to.have.length(2 + SINGLE_MAX);
    const [frame, task] = [boxOf.get(group), boxOf.get('n499')];
    expect(frame !== undefined && task !== undefined && overlaps(frame, task)).to.equal(true);
  });

  it('puts several levels of a deep graph into one box, so that they can be seen', () => {
    const chain = Array.from({ length: 3000 }, (_, n) =>
      row(`t${String(n)}`, n === 0 ? [] : [`t${String(n - 1)}`]),
    );
    const { boxes } = sceneOf(chain, NONE, 1.9);
    expect(boxes.length).to.be.within(2, 120);
    const members = boxes.flatMap((box) => box.members ?? []);
    expect(new Set(members).size).to.equal(3000);
  });
});

describe('the plan of a workflow', () => {
  const planned = (all: readonly GraphRow[], slots: number): Plan =>
    planOf(all, layersOf(all), { nowMs: 5000, slots });
  const at = (ms: number): string => new Date(ms).toISOString();
  const rows = [
    row('a', [], { status: 'COMPLETED', started_at: at(1000), finished_at: at(3000) }),
    row('b', ['a'], { status: 'RUNNING', started_at: at(3000), expected_ms: 4000 }),
    row('c', ['a'], { expected_ms: 1000 }),
    row('d', ['b', 'c'], { expected_ms: 2000 }),
  ];

  it('takes what has been as it was, and expects the rest to fit on the slots', () => {
    const { tasks, fromMs, toMs } = planned(rows, 1);
    expect([fromMs, toMs]).to.deep.equal([1000, 10_000]);
    expect(tasks[1]).to.deep.equal({ fromMs: 3000, toMs: 7000, isGuess: false });
    expect(tasks[2]).to.deep.equal({ fromMs: 7000, toMs: 8000, isGuess: true });
    expect(planned(rows, 2).toMs).to.equal(9000);
  });

  it('finds the longest chain', () => {
    const { critical, criticalMs } = planned(rows, 2);
    expect([...critical]).to.deep.equal([0, 1, 3]);
    expect(criticalMs).to.equal(8000);
  });

  it('plans nothing for what will never run', () => {
    const { tasks } = planned([row('a', [], { status: 'SKIPPED' })], 1);
    expect(tasks).to.deep.equal([null]);
  });
});
