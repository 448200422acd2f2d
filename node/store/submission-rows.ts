import type { TaskFields } from '../core/submission.ts';
import { numbers, texts } from './array-literal.ts';
import type { Session, Statement } from './database.ts';

/** One task as it goes into the tables. */
export interface NewRow {
  /** Allocated ahead, or null to take the next number as the row is inserted. */
  readonly seq: number | null;
  readonly id: string;
  readonly typeId: number;
  readonly fields: TaskFields;
  readonly dependencies: readonly string[];
  readonly dependencySeqs: readonly number[];
}

/** The inbox row that travels with the tasks; the range of the rows themselves where it has none. */
export interface InboxRange {
  readonly first: number | null;
  readonly last: number | null;
}

export interface Inserted {
  /** Below the number of rows given: the ids of the others exist. */
  readonly inserted: number;
  readonly first_seq: number;
  readonly last_seq: number;
  /** The transaction, for finding out later how its COMMIT ended. */
  readonly xid: string;
}

/**
 * Both tables, and the inbox row where this is the last chunk, in one statement. The two tables must
 * agree on `run_at`, so the clock is the statement's. `live` is filled without looking at which ids
 * were new: when `inserted` is short the caller rolls everything back, and a join that is not made
 * cannot be planned badly.
 */
const INSERT: Statement = {
  name: 'submission-rows.insert',
  text: `
    with given as materialized (
      select coalesce(known_seq, nextval('skein.task_seq')) as seq, id, type_id, priority,
        max_attempts, trigger_rule, duration_ms, expected_ms, timeout_ms, backoff_fixed,
        backoff_base_ms, backoff_max_ms, dependencies, tags, payload, deps,
        case
          when run_at_ms is not null then to_timestamp(run_at_ms / 1000)
          when delay_ms is not null then statement_timestamp() + delay_ms * interval '1 millisecond'
        end as run_at
      from unnest($1::bigint[], $2::text[], $3::int[], $4::smallint[], $5::smallint[],
        $6::smallint[], $7::int[], $8::int[], $9::int[], $10::boolean[], $11::int[], $12::int[],
        $13::float8[], $14::float8[], $15::text[], $16::text[], $17::text[], $18::text[])
        as row (known_seq, id, type_id, priority, max_attempts, trigger_rule, duration_ms,
          expected_ms, timeout_ms, backoff_fixed, backoff_base_ms, backoff_max_ms, run_at_ms,
          delay_ms, dependencies, tags, payload, deps)
    ), inserted as (
      insert into skein.task (seq, id, type_id, workflow_seq, priority, max_attempts,
        trigger_rule, duration_ms, expected_ms, timeout_ms, backoff_fixed, backoff_base_ms,
        backoff_max_ms, run_at, dependencies, tags, payload)
      select seq, id, type_id, $19::bigint, priority, max_attempts, trigger_rule, duration_ms,
        expected_ms, timeout_ms, backoff_fixed, backoff_base_ms, backoff_max_ms, run_at,
        dependencies::text[], tags::text[], payload::json
      from given
      on conflict (namespace_id, id) do nothing
      returning 1
    ), alive as (
      insert into skein.live (seq, run_at, workflow_seq, type_id, expected_ms, priority,
        trigger_rule, has_duration, deps)
      select seq, run_at, $19::bigint, type_id, coalesce(expected_ms, duration_ms, 1), priority,
        trigger_rule, duration_ms is not null, deps::bigint[]
      from given
    ), told as (
      insert into skein.inbox (kind, first_seq, last_seq)
      select 'submitted', coalesce($21::bigint, min(seq)), coalesce($22::bigint, max(seq))
      from given
      having $20::boolean
    )
    select (select count(*) from inserted)::int as inserted, min(seq) as first_seq,
      max(seq) as last_seq, pg_current_xact_id()::text as xid
    from given`,
};

/** Inserts the rows in the order given; `range` is null where another chunk is to follow. */
export async function insertRows(
  session: Session,
  rows: readonly NewRow[],
  workflowSeq: number | null,
  range: InboxRange | null,
): Promise<Inserted> {
  const fields = rows.map((row) => row.fields);
  const [result] = await session.query<Inserted>(INSERT, [
    numbers(rows.map((row) => row.seq)),
    texts(rows.map((row) => row.id)),
    numbers(rows.map((row) => row.typeId)),
    numbers(fields.map((f) => f.priority)),
    numbers(fields.map((f) => f.maxAttempts)),
    numbers(fields.map((f) => f.triggerRule)),
    numbers(fields.map((f) => f.durationMs)),
    numbers(fields.map((f) => f.expectedMs)),
    numbers(fields.map((f) => f.timeoutMs)),
    numbers(fields.map((f) => f.backoffFixed)),
    numbers(fields.map((f) => f.backoffBaseMs)),
    numbers(fields.map((f) => f.backoffMaxMs)),
    numbers(fields.map((f) => f.runAtMs)),
    numbers(fields.map((f) => f.delayMs)),
    texts(rows.map((row) => (row.dependencies.length === 0 ? '{}' : texts(row.dependencies)))),
    texts(fields.map((f) => (f.tags.length === 0 ? '{}' : texts(f.tags)))),
    texts(fields.map((f) => f.payload)),
    texts(rows.map((row) => numbers(row.dependencySeqs))),
    workflowSeq,
    range !== null,
    range?.first ?? null,
    range?.last ?? null,
  ]);
  if (result === undefined) throw new Error('an insert returned no row');
  return result;
}

/**
 * Contiguous unless another submit drew numbers meanwhile; only then are all of them sent back.
 */
const ALLOCATE: Statement = {
  name: 'submission-rows.allocate',
  text: `
    with drawn as materialized (
      select nextval('skein.task_seq') as seq from generate_series(1, $1::int)
    )
    select min(seq) as first,
      case when max(seq) - min(seq) + 1 > $1 then array_agg(seq order by seq) end as seqs
    from drawn`,
};
/** Numbers drawn by one statement: bounds its time and its answer. */
const ALLOCATED_AT_ONCE = 50_000;

/** New numbers for `count` tasks, rising. */
export async function allocateSeqs(session: Session, count: number): Promise<Float64Array> {
  const seqs = new Float64Array(count);
  for (let done = 0; done < count;) {
    const wanted = Math.min(count - done, ALLOCATED_AT_ONCE);
    const [drawn] = await session.query<{ first: number; seqs: number[] | null }>(ALLOCATE, [
      wanted,
    ]);
    if (drawn === undefined) throw new Error('an allocation returned no row');
    for (let i = 0; i < wanted; i++) {
      seqs[done + i] = drawn.seqs === null ? drawn.first + i : (drawn.seqs[i] as number);
    }
    done += wanted;
  }
  return seqs;
}

/** Ids asked for by one statement. */
const LOOKUP_CHUNK = 5000;

/**
 * Key-share locks: until the commit nobody can remove these tasks, while leases and settles of them
 * go on. Locked in the order of seq, as everywhere.
 */
const LOCK: Statement = {
  name: 'submission-rows.lock',
  text: `
    select seq, id
    from skein.task
    where namespace_id = 0 and id = any($1::text[])
    order by seq
    for key share`,
};

/** The numbers of the tasks of these ids that exist; they cannot vanish before the commit. */
export async function lockTasks(
  session: Session,
  ids: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const seqs = new Map<string, number>();
  for (let start = 0; start < ids.length; start += LOOKUP_CHUNK) {
    const chunk = texts(ids.slice(start, start + LOOKUP_CHUNK));
    const rows = await session.query<{ seq: number; id: string }>(LOCK, [chunk]);
    for (const row of rows) seqs.set(row.id, row.seq);
  }
  return seqs;
}

const EXISTING: Statement = {
  name: 'submission-rows.existing',
  text: `select id from skein.task where namespace_id = 0 and id = any($1::text[])`,
};

/** Which of the ids are those of stored tasks; `each` is called chunk by chunk. */
export async function eachExisting(
  session: Session,
  ids: readonly string[],
  each: (id: string) => void,
): Promise<void> {
  for (let start = 0; start < ids.length; start += LOOKUP_CHUNK) {
    const chunk = texts(ids.slice(start, start + LOOKUP_CHUNK));
    for (const row of await session.query<{ id: string }>(EXISTING, [chunk])) each(row.id);
  }
}
