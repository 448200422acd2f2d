import { EndCode } from '../core/task.ts';
import type { TaskStatus } from '../core/task.ts';
import type { Session, Statement } from './database.ts';
import { statusOf } from './task-status.ts';
import type { StatusColumns } from './task-status.ts';

/**
 * The list of tasks, newest first, page by page. A page costs a bounded walk back through the
 * narrowest table that knows the answer, whatever the filters leave of it: `not_completed` for the
 * rare ends, `live` for the unfinished, a workflow's index, else `task` itself. So a page may be
 * short, or empty, and still have a next one.
 */
export interface TaskQuery {
  readonly status: TaskStatus | null;
  readonly type: string | null;
  readonly workflow: string | null;
  readonly tag: string | null;
  readonly limit: number;
  /** Only tasks below this number: the `next` of the page before. */
  readonly before: number | null;
}

export interface TaskSummary {
  readonly seq: number;
  readonly id: string;
  readonly status: TaskStatus;
  readonly type: string;
  readonly priority: number;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly durationMs: number | null;
  readonly workflow: string | null;
  readonly tags: readonly string[];
  readonly node: string | null;
  readonly runAt: Date | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

export interface TaskPage {
  readonly tasks: readonly TaskSummary[];
  /** Where the next page starts; null at the end. */
  readonly next: number | null;
}

/** Rows that one page looks at. `live` is narrow, and its RUNNING rows lie far apart. */
const WALK = { task: 2000, notCompleted: 2000, live: 20_000 };

/** Everything is a bigint, so that one before all of them is a number too. */
const NEWEST = Number.MAX_SAFE_INTEGER;

/** A task as lists show it; all null where there is none. */
export interface SummaryRow extends StatusColumns {
  readonly seq: number | null;
  readonly id: string;
  readonly type: string;
  readonly priority: number;
  readonly attempt: number;
  readonly max_attempts: number;
  readonly duration_ms: number | null;
  readonly workflow: string | null;
  readonly tags: readonly string[];
  readonly node: string | null;
  readonly run_at: Date | null;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
}

interface ListRow extends SummaryRow {
  readonly walked: number;
  readonly lowest: number | null;
}

/** Of `skein.task t`, with the joins below. */
export const SUMMARY_COLUMNS = `t.seq, t.id, y.name as type, l.seq is not null as is_live,
        l.node_id is not null as is_leased, t.status as end_code, t.priority,
        case when l.seq is null then t.attempt else l.attempt + (l.node_id is not null)::int end
          as attempt,
        t.max_attempts, t.duration_ms, w.id as workflow, t.tags, n.name as node,
        case when l.seq is null then t.run_at else l.run_at end as run_at, t.created_at,
        case when l.seq is null then t.started_at else l.started_at end as started_at,
        case when l.seq is null then t.finished_at end as finished_at`;
export const SUMMARY_JOINS = `join skein.type y on y.type_id = t.type_id
      left join skein.live l on l.seq = t.seq
      left join skein.workflow w on w.workflow_seq = t.workflow_seq
      left join skein.node n on n.node_id = case when l.seq is null then t.node_id else l.node_id end`;

export async function findTasks(session: Session, query: TaskQuery): Promise<TaskPage> {
  const { statement, values, walk } = listStatement(query);
  const rows = await session.query<ListRow>(statement, values);
  const tasks = rows.filter((row): row is ListRow & { seq: number } => row.seq !== null);
  const last = tasks.at(-1);
  const walked = rows[0]?.walked ?? 0;
  let next: number | null = null;
  if (tasks.length === query.limit && last !== undefined) next = last.seq;
  else if (walked === walk) next = rows[0]?.lowest ?? null;
  return { tasks: tasks.map(toSummary), next };
}

const SOME: Statement = {
  name: 'task-list.some',
  text: `
    select ${SUMMARY_COLUMNS}
    from skein.task t
    ${SUMMARY_JOINS}
    where t.seq = any ($1::bigint[])`,
};

/** These tasks, in any order; one that is gone is left out. */
export async function someTasks(
  session: Session,
  seqs: readonly number[],
): Promise<readonly TaskSummary[]> {
  const rows = await session.query<SummaryRow & { readonly seq: number }>(SOME, [seqs]);
  return rows.map(toSummary);
}

/**
 * The one statement of the store that is put together: from constants of this function alone, by
 * which filters are given. Values always travel as parameters.
 */
export function listStatement(query: TaskQuery): {
  readonly statement: Statement;
  readonly values: readonly unknown[];
  readonly walk: number;
} {
  const { status, type, workflow, tag, limit, before } = query;
  const values: unknown[] = [before ?? NEWEST, limit];
  const parameter = (value: unknown): string => `$${String(values.push(value))}`;
  const filters: string[] = [];
  let source = 'skein.task s where s.seq < $1';
  let walk = WALK.task;
  if (workflow !== null) {
    source = `skein.task s where s.seq < $1 and s.workflow_seq = (select w.workflow_seq
        from skein.workflow w where w.namespace_id = 0 and w.id = ${parameter(workflow)})`;
  } else if (status === 'QUEUED' || status === 'RUNNING') {
    source = 'skein.live s where s.seq < $1';
    walk = WALK.live;
  } else if (status !== null && status !== 'COMPLETED') {
    source = `skein.not_completed s where s.seq < $1
        and s.status = ${parameter(EndCode[status])}::smallint`;
    walk = WALK.notCompleted;
  }
  if (status === 'QUEUED') filters.push('l.seq is not null and l.node_id is null');
  else if (status === 'RUNNING') filters.push('l.node_id is not null');
  else if (status !== null) {
    filters.push(`l.seq is null and t.status = ${parameter(EndCode[status])}::smallint`);
  }
  if (type !== null) filters.push(`y.name = ${parameter(type)}`);
  if (tag !== null) filters.push(`${parameter(tag)} = any(t.tags)`);
  const text = `
    with walked as materialized (
      select s.seq
      from ${source}
      order by s.seq desc
      limit ${String(walk)}
    )
    select c.walked, c.lowest, p.*
    from (select count(*)::int as walked, min(seq) as lowest from walked) c
    left join lateral (
      select ${SUMMARY_COLUMNS}
      from walked k
      join skein.task t on t.seq = k.seq
      ${SUMMARY_JOINS}
      where ${['true', ...filters].join(' and ')}
      order by t.seq desc
      limit $2
    ) p on true`;
  return { statement: { text }, values, walk };
}

export function toSummary(row: SummaryRow & { readonly seq: number }): TaskSummary {
  return {
    seq: row.seq,
    id: row.id,
    status: statusOf(row),
    type: row.type,
    priority: row.priority,
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    durationMs: row.duration_ms,
    workflow: row.workflow,
    tags: row.tags,
    node: row.node,
    runAt: row.run_at,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  };
}
