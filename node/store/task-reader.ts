import type { TaskStatus } from '../core/task.ts';
import type { Session, Statement } from './database.ts';
import { failedDependenciesOf, obstaclesOf, type Obstacles } from './obstacles.ts';
import { findTasks, someTasks } from './task-list.ts';
import type { TaskPage, TaskQuery, TaskSummary } from './task-list.ts';
import { findDependents } from './dependents.ts';
import { statusOf } from './task-status.ts';
import type { StatusColumns } from './task-status.ts';

/**
 * Tasks as any node answers for them. The status of an unfinished task is not stored: a row in
 * `live` says that it is unfinished, a node in that row that it is RUNNING. Each answer is one
 * statement and so one snapshot, in which a task is in `live` or ended, never neither.
 */
export interface TaskRecord {
  readonly seq: number;
  readonly id: string;
  readonly type: string;
  readonly status: TaskStatus;
  readonly priority: number;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly triggerRule: number;
  readonly durationMs: number | null;
  readonly expectedMs: number | null;
  readonly timeoutMs: number | null;
  readonly ttlMs: number | null;
  readonly backoffFixed: boolean;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly dependencies: readonly string[];
  readonly tags: readonly string[];
  /** `key=value`. */
  readonly labels: readonly string[];
  readonly workflow: string | null;
  readonly node: string | null;
  readonly runAt: Date | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  /** JSON texts. */
  readonly payload: string | null;
  readonly result: string | null;
  readonly error: string | null;
  /** How the latest attempt failed, of a task that is to be tried again: JSON text. */
  readonly lastError: string | null;
  /** What the latest run says of how far it is; null where none has said anything. */
  readonly progress: Progress | null;
}

export interface Progress {
  /** From 0 to 1. */
  readonly fraction: number;
  readonly note: string | null;
  readonly at: Date;
}

/** Why a QUEUED task is not running, as far as it can be told cheaply. */
export type WaitingFor =
  | {
      readonly reason: 'dependencies';
      readonly dependencies: readonly string[];
      readonly count: number;
    }
  | { readonly reason: 'time'; readonly runAt: Date }
  | { readonly reason: 'paused' | 'type'; readonly type: string }
  /** A node runs the type, but none has these labels, `key=value`. */
  | { readonly reason: 'labels'; readonly labels: readonly string[] }
  /** Of the slots that are there, its type may have so many at a time; null without such a limit. */
  | { readonly reason: 'slot'; readonly maxRunning: number | null };

export interface AttemptRecord {
  readonly attempt: number;
  readonly leaseSeq: number;
  /** How it ended, in lower case; `running` for one under way. */
  readonly outcome: string;
  readonly node: string | null;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  /** JSON text. */
  readonly error: string | null;
}

interface TaskRow extends StatusColumns {
  readonly seq: number;
  readonly id: string;
  readonly type: string;
  readonly priority: number;
  readonly attempt: number;
  readonly max_attempts: number;
  readonly trigger_rule: number;
  readonly duration_ms: number | null;
  readonly expected_ms: number | null;
  readonly timeout_ms: number | null;
  readonly ttl_ms: number | null;
  readonly backoff_fixed: boolean;
  readonly backoff_base_ms: number;
  readonly backoff_max_ms: number;
  readonly dependencies: readonly string[];
  readonly tags: readonly string[];
  readonly labels: readonly string[] | null;
  readonly workflow: string | null;
  readonly node: string | null;
  readonly run_at: Date | null;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
  readonly payload: string | null;
  readonly result: string | null;
  readonly error: string | null;
  readonly last_error: string | null;
  readonly fraction: number | null;
  readonly note: string | null;
  readonly said_at: Date | null;
}

/** What an ended run left in `task` is history while the task is live again after a retry. */
const FIND: Statement = {
  name: 'task-reader.find',
  text: `
    select t.seq, t.id, y.name as type, l.seq is not null as is_live,
      l.node_id is not null as is_leased, t.status as end_code, t.priority,
      case when l.seq is null then t.attempt else l.attempt + (l.node_id is not null)::int end
        as attempt,
      t.max_attempts, t.trigger_rule, t.duration_ms, t.expected_ms, t.timeout_ms, t.ttl_ms,
      t.backoff_fixed, t.backoff_base_ms, t.backoff_max_ms, t.dependencies, t.tags,
      t.labels, w.id as workflow,
      n.name as node,
      case when l.seq is null then t.run_at else l.run_at end as run_at, t.created_at,
      case when l.seq is null then t.started_at else l.started_at end as started_at,
      case when l.seq is null then t.finished_at end as finished_at,
      t.payload,
      case when l.seq is null then t.result end as result,
      case when l.seq is null then t.error end as error,
      case when l.attempt > 0 then (
        select a.error from skein.attempt a where a.seq = t.seq and a.outcome = 'failed'
        order by a.lease_seq desc limit 1
      ) end as last_error, s.fraction, s.note, s.at as said_at
    from skein.task t
    join skein.type y on y.type_id = t.type_id
    left join skein.live l on l.seq = t.seq
    left join skein.workflow w on w.workflow_seq = t.workflow_seq
    left join skein.node n on n.node_id = case when l.seq is null then t.node_id else l.node_id end
    left join skein.progress s on s.seq = t.seq
      and s.lease_seq = case when l.seq is null then t.lease_seq else l.lease_seq end
    where t.namespace_id = 0 and t.id = $1`,
};

const ATTEMPTS: Statement = {
  name: 'task-reader.attempts',
  text: `
    select a.attempt, a.lease_seq, a.outcome, n.name as node, a.started_at, a.finished_at, a.error
    from (
      select a.attempt, a.lease_seq, a.outcome, a.node_id, a.started_at, a.finished_at, a.error
      from skein.attempt a
      where a.seq = $1
      union all
      select t.attempt, t.lease_seq,
        case t.status when 1 then 'completed' when 2 then 'failed' else 'cancelled' end,
        t.node_id, t.started_at, t.finished_at, t.error
      from skein.task t
      where t.seq = $1 and t.status between 1 and 3 and t.node_id is not null
        and not exists (select from skein.live l where l.seq = $1)
        and not exists (select from skein.attempt a where a.seq = $1 and a.lease_seq = t.lease_seq)
      union all
      select l.attempt + 1, l.lease_seq, 'running', l.node_id, l.started_at, null, null
      from skein.live l
      where l.seq = $1 and l.node_id is not null
    ) a
    left join skein.node n on n.node_id = a.node_id
    order by a.lease_seq
    limit 1000`,
};

/** Which of the tasks have ended; for the one poll that all waiting requests of a node share. */
const ENDED_MANY: Statement = {
  name: 'task-reader.ended-many',
  text: `
    select w.seq
    from unnest($1::bigint[]) w (seq)
    where not exists (select from skein.live l where l.seq = w.seq)`,
};

export class TaskReader {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  dependents(
    task: { readonly seq: number; readonly id: string },
    limit: number,
    after: number | null,
  ): Promise<TaskPage> {
    return findDependents(this.#session, task, limit, after);
  }

  async find(id: string): Promise<TaskRecord | null> {
    const [row] = await this.#session.query<TaskRow>(FIND, [id]);
    return row === undefined ? null : toRecord(row);
  }

  /** Null where the task is not QUEUED (any more). */
  async waitingFor(seq: number): Promise<WaitingFor | null> {
    const found = await obstaclesOf(this.#session, seq);
    if (found === null) return null;
    const { unended, dependencies, type, runAt } = found;
    if (unended > 0) {
      const ids = dependencies.map(({ id }) => id);
      return { reason: 'dependencies', dependencies: ids, count: unended };
    }
    if (runAt !== null) return { reason: 'time', runAt };
    if (found.isPaused) return { reason: 'paused', type };
    if (!found.hasType) return { reason: 'type', type };
    if (!found.hasNode) return { reason: 'labels', labels: found.labels };
    return { reason: 'slot', maxRunning: found.maxRunning };
  }

  /** All that stands between a QUEUED task and its start; null where it is not QUEUED (any more). */
  obstacles(seq: number): Promise<Obstacles | null> {
    return obstaclesOf(this.#session, seq);
  }

  failedDependencies(
    seq: number,
  ): Promise<readonly { readonly id: string; readonly status: TaskStatus }[]> {
    return failedDependenciesOf(this.#session, seq);
  }

  /** Every try, lost leases among them, the latest last. */
  async attempts(seq: number): Promise<readonly AttemptRecord[]> {
    const rows = await this.#session.query<{
      attempt: number;
      lease_seq: number;
      outcome: string;
      node: string | null;
      started_at: Date | null;
      finished_at: Date | null;
      error: string | null;
    }>(ATTEMPTS, [seq]);
    return rows.map(({ lease_seq, started_at, finished_at, ...row }) => ({
      ...row,
      leaseSeq: lease_seq,
      startedAt: started_at,
      finishedAt: finished_at,
    }));
  }

  async endedMany(seqs: readonly number[]): Promise<readonly number[]> {
    const rows = await this.#session.query<{ seq: number }>(ENDED_MANY, [seqs]);
    return rows.map(({ seq }) => seq);
  }

  some(seqs: readonly number[]): Promise<readonly TaskSummary[]> {
    return someTasks(this.#session, seqs);
  }

  list(query: TaskQuery): Promise<TaskPage> {
    return findTasks(this.#session, query);
  }
}

function toRecord(row: TaskRow): TaskRecord {
  return {
    seq: row.seq,
    id: row.id,
    type: row.type,
    status: statusOf(row),
    priority: row.priority,
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    triggerRule: row.trigger_rule,
    durationMs: row.duration_ms,
    expectedMs: row.expected_ms,
    timeoutMs: row.timeout_ms,
    ttlMs: row.ttl_ms,
    backoffFixed: row.backoff_fixed,
    backoffBaseMs: row.backoff_base_ms,
    backoffMaxMs: row.backoff_max_ms,
    dependencies: row.dependencies,
    tags: row.tags,
    labels: row.labels ?? [],
    workflow: row.workflow,
    node: row.node,
    runAt: row.run_at,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    payload: row.payload,
    result: row.result,
    error: row.error,
    lastError: row.last_error,
    progress: progressOf(row),
  };
}

function progressOf({ fraction, note, said_at: at }: TaskRow): Progress | null {
  return fraction === null || at === null ? null : { fraction, note, at };
}
