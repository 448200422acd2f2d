import { ndjson, submitNdjson } from '../load.ts';
import type { LoadTask } from '../load.ts';
import { grouped, onRig } from '../measure.ts';
import type { Reading, Scenario } from '../measure.ts';
import { batchesOf, postAll, requestOf } from '../poster.ts';
import { lastSeq, prove } from '../proof.ts';
import type { Rig } from '../rig.ts';

/**
 * From the first request sent to the last acknowledged, by the clock of the client: a task that is
 * acknowledged is committed. The tasks wait until all of that is over, then run, which is not measured.
 */
export const SUBMIT: Scenario = {
  name: 'submit',
  what: 'single tasks, batches and a stream over REST, until acknowledged',
  measure: (options) =>
    onRig(options, {}, async (rig, round) => {
      const { tasks } = options;
      const few = Math.ceil(tasks / 10);
      return [
        await submit(rig, {
          what: `submit of ${grouped(few)} tasks, each a request, ${String(SINGLES)} in flight`,
          ...{ count: few, name: `single-${String(round)}`, estimateMs: few },
          send: (all) => {
            const requests = all.map((task) => requestOf('/tasks', task));
            return () => postAll(rig.urls, SINGLES, requests);
          },
        }),
        await submit(rig, {
          what: `submit of ${grouped(tasks)} tasks, batches of 1,000, ${String(BATCHES)} in flight`,
          ...{ count: tasks, name: `batch-${String(round)}`, estimateMs: tasks / 10 },
          send: (all) => {
            const requests = batchesOf(all);
            return () => postAll(rig.urls, BATCHES, requests);
          },
        }),
        await submit(rig, {
          what: `submit of ${grouped(tasks)} tasks in one stream of NDJSON`,
          ...{ count: tasks, name: `stream-${String(round)}`, estimateMs: tasks / 10 },
          send: (all) => {
            const chunks = ndjson(all.length, (at) => all[at] ?? { id: '', type: '' });
            return () => submitNdjson(rig.urls[0] ?? '', chunks);
          },
        }),
      ];
    }),
};

const SINGLES = 32;
/** Two a node. */
const BATCHES = 6;
const MARGIN_MS = 8000;

interface SubmitOptions {
  readonly what: string;
  readonly count: number;
  /** Begins the ids. */
  readonly name: string;
  /** What it takes at most: nothing runs before, and a submit that takes longer has no figure. */
  readonly estimateMs: number;
  /** Makes the bytes, and returns what sends them. */
  readonly send: (tasks: readonly LoadTask[]) => () => Promise<void>;
}

async function submit(rig: Rig, options: SubmitOptions): Promise<Reading> {
  const { what, count, name, estimateMs } = options;
  const afterSeq = await lastSeq(rig);
  await rig.prepare();
  const runAtMs = Date.now() + estimateMs + MARGIN_MS;
  const run_at = new Date(runAtMs).toISOString();
  const tasks = Array.from({ length: count }, (_, at): LoadTask => ({
    ...{ id: `${name}-${String(at)}`, type: 'noop', run_at },
  }));
  const send = options.send(tasks);
  const cost = await rig.cost(async () => {
    const begunMs = performance.now();
    await send();
    const endedMs = performance.now();
    if (Date.now() > runAtMs) throw new Error('the submit took longer than the tasks waited');
    return (endedMs - begunMs) / 1000;
  });
  await rig.untilGone(afterSeq);
  await prove(rig, afterSeq, count);
  return { what, unit: 'tasks/s', value: count / cost.seconds, cost: { ...cost, tasks: count } };
}
