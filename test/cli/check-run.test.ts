import { expect } from 'chai';
import { checkRun, scheduledTasksOf } from '../../node/cli/check-run.ts';
import type { GraphView } from '../../node/cli/check-run.ts';
import type { TaskStatus } from '../../node/core/task.ts';

type Node = GraphView['nodes'][number];

const at = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

function node(
  id: string,
  from: number | null,
  to: number | null,
  status: TaskStatus = 'COMPLETED',
): Node {
  return { id, status, duration_ms: 10, started_at: at(from), finished_at: at(to) };
}

describe('checkRun', () => {
  it('accepts a dependent that starts in the very millisecond its dependency ends in', () => {
    const graph: GraphView = {
      nodes: [node('a', 1000, 1010), node('b', 1010, 1025)],
      edges: [['a', 'b']],
    };
    expect(checkRun(graph)).to.deep.equal({
      tasks: 2,
      edges: 1,
      violations: [],
      notCompleted: [],
      firstStartMs: 1000,
      lastFinishMs: 1025,
      makespanMs: 25,
    });
    expect(scheduledTasksOf(graph)).to.deep.equal([
      { durationMs: 10, dependencies: [] },
      { durationMs: 10, dependencies: [0] },
    ]);
  });

  it('names each edge that was not respected', () => {
    const { violations } = checkRun({
      nodes: [node('a', 0, 10), node('b', 9, 20), node('c', 5, null, 'RUNNING'), node('d', 30, 40)],
      edges: [
        ['a', 'b'],
        ['c', 'd'],
        ['a', 'd'],
      ],
    });
    expect(violations).to.have.lengthOf(2);
    expect(violations[0]).to.match(/^b started .* before a ended/);
    expect(violations[1]).to.match(/^d started .* c has not finished/);
  });

  it('names what did not complete, and blames no edge for what never started', () => {
    const check = checkRun({
      nodes: [node('a', 0, 10, 'FAILED'), node('b', null, 10, 'SKIPPED')],
      edges: [['a', 'b']],
    });
    expect(check.violations).to.deep.equal([]);
    expect(check.notCompleted).to.deep.equal([
      { id: 'a', status: 'FAILED' },
      { id: 'b', status: 'SKIPPED' },
    ]);
  });

  it('does not believe in a completed task without times', () => {
    const { violations } = checkRun({ nodes: [node('a', null, 10)], edges: [] });
    expect(violations).to.have.lengthOf(1);
  });

  it('knows no makespan where nothing ran', () => {
    expect(checkRun({ nodes: [], edges: [] })).to.include({ makespanMs: null, firstStartMs: null });
  });
});
