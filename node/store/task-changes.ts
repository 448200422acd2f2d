import type { Session, Statement } from './database.ts';

/**
 * What users may ask of tasks that are stored. None of it changes the graph here: a cancel and a
 * retry are rows in the inbox, which the leader alone applies; a patch changes fields of a task that
 * nobody holds, and tells the leader in the same commit. Each is one statement, so it is wholly done
 * or not at all, and a guard in it decides: what it does not return was refused.
 */
export interface TaskPatch {
  readonly priority?: number;
  /** JSON text, or null for none. */
  readonly payload?: string | null;
  /** Milliseconds since the epoch, or null for at once. */
  readonly runAtMs?: number | null;
}

/** The update of `live` takes the row's lock, on which the lease statement waits or which it skips. */
const PATCH: Statement = {
  name: 'task-changes.patch',
  text: `
    with held as (
      update skein.live
      set priority = coalesce($2::smallint, priority),
        run_at = case when $5::boolean then to_timestamp($6::float8 / 1000) else run_at end,
        expires_at = case
          when $5::boolean and expires_at is not null
          then greatest(clock_timestamp(), to_timestamp($6::float8 / 1000))
            + (select t.ttl_ms from skein.task t where t.seq = $1) * interval '1 millisecond'
          else expires_at
        end
      where seq = $1 and node_id is null and not cancel
      returning seq, priority, run_at
    ), written as (
      update skein.task t
      set priority = coalesce($2::smallint, t.priority),
        payload = case when $3::boolean then $4::json else t.payload end,
        run_at = case when $5::boolean then h.run_at else t.run_at end
      from held h
      where t.seq = h.seq
    ), told as (
      insert into skein.inbox (kind, first_seq, last_seq, seqs)
      select 'patched', seq, seq, array[seq] from held
    )
    select seq from held`,
};

const CANCEL: Statement = {
  name: 'task-changes.cancel',
  text: `
    insert into skein.inbox (kind, first_seq, last_seq, seqs)
    select 'cancel', seq, seq, array[seq] from skein.live where seq = $1
    returning first_seq`,
};

const RETRY: Statement = {
  name: 'task-changes.retry',
  text: `
    insert into skein.inbox (kind, first_seq, last_seq, seqs)
    select 'retry', seq, seq, array[seq]
    from skein.not_completed n
    where n.seq = $1 and not exists (select from skein.live l where l.seq = $1)
    returning first_seq`,
};

/** A thousand tasks a row, because the leader applies a row in one piece; more are `bulk`. */
const CANCEL_WORKFLOW: Statement = {
  name: 'task-changes.cancel-workflow',
  text: `
    insert into skein.inbox (kind, first_seq, last_seq, seqs, bulk)
    select 'cancel', min(seq), max(seq), array_agg(seq order by seq), total > 1000
    from (
      select l.seq, (row_number() over (order by l.seq) - 1) / 1000 as chunk,
        count(*) over () as total
      from skein.workflow w
      join skein.task t on t.workflow_seq = w.workflow_seq
      join skein.live l on l.seq = t.seq
      where w.namespace_id = 0 and w.id = $1
    ) unfinished
    group by chunk, total
    order by chunk
    returning cardinality(seqs) as count`,
};

/** All that ended otherwise than COMPLETED. */
const RETRY_WORKFLOW: Statement = {
  name: 'task-changes.retry-workflow',
  text: `
    insert into skein.inbox (kind, first_seq, last_seq, seqs, bulk)
    select 'retry', min(seq), max(seq), array_agg(seq order by seq), total > 1000
    from (
      select n.seq, (row_number() over (order by n.seq) - 1) / 1000 as chunk,
        count(*) over () as total
      from skein.workflow w
      join skein.task t on t.workflow_seq = w.workflow_seq
      join skein.not_completed n on n.seq = t.seq
      where w.namespace_id = 0 and w.id = $1
        and not exists (select from skein.live l where l.seq = n.seq)
    ) ended
    group by chunk, total
    order by chunk
    returning cardinality(seqs) as count`,
};

export class TaskChanges {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** False where the task is leased, being cancelled, or ended. */
  async tryPatch(seq: number, patch: TaskPatch): Promise<boolean> {
    const rows = await this.#session.query(PATCH, [
      seq,
      patch.priority ?? null,
      patch.payload !== undefined,
      patch.payload ?? null,
      patch.runAtMs !== undefined,
      patch.runAtMs ?? null,
    ]);
    return rows.length === 1;
  }

  /** False where the task has ended. */
  async tryCancel(seq: number): Promise<boolean> {
    return (await this.#session.query(CANCEL, [seq])).length === 1;
  }

  /** False where the task did not end as FAILED, CANCELLED or SKIPPED. */
  async tryRetry(seq: number): Promise<boolean> {
    return (await this.#session.query(RETRY, [seq])).length === 1;
  }

  /** The number of unfinished tasks that are asked to be cancelled. */
  cancelWorkflow(id: string): Promise<number> {
    return this.#askForWorkflow(CANCEL_WORKFLOW, id);
  }

  /** The number of tasks that did not complete, and are asked to be retried. */
  retryWorkflow(id: string): Promise<number> {
    return this.#askForWorkflow(RETRY_WORKFLOW, id);
  }

  async #askForWorkflow(statement: Statement, id: string): Promise<number> {
    const rows = await this.#session.query<{ count: number }>(statement, [id]);
    return rows.reduce((sum, { count }) => sum + count, 0);
  }
}
