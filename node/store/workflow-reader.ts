import type { TaskStatus } from '../core/task.ts';
import type { Session, Statement } from './database.ts';
import { statusOf } from './task-status.ts';
import type { StatusColumns } from './task-status.ts';

/**
 * Workflows as any node answers for them. Nothing is counted up as tasks end: the counts are taken
 * from the index on (workflow, seq) beside `live` and `not_completed`, at the cost of one lookup a task.
 */
export type WorkflowStatus = 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELLED';

export interface WorkflowRecord {
  readonly id: string;
  readonly name: string;
  readonly priority: number;
  readonly status: WorkflowStatus;
  readonly counts: Readonly<Record<TaskStatus, number>>;
  readonly createdAt: Date;
  /** When its last task ended; null while any has not. */
  readonly finishedAt: Date | null;
}

export interface WorkflowPage {
  readonly workflows: readonly WorkflowRecord[];
  readonly next: number | null;
}

export interface GraphNode {
  readonly seq: number;
  readonly id: string;
  readonly type: string;
  readonly status: TaskStatus;
  readonly durationMs: number | null;
  readonly expectedMs: number | null;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly priority: number;
  readonly dependencies: readonly string[];
}

interface WorkflowRow {
  readonly workflow_seq: number;
  readonly id: string;
  readonly name: string;
  readonly priority: number;
  readonly created_at: Date;
  readonly total: number;
  readonly queued: number;
  readonly running: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly skipped: number;
  readonly finished_at: Date | null;
}

const COLUMNS = `
    select w.workflow_seq, w.id, w.name, w.priority, w.created_at, c.*
    from w
    cross join lateral (
      select count(*)::int as total,
        count(*) filter (where l.seq is not null and l.node_id is null)::int as queued,
        count(l.node_id)::int as running,
        count(*) filter (where l.seq is null and n.status = 2)::int as failed,
        count(*) filter (where l.seq is null and n.status = 3)::int as cancelled,
        count(*) filter (where l.seq is null and n.status = 4)::int as skipped,
        max(t.finished_at) as finished_at
      from skein.task t
      left join skein.live l on l.seq = t.seq
      left join skein.not_completed n on n.seq = t.seq
      where t.workflow_seq = w.workflow_seq
    ) c
    order by w.workflow_seq desc`;

const FIND: Statement = {
  name: 'workflow-reader.find',
  text: `
    with w as materialized (
      select * from skein.workflow where namespace_id = 0 and id = $1
    )${COLUMNS}`,
};

const LIST: Statement = {
  name: 'workflow-reader.list',
  text: `
    with w as materialized (
      select * from skein.workflow
      where namespace_id = 0 and workflow_seq < $1
      order by workflow_seq desc
      limit $2
    )${COLUMNS}`,
};

/** Total at submit: whether the graph is small enough to be read in one piece. */
const TOTAL: Statement = {
  name: 'workflow-reader.total',
  text: `select workflow_seq, total from skein.workflow where namespace_id = 0 and id = $1`,
};

const GRAPH: Statement = {
  name: 'workflow-reader.graph',
  text: `
    select t.seq, t.id, y.name as type, l.seq is not null as is_live, l.node_id is not null as is_leased,
      t.status as end_code, t.duration_ms, t.expected_ms, t.priority, t.dependencies,
      case when l.seq is null then t.started_at else l.started_at end as started_at,
      case when l.seq is null then t.finished_at end as finished_at
    from skein.task t
    join skein.type y on y.type_id = t.type_id
    left join skein.live l on l.seq = t.seq
    where t.workflow_seq = $1
    order by t.seq`,
};

/** What of a workflow has not ended, for a forecast; `left_ms` of what runs now. */
const UNFINISHED: Statement = {
  name: 'workflow-reader.unfinished',
  text: `
    select l.seq, l.type_id, l.expected_ms, l.deps, l.node_id is not null as is_leased,
      greatest(0, extract(epoch from clock_timestamp() - coalesce(l.started_at, l.leased_at))
        * 1000)::float8 as running_ms,
      greatest(0, extract(epoch from l.run_at - clock_timestamp()) * 1000)::float8 as early_ms
    from skein.workflow w
    join skein.task t on t.workflow_seq = w.workflow_seq
    join skein.live l on l.seq = t.seq
    where w.namespace_id = 0 and w.id = $1
    order by l.seq
    limit $2`,
};

export interface UnfinishedTask {
  readonly seq: number;
  readonly typeId: number;
  /** As the task says itself, milliseconds; 0 where it says nothing. */
  readonly expectedMs: number;
  readonly deps: readonly number[];
  /** Since when it runs; null where it does not. */
  readonly runningMs: number | null;
  /** Until its time has come; 0 where it has none. */
  readonly earlyMs: number;
}

export class WorkflowReader {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async find(id: string): Promise<WorkflowRecord | null> {
    const [row] = await this.#session.query<WorkflowRow>(FIND, [id]);
    return row === undefined ? null : toRecord(row);
  }

  /** Newest first; `before` is the `next` of the page before. */
  async list(limit: number, before: number | null): Promise<WorkflowPage> {
    const values = [before ?? Number.MAX_SAFE_INTEGER, limit];
    const rows = await this.#session.query<WorkflowRow>(LIST, values);
    const last = rows.at(-1);
    const next = rows.length === limit && last !== undefined ? last.workflow_seq : null;
    return { workflows: rows.map(toRecord), next };
  }

  /** At most so many of the tasks that have not ended, the oldest first. */
  async unfinished(id: string, limit: number): Promise<readonly UnfinishedTask[]> {
    const rows = await this.#session.query<{
      seq: number;
      type_id: number;
      expected_ms: number;
      deps: number[];
      is_leased: boolean;
      running_ms: number | null;
      early_ms: number | null;
    }>(UNFINISHED, [id, limit]);
    return rows.map((row) => ({
      seq: row.seq,
      typeId: row.type_id,
      expectedMs: row.expected_ms,
      deps: row.deps,
      runningMs: row.is_leased ? (row.running_ms ?? 0) : null,
      earlyMs: row.early_ms ?? 0,
    }));
  }

  /** Null where no such workflow exists; `too-large` where it holds more than `nodesMax` tasks. */
  async graph(id: string, nodesMax: number): Promise<readonly GraphNode[] | 'too-large' | null> {
    const [found] = await this.#session.query<{ workflow_seq: number; total: number }>(TOTAL, [id]);
    if (found === undefined) return null;
    if (found.total > nodesMax) return 'too-large';
    const rows = await this.#session.query<
      StatusColumns & {
        readonly seq: number;
        readonly id: string;
        readonly type: string;
        readonly duration_ms: number | null;
        readonly expected_ms: number | null;
        readonly priority: number;
        readonly dependencies: readonly string[];
        readonly started_at: Date | null;
        readonly finished_at: Date | null;
      }
    >(GRAPH, [found.workflow_seq]);
    return rows.map((row) => ({
      seq: row.seq,
      id: row.id,
      type: row.type,
      status: statusOf(row),
      durationMs: row.duration_ms,
      expectedMs: row.expected_ms,
      startedAt: row.started_at,
      finishedAt: row.finished_at,
      priority: row.priority,
      dependencies: row.dependencies,
    }));
  }
}

function toRecord(row: WorkflowRow): WorkflowRecord {
  const unfinished = row.queued + row.running;
  const { failed, cancelled, skipped } = row;
  return {
    id: row.id,
    name: row.name,
    priority: row.priority,
    status: workflowStatus(unfinished, failed, cancelled),
    counts: {
      QUEUED: row.queued,
      RUNNING: row.running,
      COMPLETED: row.total - unfinished - failed - cancelled - skipped,
      FAILED: failed,
      CANCELLED: cancelled,
      SKIPPED: skipped,
    },
    createdAt: row.created_at,
    finishedAt: unfinished > 0 ? null : row.finished_at,
  };
}

/** A skipped task alone is no failure: its trigger rule asked for it. */
function workflowStatus(unfinished: number, failed: number, cancelled: number): WorkflowStatus {
  if (unfinished > 0) return 'RUNNING';
  if (failed > 0) return 'FAILED';
  return cancelled > 0 ? 'CANCELLED' : 'COMPLETED';
}
