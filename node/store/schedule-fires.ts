import type { CatchUp, Decision, Overlap, Period, Timing } from '../core/schedule.ts';
import type { Batch, SingleTask } from '../core/submission.ts';
import { numbers, texts } from './array-literal.ts';
import type { Session, Statement } from './database.ts';
import { insertBatch, Refused, singleRow } from './submission-batch.ts';
import { allocateSeqs, eachExisting, insertRows, lockTasks } from './submission-rows.ts';
import type { TypeIds } from './type-names.ts';

/**
 * The writes of a fire, within the transaction that schedule-firer.ts begins, fences and commits: the
 * schedules move on, and what they submit goes the way of every submit.
 */
export interface DueSchedule {
  readonly scheduleSeq: number;
  readonly id: string;
  readonly revision: number;
  readonly timing: Timing;
  readonly period: Period;
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
  readonly nextMs: number | null;
  readonly heldMs: number | null;
  readonly isRunning: boolean;
  readonly kind: 'task' | 'workflow';
  readonly body: string;
}

export interface Firing {
  readonly schedule: DueSchedule;
  readonly decision: Decision;
}

/** A fire that is being submitted. */
export interface Run {
  readonly id: string;
  readonly fireMs: number;
  readonly task: SingleTask | null;
  readonly batch: Batch | null;
  /** It exists already: there is nothing to submit. */
  isStored: boolean;
}

export interface Attempt {
  readonly firing: Firing;
  runs: Run[];
  problem: string | null;
}

/** Thrown to roll everything back, because what is now known of the runs changes what is written. */
export class Again extends Error {}

/** Runs of a schedule that are remembered until they have ended. */
const OPEN_MAX = 100;
/** Runs that go on are asked to end, as a user would ask: a thousand tasks a row of the inbox. */
const CANCEL_OPEN: Statement = {
  name: 'schedule-firer.cancel-open',
  text: `
    insert into skein.inbox (kind, first_seq, last_seq, seqs)
    select 'cancel', min(seq), max(seq), array_agg(seq order by seq)
    from (
      select seq, (row_number() over (order by seq) - 1) / 1000 as chunk
      from (
        select l.seq
        from skein.schedule s join skein.live l on l.seq = any (s.open_tasks)
        where s.schedule_seq = any ($1::bigint[])
        union
        select l.seq
        from skein.schedule s
        join skein.task t on t.workflow_seq = any (s.open_workflows)
        join skein.live l on l.seq = t.seq
        where s.schedule_seq = any ($1::bigint[])
      ) open
    ) unfinished
    group by chunk
    order by chunk`,
};

const MOVE_ON: Statement = {
  name: 'schedule-firer.move-on',
  text: `
    with given as (
      select schedule_seq, revision, to_timestamp(was_next / 1000) as was_next,
        to_timestamp(was_held / 1000) as was_held, to_timestamp(next / 1000) as next,
        to_timestamp(held / 1000) as held, to_timestamp(fire / 1000) as fire, run_id, fired, skipped,
        missed, refused, problem, tasks::bigint[] as tasks
      from unnest($1::bigint[], $2::int[], $3::float8[], $4::float8[], $5::float8[], $6::float8[],
        $7::float8[], $8::text[], $9::int[], $10::int[], $11::int[], $12::int[], $13::text[],
        $14::text[])
        as g (schedule_seq, revision, was_next, was_held, next, held, fire, run_id, fired, skipped,
          missed, refused, problem, tasks)
    ), locked as materialized (
      select s.schedule_seq
      from skein.schedule s join given g using (schedule_seq)
      where s.revision = g.revision and s.next_fire_at is not distinct from g.was_next
        and s.held_fire_at is not distinct from g.was_held
      order by s.schedule_seq
      for no key update of s
    )
    update skein.schedule s
    set next_fire_at = g.next, held_fire_at = g.held,
      last_fire_at = coalesce(g.fire, s.last_fire_at),
      last_run_id = coalesce(g.run_id, s.last_run_id),
      fired = s.fired + g.fired, skipped = s.skipped + g.skipped, missed = s.missed + g.missed,
      refused = s.refused + g.refused,
      problem = coalesce(g.problem, case when g.fired = 0 then s.problem end),
      problem_at = case
        when g.problem is not null then clock_timestamp()
        when g.fired = 0 then s.problem_at
      end,
      open_tasks = array(
        select l.seq from skein.live l
        where l.seq = any (s.open_tasks)
        order by l.seq desc limit ${String(OPEN_MAX)}) || g.tasks,
      open_workflows = array(
        select o.seq from unnest(s.open_workflows) as o (seq)
        where exists (select from skein.task t join skein.live l on l.seq = t.seq
          where t.workflow_seq = o.seq)
        order by o.seq desc limit ${String(OPEN_MAX)})
    from locked k join given g using (schedule_seq)
    where s.schedule_seq = k.schedule_seq
    returning s.schedule_seq`,
};

const ADD_WORKFLOWS: Statement = {
  name: 'schedule-firer.add-workflows',
  text: `
    update skein.schedule set open_workflows = open_workflows || $2::bigint[]
    where schedule_seq = $1`,
};

/** Answers the schedules that moved on; one that was changed since it was read stays as it is. */
export async function fire(
  session: Session,
  attempts: readonly Attempt[],
  typeIds: TypeIds,
): Promise<ReadonlySet<number>> {
  const dependencySeqs = await lockDependencies(session, attempts);
  const tasks = attempts.flatMap(tasksToStore);
  const drawn = await allocateSeqs(session, tasks.length);
  const seqs = new Map(tasks.map(({ id }, at) => [id, drawn[at] as number]));
  const cancelling = attempts.filter(({ firing }) => firing.decision.cancelsRunning);
  if (cancelling.length > 0) await session.query(CANCEL_OPEN, [numbers(seqsOf(cancelling))]);
  const moved = await moveOn(session, attempts, seqs);
  const going = attempts.filter(({ firing }) => moved.has(firing.schedule.scheduleSeq));
  await storeTasks(session, going.flatMap(tasksToStore), seqs, dependencySeqs, typeIds);
  for (const attempt of going) await storeWorkflows(session, attempt, typeIds);
  return moved;
}

/** Which of the runs exist already, by another session. */
export async function markStored(session: Session, attempts: readonly Attempt[]): Promise<void> {
  const byId = new Map(attempts.flatMap(({ runs }) => runs).map((run) => [run.id, run]));
  const ids = attempts.flatMap(tasksToStore).map(({ id }) => id);
  await eachExisting(session, ids, (id) => {
    const run = byId.get(id);
    if (run !== undefined) run.isStored = true;
  });
}

function tasksToStore({ runs }: Attempt): readonly SingleTask[] {
  return runs.flatMap(({ task, isStored }) => (task === null || isStored ? [] : [task]));
}

function seqsOf(attempts: readonly Attempt[]): readonly number[] {
  return attempts.map(({ firing }) => firing.schedule.scheduleSeq);
}

/** They stay until the commit; a run that names one which is gone is a problem of its schedule. */
async function lockDependencies(
  session: Session,
  attempts: readonly Attempt[],
): Promise<ReadonlyMap<string, number>> {
  const named = attempts.flatMap(tasksToStore).flatMap(({ dependencies }) => dependencies);
  const seqs = await lockTasks(session, [...new Set(named)]);
  for (const attempt of attempts) {
    const missing = tasksToStore(attempt).flatMap(({ dependencies }) =>
      dependencies.filter((id) => !seqs.has(id)),
    );
    if (missing.length > 0) giveUp(attempt, `the task ${String(missing[0])} does not exist`);
  }
  return seqs;
}

function giveUp(attempt: Attempt, problem: string): void {
  attempt.problem = problem;
  attempt.runs = [];
}

async function moveOn(
  session: Session,
  attempts: readonly Attempt[],
  seqs: ReadonlyMap<string, number>,
): Promise<ReadonlySet<number>> {
  const schedules = attempts.map(({ firing }) => firing.schedule);
  const decisions = attempts.map(({ firing }) => firing.decision);
  const last = attempts.map(({ runs }) => runs.at(-1));
  const rows = await session.query<{ schedule_seq: number }>(MOVE_ON, [
    numbers(seqsOf(attempts)),
    numbers(schedules.map(({ revision }) => revision)),
    numbers(schedules.map(({ nextMs }) => nextMs)),
    numbers(schedules.map(({ heldMs }) => heldMs)),
    numbers(decisions.map(({ nextMs }) => nextMs)),
    numbers(decisions.map(({ heldMs }) => heldMs)),
    numbers(last.map((run) => run?.fireMs ?? null)),
    texts(last.map((run) => run?.id ?? null)),
    numbers(attempts.map(({ runs }) => runs.length)),
    numbers(decisions.map(({ skipped }) => skipped)),
    numbers(decisions.map(({ missed }) => missed)),
    numbers(attempts.map(refusedOf)),
    texts(attempts.map(({ problem }) => problem)),
    texts(
      attempts.map((attempt) =>
        numbers(tasksToStore(attempt).map(({ id }) => seqs.get(id) as number)),
      ),
    ),
  ]);
  return new Set(rows.map((row) => row.schedule_seq));
}

/** Fires that were due and that could not be submitted. */
function refusedOf({ firing, problem }: Attempt): number {
  return problem === null ? 0 : firing.decision.fires.length;
}

/** By order of id, as everywhere, so that two submits of the same ids wait for one another. */
async function storeTasks(
  session: Session,
  tasks: readonly SingleTask[],
  seqs: ReadonlyMap<string, number>,
  dependencySeqs: ReadonlyMap<string, number>,
  typeIds: TypeIds,
): Promise<void> {
  if (tasks.length === 0) return;
  const rows = tasks
    .map((task) => ({
      ...singleRow(task, dependencySeqs, typeIds),
      seq: seqs.get(task.id) as number,
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const { inserted } = await insertRows(session, rows, {}, { first: null, last: null });
  if (inserted < rows.length) throw new Again('the ids of some runs exist');
}

async function storeWorkflows(session: Session, attempt: Attempt, typeIds: TypeIds): Promise<void> {
  const workflowSeqs: (number | null)[] = [];
  for (const run of attempt.runs) {
    if (run.batch === null || run.isStored) continue;
    try {
      workflowSeqs.push((await insertBatch(session, run.batch, typeIds)).workflowSeq);
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown;
      if (thrown.outcome.kind === 'workflow-exists') run.isStored = true;
      else if (thrown.outcome.kind !== 'missing') giveUp(attempt, 'ids of its tasks exist already');
      else giveUp(attempt, `the task ${String([...thrown.outcome.missing][0])} does not exist`);
      throw new Again('a workflow was refused');
    }
  }
  if (workflowSeqs.length === 0) return;
  await session.query(ADD_WORKFLOWS, [attempt.firing.schedule.scheduleSeq, numbers(workflowSeqs)]);
}
