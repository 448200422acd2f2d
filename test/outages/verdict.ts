import { systemClock } from '../../node/base/clock.ts';
import { LEAST_URGENT } from './ledger.ts';
import type { Ledger } from './ledger.ts';

/** Whether all that was acknowledged ended, once and in order: by the tables alone. */
const KEEP = 'insert into outages.acknowledged select * from unnest($1::text[])';
const KEPT_AT_ONCE = 50_000;

/** The type that no node handles. */
export const WAITS_FOR_EVER = 'archive';

const UNFINISHED = `
select count(*)::int as count from skein.live
where priority <> ${String(LEAST_URGENT)}
  and type_id not in (select type_id from skein.type where name = '${WAITS_FOR_EVER}')`;

/** Each counts what must not be. */
const FAULTS: Readonly<Record<string, string>> = {
  'acknowledged and not COMPLETED': `
    select count(*)::int as count from outages.acknowledged a
    left join skein.task t on t.namespace_id = 0 and t.id = a.id where t.status is distinct from 1`,
  'ended more than once': `
    select count(*)::int as count from (
      select from outages.ending group by seq having count(*) > 1) as twice`,
  'ended under another lease than its last': `
    select count(*)::int as count from outages.ending e
    where lease_seq <> (select max(lease_seq) from outages.lease l where l.seq = e.seq)`,
  'started before a dependency had ended': `
    select count(*)::int as count from skein.task c, unnest(c.dependencies) as d (id)
    join skein.task p on p.namespace_id = 0 and p.id = d.id
    where c.started_at is not null and (p.finished_at is null or p.finished_at > c.started_at)`,
  'not live and without an end': `
    select count(*)::int as count from skein.task t left join skein.live l using (seq)
    where l.seq is null and t.status is null`,
};

/**
 * Executions beyond the first that no death explains. A lease that did not win and whose task had begun
 * must have been taken from a node that was killed, after that.
 */
const EXTRA = `
select count(*)::int as count from skein.attempt a join outages.lease l using (seq, lease_seq)
where not (a.outcome = 'released' and a.started_at is null) and not exists (
  select from outages.killed k
  where k.node_id = l.node_id and a.outcome = 'lost' and a.finished_at >= k.at)`;

/** Leases that ended with neither an outcome nor an attempt: there is no such end. */
const UNEXPLAINED = `
select count(*)::int as count from outages.lease l join skein.task t using (seq)
where t.status is not null and l.lease_seq <> t.lease_seq and not exists (
  select from skein.attempt a where a.seq = l.seq and a.lease_seq = l.lease_seq)`;

/** A leader died after it had committed them, before its word of them had arrived. */
const UNSENT = `
select count(*)::int as count from skein.attempt
where outcome = 'released' and started_at is null`;

const ATTEMPTS = `
select outcome, count(*)::int as count from skein.attempt group by outcome order by outcome`;

const CHARGED = `
select count(*)::int as count from skein.task where status = 1 and attempt <> 1`;

const LOOK_MS = 100;

/** Waits until all has ended that is not meant to wait for ever; says whether it did. */
export async function untilAllEnded(ledger: Ledger, patienceMs: number): Promise<boolean> {
  const untilMs = systemClock.monotonicMs() + patienceMs;
  while (systemClock.monotonicMs() < untilMs) {
    const left = await ledger.one<{ count: number }>(UNFINISHED).catch(() => undefined);
    if (left?.count === 0) return true;
    await systemClock.sleep(LOOK_MS);
  }
  return false;
}

/** Each fault as a sentence; none where all is well. */
export async function faultsIn(
  ledger: Ledger,
  acknowledged: readonly string[],
): Promise<readonly string[]> {
  await ledger.query('truncate outages.acknowledged');
  for (let from = 0; from < acknowledged.length; from += KEPT_AT_ONCE) {
    await ledger.query(KEEP, [acknowledged.slice(from, from + KEPT_AT_ONCE)]);
  }
  await ledger.query('analyze outages.acknowledged');
  await ledger.query('create index if not exists lease_of on outages.lease (seq, lease_seq)');
  const faults: string[] = [];
  for (const [what, text] of Object.entries(FAULTS)) {
    const { count } = await ledger.one<{ count: number }>(text);
    if (count > 0) faults.push(`${String(count)} tasks ${what}`);
  }
  const examples = await ledger.query(NOT_COMPLETED);
  return [...faults, ...examples.map((example) => JSON.stringify(example))];
}

/** What became of the first that did not complete, for whoever looks into it. */
const NOT_COMPLETED = `
select a.id, t.status, t.seq::int, t.attempt, t.lease_seq, l.seq is not null as live, t.error::text,
  array(select outcome || ' ' || coalesce(x.error::text, '')
    from skein.attempt x where x.seq = t.seq) as attempts
from outages.acknowledged a left join skein.task t on t.namespace_id = 0 and t.id = a.id
left join skein.live l using (seq) where t.status is distinct from 1 order by t.seq limit 5`;

export interface Executions {
  readonly leases: number;
  readonly extra: number;
  /** Leases that never reached their node. */
  readonly unsent: number;
  /** Completed tasks whose accepted attempt is not their first. */
  readonly charged: number;
  readonly attempts: Readonly<Record<string, number>>;
}

export async function executionsIn(ledger: Ledger): Promise<Executions> {
  const count = async (text: string): Promise<number> =>
    (await ledger.one<{ count: number }>(text)).count;
  const attempts = await ledger.query<{ outcome: string; count: number }>(ATTEMPTS);
  return {
    leases: await count('select count(*)::int as count from outages.lease'),
    extra: (await count(EXTRA)) + (await count(UNEXPLAINED)),
    unsent: await count(UNSENT),
    charged: await count(CHARGED),
    attempts: Object.fromEntries(attempts.map((row) => [row.outcome, row.count])),
  };
}
