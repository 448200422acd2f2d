import type { SubmitAudit } from '../core/audit.ts';
import type { Submitted } from '../core/messages.ts';
import { TriggerRule } from '../core/task.ts';
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

/** What all rows of an insert have in common. */
export interface RowsWithin {
  readonly workflowSeq?: number | null;
  /** The task that adds them while it runs. */
  readonly parentSeq?: number | null;
  /** For the audit log, in the same commit. */
  readonly audits?: readonly SubmitAudit[];
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
 *
 * A column in which all rows agree travels as an empty array, which unnest pads with nulls, and one
 * value beside it: most submits differ in id, payload and dependencies alone, and every unnested
 * column costs PostgreSQL about a fifth of a microsecond a row.
 */
const INSERT: Statement = {
  name: 'submission-rows.insert',
  text: `
    with given as materialized (
      select coalesce(known_seq, nextval('skein.task_seq')) as seq, id,
        coalesce(type_id, $23::int) as type_id,
        coalesce(priority, $24::smallint) as priority,
        coalesce(max_attempts, $25::smallint) as max_attempts,
        coalesce(trigger_rule, $26::smallint) as trigger_rule,
        coalesce(duration_ms, $27::int) as duration_ms,
        coalesce(expected_ms, $28::int) as expected_ms,
        coalesce(timeout_ms, $29::int) as timeout_ms,
        coalesce(ttl_ms, $33::int) as ttl_ms,
        coalesce(backoff_fixed, $30::boolean) as backoff_fixed,
        coalesce(backoff_base_ms, $31::int) as backoff_base_ms,
        coalesce(backoff_max_ms, $32::int) as backoff_max_ms,
        coalesce(dependencies::text[], '{}') as dependencies,
        coalesce(tags::text[], '{}') as tags,
        payload::json as payload,
        coalesce(deps::bigint[], '{}') as deps,
        labels::text[] as labels,
        case
          when run_at_ms is not null then to_timestamp(run_at_ms / 1000)
          when delay_ms is not null then statement_timestamp() + delay_ms * interval '1 millisecond'
        end as run_at
      from unnest($1::bigint[], $2::text[], $3::int[], $4::smallint[], $5::smallint[],
        $6::smallint[], $7::int[], $8::int[], $9::int[], $10::boolean[], $11::int[], $12::int[],
        $13::float8[], $14::float8[], $15::text[], $16::text[], $17::text[], $18::text[],
        $34::int[], $35::text[])
        as row (known_seq, id, type_id, priority, max_attempts, trigger_rule, duration_ms,
          expected_ms, timeout_ms, backoff_fixed, backoff_base_ms, backoff_max_ms, run_at_ms,
          delay_ms, dependencies, tags, payload, deps, ttl_ms, labels)
    ), inserted as (
      insert into skein.task (seq, id, type_id, workflow_seq, priority, max_attempts,
        trigger_rule, duration_ms, expected_ms, timeout_ms, ttl_ms, backoff_fixed, backoff_base_ms,
        backoff_max_ms, run_at, dependencies, tags, payload, labels, parent_seq)
      select seq, id, type_id, $19::bigint, priority, max_attempts, trigger_rule, duration_ms,
        expected_ms, timeout_ms, ttl_ms, backoff_fixed, backoff_base_ms, backoff_max_ms, run_at,
        dependencies, tags, payload, labels, $36::bigint
      from given
      on conflict (namespace_id, id) do nothing
      returning 1
    ), alive as (
      insert into skein.live (seq, run_at, workflow_seq, type_id, expected_ms, priority,
        trigger_rule, has_duration, deps, labels, expires_at)
      select seq, run_at, $19::bigint, type_id, coalesce(expected_ms, duration_ms, 0), priority,
        trigger_rule, duration_ms is not null, deps, labels,
        case when ttl_ms is not null
          then coalesce(run_at, clock_timestamp()) + ttl_ms * interval '1 millisecond' end
      from given
    ), told as (
      insert into skein.inbox (kind, first_seq, last_seq)
      select 'submitted', coalesce($21::bigint, min(seq)), coalesce($22::bigint, max(seq))
      from given
      having $20::boolean
    ), audited as (
      insert into skein.audit (is_submit, actor, key_id, address, action, target, status, detail,
        request_id)
      select true, actor, "keyId", address, action, target, 201, detail, "requestId"
      from json_to_recordset($37::json) as entry (actor text, "keyId" text, address text,
        action text, target text, detail json, "requestId" text)
    )
    select (select count(*) from inserted)::int as inserted, min(seq) as first_seq,
      max(seq) as last_seq, pg_current_xact_id()::text as xid
    from given`,
};

/** The row as the leader may begin by; undefined for one that has to wait for anything. */
export function startableOf(row: NewRow, seq: number): Submitted | undefined {
  const { runAtMs, delayMs, ttlMs, triggerRule, priority, labels } = row.fields;
  const { durationMs, expectedMs } = row.fields;
  const mustWait = row.dependencies.length > 0 || runAtMs !== null || delayMs !== null;
  // The word to the leader carries neither of these.
  if (ttlMs !== null || labels.length > 0) return undefined;
  if (mustWait || triggerRule !== TriggerRule.all_success) return undefined;
  const { typeId } = row;
  const hasDuration = durationMs !== null;
  return { seq, typeId, priority, hasDuration, expectedMs: expectedMs ?? durationMs ?? 0 };
}

type Scalar = number | boolean | null;

/** The columns of $3 to $12, and in the same order the values of $23 to $32. */
const SCALARS: readonly ((row: NewRow) => Scalar)[] = [
  (row) => row.typeId,
  ({ fields }) => fields.priority,
  ({ fields }) => fields.maxAttempts,
  ({ fields }) => fields.triggerRule,
  ({ fields }) => fields.durationMs,
  ({ fields }) => fields.expectedMs,
  ({ fields }) => fields.timeoutMs,
  ({ fields }) => fields.backoffFixed,
  ({ fields }) => fields.backoffBaseMs,
  ({ fields }) => fields.backoffMaxMs,
];

/** Inserts the rows in the order given; `range` is null where another chunk is to follow. */
export async function insertRows(
  session: Session,
  rows: readonly NewRow[],
  { workflowSeq = null, parentSeq = null, audits = [] }: RowsWithin,
  range: InboxRange | null,
): Promise<Inserted> {
  const scalars = SCALARS.map((read) => shared(rows.map(read)));
  const ttls = shared(rows.map(({ fields }) => fields.ttlMs));
  const listed = (list: readonly string[]): string | null =>
    list.length === 0 ? null : texts(list);
  const [result] = await session.query<Inserted>(INSERT, [
    numbers(rows.map((row) => row.seq)),
    texts(rows.map((row) => row.id)),
    ...scalars.map(({ column }) => numbers(column)),
    numbers(withoutNulls(rows.map(({ fields }) => fields.runAtMs))),
    numbers(withoutNulls(rows.map(({ fields }) => fields.delayMs))),
    texts(withoutNulls(rows.map((row) => listed(row.dependencies)))),
    texts(withoutNulls(rows.map(({ fields }) => listed(fields.tags)))),
    texts(withoutNulls(rows.map(({ fields }) => fields.payload))),
    texts(
      withoutNulls(
        rows.map(({ dependencySeqs }) =>
          dependencySeqs.length === 0 ? null : numbers(dependencySeqs),
        ),
      ),
    ),
    workflowSeq,
    range !== null,
    range?.first ?? null,
    range?.last ?? null,
    ...scalars.map(({ value }) => value),
    ttls.value,
    numbers(ttls.column),
    texts(withoutNulls(rows.map(({ fields }) => listed(fields.labels)))),
    parentSeq,
    audits.length === 0 ? null : JSON.stringify(audits),
  ]);
  if (result === undefined) throw new Error('an insert returned no row');
  return result;
}

/** One value for all rows where they agree, else a value for each. */
function shared(column: readonly Scalar[]): {
  readonly column: readonly Scalar[];
  readonly value: Scalar;
} {
  const [first = null] = column;
  const agree = column.every((value) => value === first);
  return agree ? { column: [], value: first } : { column, value: null };
}

/** Nothing instead of nulls alone, which is what unnest makes of it again. */
function withoutNulls<T>(column: readonly (T | null)[]): readonly (T | null)[] {
  return column.every((value) => value === null) ? [] : column;
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
