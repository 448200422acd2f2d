import type { CatchUp, Overlap, Period, Timing } from '../core/schedule.ts';
import type { TaskStatus } from '../core/task.ts';
import type { Session, Statement } from './database.ts';
import { msOf, periodOf, TIMING_COLUMNS, timingOf } from './schedule-rows.ts';
import type { TimingColumns } from './schedule-rows.ts';
import { statusOf } from './task-status.ts';
import type { StatusColumns } from './task-status.ts';

/**
 * Schedules as any node stores and reads them. A change is one statement that also puts a row into the
 * inbox, by which the leader hears of it; it raises the revision, so that what the leader has read
 * before is not fired any more. Firing is the leader's alone (schedule-firer.ts).
 */
export interface ScheduleSpec {
  readonly timing: Timing;
  readonly period: Period;
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
  readonly isPaused: boolean;
  /** What a fire submits, as JSON text. */
  readonly kind: 'task' | 'workflow';
  readonly body: string;
}

export interface ScheduleRecord extends ScheduleSpec {
  readonly scheduleSeq: number;
  readonly id: string;
  readonly nextMs: number | null;
  readonly heldMs: number | null;
  readonly lastFireMs: number | null;
  readonly lastRunId: string | null;
  /** Of a task; null where there is none of that id any more, and for workflows. */
  readonly lastTaskStatus: TaskStatus | null;
  readonly fired: number;
  readonly skipped: number;
  readonly missed: number;
  readonly refused: number;
  readonly problem: { readonly message: string; readonly at: Date } | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const NOW: Statement = {
  name: 'schedules.now',
  text: `select ${msOf('clock_timestamp()')} as now_ms`,
};

/**
 * A schedule whose times stay the same keeps its next fire: whoever stores the same again at every
 * deployment must not lose the one that is due right then.
 */
const PUT: Statement = {
  name: 'schedules.put',
  text: `
    with given as (
      select $1::text as id, $2::text as cron, $3::text as timezone, $4::bigint as every_ms,
        to_timestamp($5::float8 / 1000) as anchor, to_timestamp($6::float8 / 1000) as starts_at,
        to_timestamp($7::float8 / 1000) as ends_at, $8::text as catch_up, $9::text as overlap,
        $10::boolean as paused, $11::json as task, $12::json as workflow,
        to_timestamp($13::float8 / 1000) as next_fire_at
    ), stored as (
      insert into skein.schedule as s (id, cron, timezone, every_ms, anchor, starts_at, ends_at,
        catch_up, overlap, paused, task, workflow, next_fire_at)
      select * from given
      on conflict (namespace_id, id) do update
      set cron = excluded.cron, timezone = excluded.timezone, every_ms = excluded.every_ms,
        anchor = excluded.anchor, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
        catch_up = excluded.catch_up, overlap = excluded.overlap, paused = excluded.paused,
        task = excluded.task, workflow = excluded.workflow,
        next_fire_at = case
          when not s.paused and not excluded.paused
            and (s.cron, s.timezone, s.every_ms, s.anchor, s.starts_at, s.ends_at)
              is not distinct from (excluded.cron, excluded.timezone, excluded.every_ms,
                excluded.anchor, excluded.starts_at, excluded.ends_at)
          then s.next_fire_at
          else excluded.next_fire_at
        end,
        held_fire_at = case
          when excluded.overlap = 'buffer_one' and not excluded.paused then s.held_fire_at
        end,
        revision = s.revision + 1, problem = null, problem_at = null,
        updated_at = clock_timestamp()
      returning s.revision = 1 as is_new
    ), told as (
      insert into skein.inbox (kind, first_seq, last_seq) values ('schedule', 0, 0)
    )
    select is_new from stored`,
};

/** What fell into the pause is not made up for: the next fire is counted from now on. */
const SET_PAUSED: Statement = {
  name: 'schedules.set-paused',
  text: `
    with changed as (
      update skein.schedule
      set paused = $2, next_fire_at = to_timestamp($3::float8 / 1000), held_fire_at = null,
        revision = revision + 1, updated_at = clock_timestamp()
      where namespace_id = 0 and id = $1 and paused <> $2
      returning 1
    ), told as (
      insert into skein.inbox (kind, first_seq, last_seq) select 'schedule', 0, 0 from changed
    )
    select exists (select from changed) as changed`,
};

const DELETE: Statement = {
  name: 'schedules.delete',
  text: `delete from skein.schedule where namespace_id = 0 and id = $1 returning schedule_seq`,
};

/** A run that a user asked for counts among those that overlap. */
const ADD_RUN: Statement = {
  name: 'schedules.add-run',
  text: `
    update skein.schedule s
    set last_run_id = $2,
      open_tasks = open_tasks || array(
        select seq from skein.task t
        where s.task is not null and t.namespace_id = 0 and t.id = $2),
      open_workflows = open_workflows || array(
        select workflow_seq from skein.workflow w
        where s.workflow is not null and w.namespace_id = 0 and w.id = $2)
    where s.namespace_id = 0 and s.id = $1`,
};

const COLUMNS = `s.schedule_seq, s.id, ${TIMING_COLUMNS}, s.catch_up, s.overlap, s.paused,
      s.task::text as task, s.workflow::text as workflow, ${msOf('s.next_fire_at')} as next_ms,
      ${msOf('s.held_fire_at')} as held_ms, ${msOf('s.last_fire_at')} as last_ms, s.last_run_id,
      s.fired, s.skipped, s.missed, s.refused, s.problem, s.problem_at, s.created_at, s.updated_at,
      t.seq is not null as has_task, l.seq is not null as is_live,
      l.node_id is not null as is_leased, t.status as end_code
    from s
    left join skein.task t on s.task is not null and t.namespace_id = 0 and t.id = s.last_run_id
    left join skein.live l on l.seq = t.seq`;

const FIND: Statement = {
  name: 'schedules.find',
  text: `
    with s as materialized (
      select * from skein.schedule where namespace_id = 0 and id = $1
    )
    select ${COLUMNS}`,
};

const LIST: Statement = {
  name: 'schedules.list',
  text: `
    with s as materialized (
      select * from skein.schedule
      where namespace_id = 0 and schedule_seq < $1
      order by schedule_seq desc
      limit $2
    )
    select ${COLUMNS}
    order by s.schedule_seq desc`,
};

export class Schedules {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** The database's clock, by which everything here is judged. */
  async nowMs(): Promise<number> {
    const [row] = await this.#session.query<{ now_ms: number }>(NOW);
    return row?.now_ms ?? Number.NaN;
  }

  /** True where it is new, false where it took the place of one of this id. */
  async put(id: string, spec: ScheduleSpec, nextMs: number | null): Promise<boolean> {
    const { timing, period, catchUp, overlap, isPaused, kind, body } = spec;
    const isCron = timing.kind === 'cron';
    const [row] = await this.#session.query<{ is_new: boolean }>(PUT, [
      id,
      isCron ? timing.cron : null,
      isCron ? timing.timeZone : null,
      isCron ? null : timing.everyMs,
      isCron ? null : timing.anchorMs,
      period.startMs,
      period.endMs,
      catchUp,
      overlap,
      isPaused,
      kind === 'task' ? body : null,
      kind === 'workflow' ? body : null,
      nextMs,
    ]);
    return row?.is_new ?? false;
  }

  /** False where it does not exist, or is so already. */
  async setPaused(id: string, isPaused: boolean, nextMs: number | null): Promise<boolean> {
    const values = [id, isPaused, nextMs];
    const [row] = await this.#session.query<{ changed: boolean }>(SET_PAUSED, values);
    return row?.changed ?? false;
  }

  /** Its runs stay. False where it does not exist. */
  async delete(id: string): Promise<boolean> {
    return (await this.#session.query(DELETE, [id])).length === 1;
  }

  /** A task or a workflow of this id was submitted for the schedule, beside its fires. */
  async addRun(id: string, runId: string): Promise<void> {
    await this.#session.query(ADD_RUN, [id, runId]);
  }

  async find(id: string): Promise<ScheduleRecord | null> {
    const [row] = await this.#session.query<ScheduleRow>(FIND, [id]);
    return row === undefined ? null : toRecord(row);
  }

  /** Newest first; `before` is the `next` of the page before. */
  async list(
    limit: number,
    before: number | null,
  ): Promise<{ readonly schedules: readonly ScheduleRecord[]; readonly next: number | null }> {
    const values = [before ?? Number.MAX_SAFE_INTEGER, limit];
    const rows = await this.#session.query<ScheduleRow>(LIST, values);
    const last = rows.at(-1);
    const next = rows.length === limit && last !== undefined ? last.schedule_seq : null;
    return { schedules: rows.map(toRecord), next };
  }
}

interface ScheduleRow extends TimingColumns, StatusColumns {
  readonly schedule_seq: number;
  readonly id: string;
  readonly catch_up: CatchUp;
  readonly overlap: Overlap;
  readonly paused: boolean;
  readonly task: string | null;
  readonly workflow: string | null;
  readonly next_ms: number | null;
  readonly held_ms: number | null;
  readonly last_ms: number | null;
  readonly last_run_id: string | null;
  readonly fired: number;
  readonly skipped: number;
  readonly missed: number;
  readonly refused: number;
  readonly problem: string | null;
  readonly problem_at: Date | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly has_task: boolean;
}

function toRecord(row: ScheduleRow): ScheduleRecord {
  const { problem, problem_at: problemAt } = row;
  return {
    scheduleSeq: row.schedule_seq,
    id: row.id,
    timing: timingOf(row),
    period: periodOf(row),
    catchUp: row.catch_up,
    overlap: row.overlap,
    isPaused: row.paused,
    kind: row.task === null ? 'workflow' : 'task',
    body: row.task ?? row.workflow ?? '',
    nextMs: row.next_ms,
    heldMs: row.held_ms,
    lastFireMs: row.last_ms,
    lastRunId: row.last_run_id,
    lastTaskStatus: row.has_task ? statusOf(row) : null,
    fired: row.fired,
    skipped: row.skipped,
    missed: row.missed,
    refused: row.refused,
    problem: problem === null || problemAt === null ? null : { message: problem, at: problemAt },
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
