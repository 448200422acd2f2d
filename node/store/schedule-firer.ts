import { AppError, errors } from '../base/errors.ts';
import { runIdOf } from '../core/schedule.ts';
import type { CatchUp, Overlap } from '../core/schedule.ts';
import type { Batch, SingleTask } from '../core/submission.ts';
import { numbers } from './array-literal.ts';
import { sqlState } from './database.ts';
import type { Database, Statement } from './database.ts';
import { Again, fire, markStored } from './schedule-fires.ts';
import type { Attempt, DueSchedule, Firing, Run } from './schedule-fires.ts';
import { msOf, periodOf, TIMING_COLUMNS, timingOf } from './schedule-rows.ts';
import type { TimingColumns } from './schedule-rows.ts';
import { DeposedError } from './term-writer.ts';
import { TypeNames } from './type-names.ts';

/**
 * The leader's side of schedules: which are due, and the transaction of a fire.
 *
 * In that transaction: the schedule moves on, if it still is as it was read; its tasks are submitted
 * like any others, with their inbox row; and last the row of the term is locked and the term checked, as
 * by every write of a leader. Last, because then a takeover waits for the COMMIT alone. A leader that
 * was deposed meanwhile is refused, and all of it is rolled back. So each fire is submitted by the
 * transaction that moves the schedule beyond it, or not at all, and the id of its run, which is unique,
 * stands behind that.
 *
 * What cannot be submitted (a dependency that was removed, a body that is refused by now) is written
 * down as the problem of its schedule, which moves on.
 *
 * A COMMIT whose answer is lost throws: what is due is read anew, and shows how it ended.
 */
export interface FirerDeps {
  /** One session of its own, with timeouts that a takeover can wait for. */
  readonly database: Database;
  /** What a body is when it is submitted under an id; throws for one that is refused. */
  readonly renderTask: (body: string, runId: string) => SingleTask;
  readonly renderWorkflow: (body: string, runId: string) => Promise<Batch>;
}

export interface DueSchedules {
  /** The earliest first; fewer than asked for: there are no more. */
  readonly schedules: readonly DueSchedule[];
  /** By the database's clock. */
  readonly nowMs: number;
  /** The first fire later than that; null for none. */
  readonly nextMs: number | null;
  /** Some fire waits for the end of a run. */
  readonly hasHeld: boolean;
}

/** How one fared. Moved on, unless it was changed since it was read. */
export interface Fired {
  readonly hasMoved: boolean;
  readonly runs: number;
  readonly tasks: number;
  /** Why its fires were not submitted. */
  readonly problem: string | null;
}

/** Bodies that are read at once, in bytes; one is read whatever its size. */
const BODIES_BYTES_MAX = 4 * 1024 * 1024;
/** Rounds of a fire whose ids vanish, or appear, while it is submitted. */
const ROUNDS_MAX = 5;

const DUE: Statement = {
  name: 'schedule-firer.due',
  text: `
    with now as materialized (
      select clock_timestamp() as at
    ), due as (
      select s.* from skein.schedule s, now
      where s.next_fire_at <= now.at and s.schedule_seq <> all ($2::bigint[])
      order by s.next_fire_at
      limit $1
    ), held as (
      select s.* from skein.schedule s, now
      where s.held_fire_at is not null and (s.next_fire_at is null or s.next_fire_at > now.at)
        and s.schedule_seq <> all ($2::bigint[])
    ), looked as materialized (
      select s.*, s.overlap <> 'allow' and (
          exists (select from skein.live l where l.seq = any (s.open_tasks))
          or exists (select from skein.task t join skein.live l on l.seq = t.seq
            where t.workflow_seq = any (s.open_workflows))) as is_running
      from (select * from due union all select * from held) s
    ), bounded as (
      select s.*,
        sum(octet_length(coalesce(s.task, s.workflow)::text))
          over (order by s.next_fire_at, s.schedule_seq)
          - octet_length(coalesce(s.task, s.workflow)::text) as bytes_before
      from looked s
      where s.next_fire_at <= (select at from now) or not s.is_running
      order by s.next_fire_at, s.schedule_seq
      limit $1
    )
    select ${msOf('now.at')} as now_ms,
      (select ${msOf('min(next_fire_at)')} from skein.schedule where next_fire_at > now.at) as first_ms,
      exists (select from skein.schedule where held_fire_at is not null) as has_held,
      s.schedule_seq, s.id, s.revision, ${TIMING_COLUMNS}, s.catch_up, s.overlap,
      ${msOf('s.next_fire_at')} as next_ms, ${msOf('s.held_fire_at')} as held_ms, s.is_running,
      s.task::text as task, s.workflow::text as workflow
    from now left join bounded s on s.bytes_before < $3
    order by s.next_fire_at, s.schedule_seq`,
};

const FENCE: Statement = {
  name: 'schedule-firer.fence',
  text: `select 1 from skein.term where id = 1 and term = $1 for share`,
};

export class ScheduleFirer {
  readonly #deps: FirerDeps;
  readonly #types: TypeNames;

  constructor(deps: FirerDeps) {
    this.#deps = deps;
    this.#types = new TypeNames(deps.database);
  }

  async due(limit: number, exceptSeqs: readonly number[]): Promise<DueSchedules> {
    const values = [limit, numbers(exceptSeqs), BODIES_BYTES_MAX];
    const rows = await this.#deps.database.query<DueRow>(DUE, values);
    const [first] = rows;
    return {
      schedules: rows.filter((row) => row.schedule_seq !== null).map(toDue),
      nowMs: first?.now_ms ?? Number.NaN,
      nextMs: first?.first_ms ?? null,
      hasHeld: first?.has_held ?? false,
    };
  }

  /** In one transaction; the answers are in the order of the firings. Throws DeposedError. */
  async fireMany(term: number, firings: readonly Firing[]): Promise<readonly Fired[]> {
    const attempts = await Promise.all(firings.map((firing) => this.#render(firing)));
    for (let round = 1; round <= ROUNDS_MAX; round++) {
      try {
        const moved = await this.#fireOnce(term, attempts);
        return attempts.map((attempt) => firedOf(attempt, moved));
      } catch (thrown) {
        if (!(thrown instanceof Again)) throw thrown;
        await markStored(this.#deps.database, attempts);
      }
    }
    throw new Error('the ids of fires are being submitted by others');
  }

  /** What went wrong has its cause in the schedules that were fired, not in the database as a whole. */
  isTheirFault(error: Error): boolean {
    const cause = error instanceof AppError ? error.cause : error;
    const state = sqlState(cause);
    return state === undefined
      ? !(error instanceof AppError)
      : /^(22|23|54|55P03|57014)/.test(state);
  }

  async stop(): Promise<void> {
    await this.#deps.database.stop();
  }

  async #render(firing: Firing): Promise<Attempt> {
    const { schedule, decision } = firing;
    const { renderTask, renderWorkflow } = this.#deps;
    const runs: Run[] = [];
    try {
      for (const fireMs of decision.fires) {
        const id = runIdOf(schedule.id, fireMs);
        const shared = { id, fireMs, isStored: false };
        if (schedule.kind === 'task') {
          runs.push({ ...shared, task: renderTask(schedule.body, id), batch: null });
        } else {
          runs.push({ ...shared, task: null, batch: await renderWorkflow(schedule.body, id) });
        }
      }
      return { firing, runs, problem: null };
    } catch (thrown) {
      if (!(thrown instanceof AppError)) throw thrown;
      return { firing, runs: [], problem: thrown.message };
    }
  }

  async #fireOnce(term: number, attempts: readonly Attempt[]): Promise<ReadonlySet<number>> {
    const { database } = this.#deps;
    const typeIds = await this.#types.resolve(typeNamesOf(attempts));
    return database.transaction(async (session) => {
      if (typeIds.serverName !== database.serverName) {
        throw errors.databaseNotPrimary('it changed in the meantime');
      }
      const moved = await fire(session, attempts, typeIds);
      const fence = await session.query(FENCE, [term]);
      if (fence.length !== 1) throw new DeposedError();
      return moved;
    });
  }
}

function typeNamesOf(attempts: readonly Attempt[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { task, batch } of attempts.flatMap(({ runs }) => runs)) {
    if (task !== null) names.add(task.fields.type);
    for (const name of batch?.typeNames ?? []) names.add(name);
  }
  return names;
}

function firedOf({ firing, runs, problem }: Attempt, moved: ReadonlySet<number>): Fired {
  const hasMoved = moved.has(firing.schedule.scheduleSeq);
  if (!hasMoved) return { hasMoved, runs: 0, tasks: 0, problem: null };
  const stored = runs.filter(({ isStored }) => !isStored);
  const tasks = stored.reduce((sum, { batch }) => sum + (batch?.graph.count ?? 1), 0);
  return { hasMoved, runs: runs.length, tasks, problem };
}

interface DueRow extends TimingColumns {
  readonly now_ms: number;
  readonly first_ms: number | null;
  readonly has_held: boolean;
  readonly schedule_seq: number | null;
  readonly id: string;
  readonly revision: number;
  readonly catch_up: CatchUp;
  readonly overlap: Overlap;
  readonly next_ms: number | null;
  readonly held_ms: number | null;
  readonly is_running: boolean;
  readonly task: string | null;
  readonly workflow: string | null;
}

function toDue(row: DueRow): DueSchedule {
  return {
    scheduleSeq: row.schedule_seq as number,
    id: row.id,
    revision: row.revision,
    timing: timingOf(row),
    period: periodOf(row),
    catchUp: row.catch_up,
    overlap: row.overlap,
    nextMs: row.next_ms,
    heldMs: row.held_ms,
    isRunning: row.is_running,
    kind: row.task === null ? 'workflow' : 'task',
    body: row.task ?? row.workflow ?? '',
  };
}
