import { ndjson, submitNdjson } from '../load.ts';
import { grouped, joined, runsOn, withRig } from '../measure.ts';
import type { Measured, Row, Scenario } from '../measure.ts';
import { rssOf } from '../machine.ts';
import type { Rig } from '../rig.ts';
import { drain } from './drain.ts';

/** The same drain while more and more tasks wait for tomorrow, and what the leader keeps for each. */
export const BACKLOG: Scenario = {
  name: 'backlog',
  what: 'a drain with ten thousand, a hundred thousand, a million more queued',
  measure: (options) =>
    withRig({ main: options.main }, async (rig) => {
      const { tasks, say, signal } = options;
      // Before memory is compared, it has grown to what the work itself needs.
      await drain(rig, { tasks, name: 'before' });
      const rssBefore = await leaderRss(rig);
      const measured: Measured[] = [];
      let waiting = 0;
      for (const backlog of [tasks / 10, tasks, tasks * 10].map(Math.ceil)) {
        for (; waiting < backlog; waiting += Math.min(CHUNK, backlog - waiting)) {
          signal.throwIfAborted();
          await submitWaiting(rig, waiting, Math.min(CHUNK, backlog - waiting));
        }
        await rig.untilApplied();
        await rig.prepare();
        say(`  ${grouped(waiting)} wait`);
        const what = `drain of ${grouped(tasks)} tasks, ${grouped(backlog)} more queued`;
        const run = async (_rig: Rig, round: number) => {
          const name = `with-${String(backlog)}-${String(round)}`;
          return [await drain(rig, { tasks, name, waiting: backlog, what })];
        };
        measured.push(await runsOn(rig, options, run));
      }
      const bytes = ((await leaderRss(rig)) - rssBefore) / waiting;
      const all = joined(measured);
      const memory: Row = {
        ...{ what: `leader's memory for each of ${grouped(waiting)} queued`, unit: 'bytes' },
        ...{ values: [bytes], costs: [] },
      };
      const what = `the rate with ${grouped(waiting)} more queued, of that with the fewest`;
      return { ...all, rows: [...all.rows, ratioOf(what, all.rows), memory] };
    }),
};

const CHUNK = 100_000;
const DAY_MS = 24 * 3_600_000;

async function submitWaiting(rig: Rig, from: number, count: number): Promise<void> {
  const run_at = new Date(Date.now() + DAY_MS).toISOString();
  const [first = ''] = rig.urls;
  const chunks = ndjson(count, (at) => ({
    id: `later-${String(from + at)}`,
    type: 'noop',
    run_at,
  }));
  await submitNdjson(first, chunks);
}

async function leaderRss(rig: Rig): Promise<number> {
  return rssOf(rig.cluster.node(await rig.cluster.leader()).pid);
}

/** Of the last to the first, run by run. */
export function ratioOf(what: string, rows: readonly Row[]): Row {
  const [first, last] = [rows[0], rows.at(-1)];
  const values = (last?.values ?? []).map((value, at) => value / (first?.values[at] ?? NaN));
  return { what, unit: 'times', values, costs: [] };
}
