import { systemClock } from '../../../node/base/clock.ts';
import { ndjson, submitNdjson, untilEnded } from '../load.ts';
import { grouped, onRig } from '../measure.ts';
import type { Reading, Scenario } from '../measure.ts';
import { lastSeq, prove } from '../proof.ts';
import type { Rig } from '../rig.ts';

/**
 * Tasks that do nothing, all there before the first may run: they wait for one instant, and the time is
 * from that instant to the last end, both by the database's clock.
 */
export const DRAIN: Scenario = {
  name: 'drain',
  what: 'tasks that do nothing, all there before the first may run',
  measure: (options) =>
    onRig(options, {}, async (rig, round) => [
      await drain(rig, { tasks: options.tasks, name: `drain-${String(round)}` }),
    ]),
};

export interface DrainOptions {
  readonly tasks: number;
  /** Begins the ids. */
  readonly name: string;
  /** Tasks beside these that stay unfinished. */
  readonly waiting?: number;
  readonly what?: string;
  readonly type?: string;
}

/** What a submit takes at most, a thousand tasks, and the pause before the instant. */
const SUBMIT_MS_A_THOUSAND = 80;
const MARGIN_MS = 3500;
/** What the first look at the counters takes, and more. */
const LOOK_MS = 1500;

const SECONDS = `
select extract(epoch from max(finished_at)) - $2::float8 / 1000
from skein.task where seq > $1`;

/** With the rate at which the tasks were submitted, as one stream to one node. */
export interface Drained extends Reading {
  readonly submitRate: number;
}

export async function drain(rig: Rig, options: DrainOptions): Promise<Drained> {
  const { tasks, name, waiting = 0, type = 'noop' } = options;
  const { what = `drain of ${grouped(tasks)} tasks` } = options;
  const afterSeq = await lastSeq(rig);
  const atMs = Date.now() + (tasks / 1000) * SUBMIT_MS_A_THOUSAND + MARGIN_MS;
  const run_at = new Date(atMs).toISOString();
  const id = (at: number): string => `${name}-${String(at)}`;
  const [first = ''] = rig.urls;
  const chunks = ndjson(tasks, (at) => ({ id: id(at), type, run_at }));
  const sentMs = performance.now();
  await submitNdjson(first, chunks);
  const submitRate = (tasks / (performance.now() - sentMs)) * 1000;
  await rig.prepare();
  await systemClock.sleep(Math.max(0, atMs - LOOK_MS - Date.now()));
  const cost = await rig.cost(async () => {
    if (Date.now() > atMs) throw new Error('the submit took longer than the tasks waited');
    await systemClock.sleep(atMs - Date.now());
    await untilEnded(rig, id(tasks - 1));
    await rig.untilGone(afterSeq);
    return (await rig.numbers(SECONDS, [afterSeq, atMs]))[0] ?? NaN;
  });
  await prove(rig, afterSeq, tasks, waiting);
  const value = tasks / cost.seconds;
  return { what, unit: 'tasks/s', value, cost: { ...cost, tasks }, submitRate };
}
