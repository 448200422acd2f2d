import { systemClock } from '../../node/base/clock.ts';
import { unlessNone } from './failovers.ts';
import type { FlowOptions, FlowTask } from './flow.ts';
import { judge, onRig } from './part.ts';
import type { Part, PartOptions } from './part.ts';
import { partReport } from './report.ts';
import type { PartReport } from './report.ts';
import { Rig } from './rig.ts';

/**
 * PostgreSQL goes and comes back, by a fast and by an immediate shutdown in turn. Down for half a lease
 * nothing runs again; down for three, what had to be aborted runs again once. Measured is how long after
 * its return it is until the first lease or outcome is committed.
 */
const LEASE_MS = 10_000;
/** What a start takes, recovery aside, so that the server is away for about as long as is said. */
const START_MS = 700;
/** Beyond this after its last renewal, a second before, a node is right to abort what it runs. */
const HALF_MS_MAX = 5900;
const TRIES_MAX = 4;
const SLOTS = 8;

export const halfALease: Part = (options) => outages('down for half a lease', 0.5, options);
export const threeLeases: Part = (options) => outages('down for three leases', 3, options);

/** What was leased to a node that had not renewed yet goes back unbegun, and is no execution. */
const AGAIN_MORE_THAN_ONCE = `
select count(*)::int as count from (
  select from skein.attempt where started_at is not null group by seq having count(*) > 1) as twice`;
const LEASES_UNEXPLAINED = `
select count(*)::int as count from skein.task t
where t.status = 1 and (select count(*) from outages.lease l where l.seq = t.seq)
  <> 1 + (select count(*) from skein.attempt a where a.seq = t.seq)`;
const ABORTED = `
select count(*)::int as count from skein.attempt 
where outcome in ('released', 'lost') and started_at is not null`;
const RUNNING = 'select count(*)::int as count from skein.live where node_id is not null';
const FIRST_SIGN = `
select (extract(epoch from least(
  (select min(at) from outages.lease where at > to_timestamp($1::float8 / 1000)),
  (select min(at) from outages.ending where at > to_timestamp($1::float8 / 1000))
)) * 1000)::float8 as "atMs"`;

const BACK = 'return → first lease or outcome';
const DOWN = 'shutdown → return';

async function outages(what: string, leases: number, options: PartOptions): Promise<PartReport> {
  const firsts: number[] = [];
  const downs: number[] = [];
  let tooLong = 0;
  const faults: string[] = [];
  let aborted = 0;
  let acknowledged = 0;
  let load = 0;
  for (let at = 0; at < options.count;) {
    options.signal.throwIfAborted();
    const signal = at % 2 === 0 ? 'SIGINT' : 'SIGQUIT';
    const one = await onRig(
      () => Rig.start({ slots: SLOTS, main: options.main }),
      options.say,
      (rig) => outage(rig, what, signal, leases),
    );
    const ms = (name: string): number => one.figures[name]?.max ?? NaN;
    const isTooLong = leases < 1 && ms(DOWN) > HALF_MS_MAX;
    options.say(
      `${String(at + 1)}: ${signal}, down ${String(ms(DOWN))} ms, back ${String(ms(BACK))} ms`,
    );
    if (isTooLong && tooLong < TRIES_MAX) {
      options.say('the server took too long to start: that was more than half a lease');
      tooLong += 1;
      continue;
    }
    at += 1;
    firsts.push(ms(BACK));
    downs.push(ms(DOWN));
    faults.push(...one.faults.map((fault) => `${signal}: ${fault}`));
    aborted += Number(one.facts['aborted']);
    acknowledged += Number(one.facts['acknowledged']);
    load = Math.max(load, one.load);
  }
  const facts = { acknowledged, aborted, 'left out as too long': tooLong };
  const values = { [BACK]: firsts, [DOWN]: downs };
  return { ...partReport(what, values, facts, faults, { max: 2000 }), load };
}

/** A rig each, so that what one leaves behind is not counted for the next. */
async function outage(
  rig: Rig,
  what: string,
  signal: 'SIGINT' | 'SIGQUIT',
  leases: number,
): Promise<PartReport> {
  const flow = rig.flow({ backlog: 3 * SLOTS + 12, group: longAndShort() });
  await rig.until('all slots to be taken', async () =>
    (await countOf(rig, RUNNING)) >= 3 * SLOTS ? true : undefined,
  );
  await systemClock.sleep(Math.random() * 1000);
  const returned = new AbortController();
  const back = whenBack(rig, returned.signal);
  const { atMs: downMs } = await rig.ledger.moment();
  await rig.server.restart(signal, leases * LEASE_MS - START_MS);
  const backMs = await back;
  const firstMs = await rig.until('work to resume', async () => {
    const { atMs } = await rig.ledger.one<{ atMs: number | null }>(FIRST_SIGN, [backMs]);
    return atMs ?? undefined;
  });
  const { faults, executions } = await judge(rig, flow);
  const aborted = await countOf(rig, ABORTED);
  return partReport(
    what,
    { [BACK]: [firstMs - backMs], [DOWN]: [backMs - downMs] },
    { acknowledged: flow.acknowledged.length, aborted, leases: executions.leases },
    [
      ...faults,
      ...unlessNone(executions.charged, 'tasks with more than one attempt charged'),
      ...unlessNone(executions.attempts['failed'] ?? 0, 'failed attempts'),
      ...unlessNone(await countOf(rig, AGAIN_MORE_THAN_ONCE), 'tasks that ran again twice'),
      ...unlessNone(await countOf(rig, LEASES_UNEXPLAINED), 'tasks with a lease too many'),
      ...(leases < 1 ? unlessNone(aborted, 'attempts that had to be made again') : []),
      ...(leases > 1 && aborted === 0 ? ['nothing was aborted, so nothing was shown'] : []),
    ],
  );
}

async function countOf(rig: Rig, text: string): Promise<number> {
  return (await rig.ledger.one<{ count: number }>(text)).count;
}

/** The first instant at which the server that came back answers, by its own clock. */
async function whenBack(rig: Rig, signal: AbortSignal): Promise<number> {
  let wasAway = false;
  while (!signal.aborted) {
    const moment = await rig.ledger.moment().catch(() => undefined);
    if (moment === undefined) wasAway = true;
    else if (wasAway) return moment.atMs;
    await systemClock.sleep(5);
  }
  throw new Error('the server did not come back');
}

/**
 * Work that takes 8 to 20 s, and before it work that ends within the outage: at the return there are
 * outcomes to settle.
 */
function longAndShort(): FlowOptions['group'] {
  const between = (min: number, max: number): number =>
    Math.round(min + Math.random() * (max - min));
  const task = (id: string, ms: number): FlowTask => ({ id, type: 'sleep', duration_ms: ms });
  return (prefix) => [
    task(`${prefix}-a`, between(8000, 20_000)),
    { ...task(`${prefix}-b`, between(100, 900)), dependencies: [`${prefix}-a`] },
    { ...task(`${prefix}-c`, between(1500, 4000)), priority: 1 },
  ];
}
