import { grouped, joined, runsOn, withRig } from '../measure.ts';
import type { Scenario } from '../measure.ts';
import type { Rig } from '../rig.ts';
import { ratioOf } from './backlog.ts';
import { drain } from './drain.ts';

/** The same drain before and after the table has got a long past. */
export const HISTORY: Scenario = {
  name: 'history',
  what: 'a drain beside ten million tasks that have ended',
  measure: (options) =>
    withRig({ main: options.main }, async (rig) => {
      const { tasks, say, signal } = options;
      const ended = tasks * 100;
      const drainWith = (past: number) =>
        runsOn(rig, options, async (_rig, round) => {
          const name = `past-${String(past)}-${String(round)}`;
          const what = `drain of ${grouped(tasks)} tasks beside ${grouped(past)} that have ended`;
          return [await drain(rig, { tasks, name, what })];
        });
      const without = await drainWith(0);
      for (let have = 0; have < ended; have += CHUNK) {
        signal.throwIfAborted();
        await insertEnded(rig, have, Math.min(CHUNK, ended - have));
      }
      await rig.sql((client) => client.query('vacuum (analyze) skein.task'));
      say(`  ${grouped(ended)} have ended`);
      const all = joined([without, await drainWith(ended)]);
      const what = `the rate beside ${grouped(ended)} that have ended, of that beside none`;
      return { ...all, rows: [...all.rows, ratioOf(what, all.rows)] };
    }),
};

const CHUNK = 200_000;

/** Copies of the last task that ended, under ids and numbers of their own. */
async function insertEnded(rig: Rig, from: number, count: number): Promise<void> {
  await rig.sql(async (client) => {
    const { rows } = await client.query<{ names: string }>(COLUMNS);
    const [{ names } = { names: '' }] = rows;
    await client.query(
      `insert into skein.task (seq, id, ${names})
       select nextval('skein.task_seq'), 'ended-' || at, ${names}
       from (select * from skein.task order by seq desc limit 1) as t,
         generate_series($1::bigint, $2::bigint) as at`,
      [from, from + count - 1],
    );
  });
}

const COLUMNS = `
select string_agg(quote_ident(column_name), ', ') as names
from information_schema.columns
where table_schema = 'skein' and table_name = 'task' and column_name not in ('seq', 'id')`;
