import type { Session, Statement } from './database.ts';
import { SUMMARY_COLUMNS, SUMMARY_JOINS, toSummary } from './task-list.ts';
import type { SummaryRow, TaskPage } from './task-list.ts';

/**
 * Who depends on a task: found in the tasks themselves, because there is no table of edges. A task is
 * submitted after its dependencies, or with them, so the walk goes forward, and begins where the oldest
 * task that can have come with this one may stand: at the first of its workflow, or at what was stored
 * so long before it that no submit takes.
 */
const WALK_ROWS = 5000;
/** Walks of one call; after that it answers with what it has and where to go on. */
const WALKS_MAX = 20;
const SUBMIT_MINUTES_MAX = 30;

const OLDEST_OF_WORKFLOW: Statement = {
  name: 'dependents.oldest-of-workflow',
  text: `
    select min(o.seq) as seq
    from skein.task t join skein.task o on o.workflow_seq = t.workflow_seq
    where t.seq = $1`,
};

/** The first task from a number on, and whether it was stored too long before another to be of its set. */
const PROBE: Statement = {
  name: 'dependents.probe',
  text: `
    select p.created_at < t.created_at - $3::int * interval '1 minute' as is_too_old
    from skein.task t, lateral (
      select o.created_at from skein.task o where o.seq >= $2 order by o.seq limit 1
    ) p
    where t.seq = $1`,
};

const WALK: Statement = {
  name: 'dependents.walk',
  text: `
    with walked as materialized (
      select s.seq, s.dependencies from skein.task s where s.seq > $1 order by s.seq limit $2
    )
    select c.walked, c.highest, p.*
    from (select count(*)::int as walked, max(seq) as highest from walked) c
    left join lateral (
      select ${SUMMARY_COLUMNS}
      from walked k
      join skein.task t on t.seq = k.seq
      ${SUMMARY_JOINS}
      where $3 = any (k.dependencies)
      order by t.seq
      limit $4
    ) p on true
    order by p.seq`,
};

interface WalkRow extends SummaryRow {
  readonly walked: number;
  readonly highest: number | null;
}

/** `after` is the `next` of the page before; null for the first. */
export async function findDependents(
  session: Session,
  task: { readonly seq: number; readonly id: string },
  limit: number,
  after: number | null,
): Promise<TaskPage> {
  const tasks: TaskPage['tasks'][number][] = [];
  let from = after ?? (await oldestSibling(session, task.seq)) - 1;
  for (let walks = 0; walks < WALKS_MAX; walks++) {
    const rows: WalkRow[] = await session.query<WalkRow>(WALK, [
      from,
      WALK_ROWS,
      task.id,
      limit - tasks.length,
    ]);
    const found = rows.filter((row): row is WalkRow & { seq: number } => row.seq !== null);
    tasks.push(...found.map(toSummary));
    const last = found.at(-1);
    if (tasks.length === limit && last !== undefined) return { tasks, next: last.seq };
    const [{ walked, highest } = { walked: 0, highest: null }] = rows;
    if (walked < WALK_ROWS || highest === null) return { tasks, next: null };
    from = highest;
  }
  return { tasks, next: from };
}

/** Below no dependent of the task can stand. */
async function oldestSibling(session: Session, seq: number): Promise<number> {
  const [oldest] = await session.query<{ seq: number | null }>(OLDEST_OF_WORKFLOW, [seq]);
  if (oldest !== undefined && oldest.seq !== null) return oldest.seq;
  let [low, high] = [1, seq];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const [probe] = await session.query<{ is_too_old: boolean }>(PROBE, [
      seq,
      middle,
      SUBMIT_MINUTES_MAX,
    ]);
    if (probe?.is_too_old === true) low = middle + 1;
    else high = middle;
  }
  return low;
}
