import { systemClock } from '../../../node/base/clock.ts';
import { ndjson, submitNdjson, untilEnded } from '../load.ts';
import { lastSeq, prove } from '../proof.ts';
import type { Cost, Rig } from '../rig.ts';

/**
 * Tasks that do nothing, all there before the first may run: they wait for one instant, and the time is
 * from that instant to the last end, both by the database's clock.
 */
export interface Drained extends Cost {
  readonly tasks: number;
}

/** What a submit takes at most, a thousand tasks, and the pause before the instant. */
const SUBMIT_MS_A_THOUSAND = 60;
const MARGIN_MS = 4000;

const SECONDS = `
select extract(epoch from max(finished_at)) - $2::float8 / 1000
from skein.task where seq > $1`;

export async function drain(rig: Rig, tasks: number, name: string): Promise<Drained> {
  const afterSeq = await lastSeq(rig);
  const atMs = Date.now() + (tasks / 1000) * SUBMIT_MS_A_THOUSAND + MARGIN_MS;
  const run_at = new Date(atMs).toISOString();
  const id = (at: number): string => `${name}-${String(at)}`;
  const [first = ''] = rig.urls;
  await submitNdjson(
    first,
    ndjson(tasks, (at) => ({ id: id(at), type: 'noop', run_at })),
  );
  const cost = await rig.cost(async () => {
    if (Date.now() > atMs) throw new Error('the submit took longer than the tasks waited');
    await systemClock.sleep(atMs - Date.now());
    await untilEnded(rig, id(tasks - 1));
    await untilGone(rig);
    return (await rig.numbers(SECONDS, [afterSeq, atMs]))[0] ?? NaN;
  });
  await prove(rig, afterSeq, tasks);
  return { ...cost, tasks };
}

const LOOK_MS = 50;

async function untilGone(rig: Rig): Promise<void> {
  const left = 'select count(*) from (select 1 from skein.live limit 1) as l';
  while ((await rig.numbers(left))[0] !== 0) await systemClock.sleep(LOOK_MS);
}
