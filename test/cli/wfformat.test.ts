import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import type { TaskSpec, WorkflowSpec } from '../../node/cli/ports.ts';
import { isWfFormat, workflowOfWfFormat } from '../../node/cli/wfformat.ts';
import { criticalPathMs, idealMakespanMs } from '../../node/core/ideal-schedule.ts';
import type { ScheduledTask } from '../../node/core/ideal-schedule.ts';
import { WORKFLOW_FILES } from './support.ts';

/** Goal: recorded workflows keep their graph and their run times. Method: four real ones. */
function read(file: string, timeScale = 1): WorkflowSpec {
  const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
  expect(isWfFormat(value)).to.equal(true);
  return workflowOfWfFormat(value, { timeScale });
}

function scheduled(tasks: readonly TaskSpec[]): readonly ScheduledTask[] {
  const places = new Map(tasks.map(({ id }, place) => [id, place]));
  return tasks.map((task) => ({
    durationMs: task.duration_ms ?? Number.NaN,
    dependencies: (task.dependencies ?? []).map((id) => places.get(id) ?? Number.NaN),
  }));
}

const EXPECTED = [
  { file: 'epigenomics', name: 'genome-dax-0', tasks: 41, edges: 48, pathS: 104.8, workS: 539.3 },
  { file: 'seismology', name: 'seismology-0', tasks: 101, edges: 100, pathS: 2.8, workS: 71.9 },
  { file: 'montageSmall', name: 'montage', tasks: 103, edges: 231, pathS: 21.1, workS: 362.6 },
  {
    file: 'montageLarge',
    name: 'montage-0',
    tasks: 1738,
    edges: 4698,
    pathS: 102.4,
    workS: 8694.7,
  },
] as const;

describe('workflowOfWfFormat', () => {
  for (const { file, name, tasks, edges, pathS, workS } of EXPECTED) {
    it(`keeps every task and edge of ${file}`, () => {
      const workflow = read(WORKFLOW_FILES[file]);
      expect(workflow.name).to.equal(name);
      expect(workflow.tasks).to.have.lengthOf(tasks);
      expect(workflow.tasks.flatMap((task) => task.dependencies ?? [])).to.have.lengthOf(edges);
      const schedule = scheduled(workflow.tasks);
      expect(criticalPathMs(schedule) / 1000).to.be.closeTo(pathS, 0.05);
      expect(idealMakespanMs(schedule, 1) / 1000).to.be.closeTo(workS, 0.1);
    });
  }

  it('scales run times to whole milliseconds: the large one ideally takes 4.13 s on 48 slots', () => {
    const { tasks } = read(WORKFLOW_FILES.montageLarge, 0.02);
    for (const task of tasks) expect(task.duration_ms).to.satisfy(Number.isInteger);
    expect(idealMakespanMs(scheduled(tasks), 48) / 1000).to.be.closeTo(4.13, 0.005);
  });

  it('names the types by the recorded programs', () => {
    const types = (file: string): readonly string[] =>
      [...new Set(read(file).tasks.map(({ type }) => type))].toSorted();
    expect(types(WORKFLOW_FILES.seismology)).to.deep.equal([
      'sG1IterDecon',
      'wrapper_siftSTFByMisfit',
    ]);
    expect(types(WORKFLOW_FILES.montageSmall)).to.include.members(['mProject', 'mDiffFit', 'mAdd']);
  });

  const record = (runtimeInSeconds: unknown, more: object = {}): object => ({
    name: 'w',
    schemaVersion: '1.5',
    workflow: {
      specification: { tasks: [{ id: 'a_ID01', name: 'a_ID01', parents: [], children: [] }] },
      execution: { tasks: [{ id: 'a_ID01', runtimeInSeconds, ...more }] },
    },
  });
  const first = (value: object, options = {}): TaskSpec | undefined =>
    workflowOfWfFormat(value, { timeScale: 0.02, ...options }).tasks[0];

  it('never makes a task shorter than a millisecond', () => {
    expect(first(record(0))?.duration_ms).to.equal(1);
    expect(first(record(0.01))?.duration_ms).to.equal(1);
    expect(first(record(0.125))?.duration_ms).to.equal(3);
  });

  it('takes the type from --type, the program, or the name without its number', () => {
    const program = { command: { program: '/usr/local/bin/sort' } };
    expect(first(record(1, program), { type: 'mine' })?.type).to.equal('mine');
    expect(first(record(1, program))?.type).to.equal('sort');
    expect(first(record(1))?.type).to.equal('a');
  });

  const broken: readonly (readonly [string, object, RegExp])[] = [
    ['a run time that is no number', record('1'), /a_ID01: .*runtimeInSeconds/],
    ['a negative run time', record(-1), /a_ID01: .*runtimeInSeconds/],
    [
      'an older version',
      { schemaVersion: '1.3', workflow: { tasks: [] } },
      /WfFormat 1\.3 is not read/,
    ],
    [
      'no execution',
      { schemaVersion: '1.5', workflow: { specification: { tasks: [] } } },
      /no workflow\.execution/,
    ],
    ['a run time beyond 24 days', record(1e9), /too long; try a smaller --time-scale/],
  ];
  for (const [what, value, message] of broken) {
    it(`says what is wrong with ${what}`, () => {
      expect(() => first(value)).to.throw(message);
    });
  }

  it('is not mistaken for a workflow of our own', () => {
    for (const value of [{ tasks: [] }, [], null, 'x', { schemaVersion: '1.5' }]) {
      expect(isWfFormat(value)).to.equal(false);
    }
  });
});
