import type { Rig } from './rig.ts';

/**
 * No figure without a proof: what was submitted has ended, all of it, each by exactly one accepted
 * outcome, and nothing began before what it depends on had ended.
 */
const FAULTS = `
with run as (select * from skein.task where seq > $1)
select
  (select count(*) from run),
  (select count(*) from run where status is distinct from 1),
  (select count(*) from skein.live) - $2::bigint,
  (select count(*) from skein.attempt where seq > $1 and outcome in ('failed', 'cancelled')),
  (select count(*) from run c cross join lateral unnest(c.dependencies) as d (id)
    join skein.task p on p.namespace_id = c.namespace_id and p.id = d.id
    where p.finished_at is null or c.started_at is null or p.finished_at > c.started_at)`;

const NAMES = ['tasks', 'not completed', 'not ended', 'attempts charged', 'begun too early'];

/** The number of the last task so far. */
export async function lastSeq(rig: Pick<Rig, 'numbers'>): Promise<number> {
  return (await rig.numbers('select coalesce(max(seq), 0) from skein.task'))[0] ?? 0;
}

/**
 * Throws where any task after `afterSeq` did not end as it should, or where their number is not `count`.
 * `waiting` others are meant to be unfinished.
 */
export async function prove(
  rig: Pick<Rig, 'numbers'>,
  afterSeq: number,
  count: number,
  waiting = 0,
): Promise<void> {
  const found = await rig.numbers(FAULTS, [afterSeq, waiting]);
  const faults = found.slice(1).map((value, at) => [NAMES[at + 1], value] as const);
  const wrong = faults.filter(([, value]) => value !== 0);
  if (found[0] !== count) wrong.unshift(['tasks', found[0] ?? 0]);
  if (wrong.length === 0) return;
  throw new Error(
    `no figure: ${wrong.map(([name, value]) => `${String(value)} ${String(name)}`).join(', ')}`,
  );
}
