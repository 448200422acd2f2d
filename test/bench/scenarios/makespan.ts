import { readFile } from 'node:fs/promises';
import { checkRun, scheduledTasksOf } from '../../../node/cli/check-run.ts';
import { workflowOfWfFormat } from '../../../node/cli/wfformat.ts';
import type { GraphBody } from '../../../node/client/bodies.ts';
import { idealMakespanMs } from '../../../node/core/ideal-schedule.ts';
import { joined, onRig } from '../measure.ts';
import type { Reading, Scenario } from '../measure.ts';
import { lastSeq, prove } from '../proof.ts';
import type { Rig } from '../rig.ts';

/**
 * Recorded workflows beside the ideal schedule on as many slots: critical path first, durations known,
 * nothing costs anything. Each is scaled so that the ideal takes three seconds.
 */
export const MAKESPAN: Scenario = {
  name: 'makespan',
  what: 'recorded workflows on 8 and 48 slots, beside the ideal schedule',
  measure: async (options) => {
    const files = await Promise.all(
      WORKFLOWS.map(async (name): Promise<Recorded> => {
        const url = new URL(`../../data/wfinstances/${name}.json`, import.meta.url);
        return { name, file: JSON.parse(await readFile(url, 'utf8')) };
      }),
    );
    const measured = [];
    for (const { nodes, slots } of CLUSTERS) {
      const rigOptions = { nodes, slots, extraFlags: ['--simulate'] };
      const each = await onRig(options, rigOptions, async (rig) => {
        const readings: Reading[] = [];
        for (const recorded of files) {
          options.signal.throwIfAborted();
          readings.push(...(await runWorkflow(rig, recorded, nodes * slots)));
        }
        return readings;
      });
      measured.push(each);
    }
    return joined(measured);
  },
};

const WORKFLOWS = [
  'epigenomics-chameleon-hep-1seq-100k-001',
  'seismology-chameleon-100p-001',
  'montage-chameleon-2mass-01d-001',
  'montage-chameleon-2mass-05d-001',
];
const CLUSTERS = [
  { nodes: 2, slots: 4 },
  { nodes: 3, slots: 16 },
];
const IDEAL_MS = 3000;
const WAIT_MS = 120_000;

interface Recorded {
  readonly name: string;
  readonly file: unknown;
}

async function runWorkflow(rig: Rig, { name, file }: Recorded, slots: number) {
  const workflow = workflowOfWfFormat(file, { timeScale: scaleOf(file, slots) });
  const client = rig.client();
  const afterSeq = await lastSeq(rig);
  const sentMs = Date.now();
  const { id } = await client.submitWorkflow(workflow);
  await rig.untilGone(afterSeq, WAIT_MS);
  await prove(rig, afterSeq, workflow.tasks.length);
  const graph = await client.getWorkflowGraph(id);
  const idealMs = idealMakespanMs(scheduledTasksOf(graph), slots);
  const { makespanMs, lastFinishMs } = soundOrThrow(graph);
  const what = `${name.replace('-chameleon', '')} on ${String(slots)} slots, of the ideal`;
  return [
    { what: `${what}: first start to last end`, value: makespanMs / idealMs },
    { what: `${what}: request sent to last end`, value: (lastFinishMs - sentMs) / idealMs },
  ].map((reading): Reading => ({ ...reading, unit: 'times' }));
}

/** What makes the ideal schedule take as long as it should. */
function scaleOf(file: unknown, slots: number): number {
  const { tasks } = workflowOfWfFormat(file, { timeScale: 1 });
  const places = new Map(tasks.map(({ id }, at) => [id, at]));
  const recorded = tasks.map(({ duration_ms = 0, dependencies = [] }) => ({
    durationMs: duration_ms,
    dependencies: dependencies.map((id) => places.get(id) ?? NaN),
  }));
  return IDEAL_MS / idealMakespanMs(recorded, slots);
}

function soundOrThrow(graph: GraphBody) {
  const { violations, makespanMs, lastFinishMs } = checkRun(graph);
  const [violation] = violations;
  if (violation !== undefined) throw new Error(`no figure: ${violation}`);
  return { makespanMs: makespanMs ?? NaN, lastFinishMs: lastFinishMs ?? NaN };
}
