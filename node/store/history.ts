import { closureOf, type Stored } from '../core/retention.ts';
import { numbers } from './array-literal.ts';
import type { Database, Session, Statement } from './database.ts';
import { DeposedError } from './term-writer.ts';

/**
 * Removes what has ended, portion by portion, the oldest first; the leader decides when.
 *
 * A portion is a transaction of three steps. The tasks are locked, those that others hold left out: from
 * then on no submit can name one of them as a dependency (it takes a key-share lock), and no retry can
 * revive one. Then, by a statement of its own and so by a snapshot that is younger than the locks, it is
 * asked what refers to them: an unfinished task by its `deps`, and a task that did not complete, and
 * could be revived, by the id of a dependency that did not complete either. Such ones stay. (One that
 * completed may go from under a task that can be revived: what is in neither `live` nor `not_completed`
 * counts as completed.) Last, under the fence of the term, the others are removed, and all that is
 * kept of them.
 *
 * A workflow goes as a whole: first its own row, as soon as all its tasks have ended long enough ago,
 * then its tasks, which are left alone as long as there is that row.
 *
 * Nothing that is deleted here shrinks a file: vacuum makes room in it for what comes.
 */
export interface Cutoff {
  /** What ended at least so long ago, milliseconds by the database's clock. */
  readonly ageMs: number;
  /** No task behind this one, and no workflow that begins behind it. */
  readonly lastSeq: number;
}

export interface Walked {
  /** The last that was looked at; undefined at the end. */
  readonly last: number | undefined;
  readonly removed: number;
}

/**
 * Everything that is kept by the number of a task, beside the task itself. A new table of that kind
 * belongs here, and in the test of what a removal leaves.
 */
export const KEPT_BY_TASK = ['attempt', 'not_completed', 'log', 'progress'] as const;

const END = `clock_timestamp() - $1::float8 * interval '1 millisecond'`;
/** It has ended long enough ago, nobody revives it, and no workflow holds it. */
const IS_OVER = `t.status is not null and t.finished_at < ${END}
      and not exists (select from skein.live l where l.seq = t.seq)
      and (t.workflow_seq is null
        or not exists (select from skein.workflow w where w.workflow_seq = t.workflow_seq))`;

/** Nothing behind a task that was created later than the cut can have ended before it. */
const WALK: Statement = {
  text: `
    with walked as materialized (
      select t.*
      from skein.task t
      where t.seq > $2 and t.seq <= $4
      order by t.seq
      limit $3
    )
    select coalesce(array_agg(t.seq order by t.seq) filter (where ${IS_OVER}), '{}') as over,
      max(t.seq) as last, coalesce(max(t.created_at) >= ${END}, true) as is_end
    from walked t`,
};

const LOCK: Statement = {
  text: `
    select t.seq, t.status <> 1 as is_rare
    from skein.task t
    where t.seq = any($2::bigint[]) and ${IS_OVER}
    order by t.seq
    for update of t skip locked`,
};

const REFERENCED_BY_LIVE: Statement = {
  text: `
    select distinct d.seq
    from skein.live l cross join lateral unnest(l.deps) as d (seq)
    where d.seq between $2 and $3 and d.seq = any($1::bigint[])`,
};

const REFERENCED_BY_ENDED: Statement = {
  text: `
    select p.seq, bool_or(n.seq <> all($2::bigint[])) as is_referenced,
      coalesce(array_agg(distinct n.seq) filter (where n.seq = any($2::bigint[])), '{}') as referred_by
    from skein.not_completed n
    join skein.task c on c.seq = n.seq
    cross join lateral unnest(c.dependencies) as d (id)
    join skein.task p on p.namespace_id = c.namespace_id and p.id = d.id
    where p.seq = any($1::bigint[])
    group by p.seq`,
};

const FENCE = `fence as materialized (
      select 1 from skein.term where id = 1 and term = $1 for share
    )`;

const REMOVE: Statement = {
  text: `
    with ${FENCE}, gone as (
      delete from skein.task where seq = any($2::bigint[]) and exists (select from fence)
      returning 1
    )${KEPT_BY_TASK.map(
      (table) => `, ${table}_gone as (
      delete from skein.${table} where seq = any($2::bigint[]) and exists (select from fence)
    )`,
    ).join('')}
    select (select count(*)::int from fence) as fence, (select count(*)::int from gone) as removed`,
};

const REMOVE_WORKFLOWS: Statement = {
  text: `
    with ${FENCE}, walked as materialized (
      select workflow_seq
      from skein.workflow
      where workflow_seq > $3 and created_at < clock_timestamp() - $2::float8 * interval '1 millisecond'
      order by workflow_seq
      limit $4
    ), gone as (
      delete from skein.workflow w
      using walked k
      where w.workflow_seq = k.workflow_seq and exists (select from fence)
        and exists (
          select from skein.task t where t.workflow_seq = w.workflow_seq and t.seq <= $5)
        and not exists (
          select from skein.task t
          where t.workflow_seq = w.workflow_seq and (t.status is null
            or t.finished_at >= clock_timestamp() - $2::float8 * interval '1 millisecond'
            or exists (select from skein.live l where l.seq = t.seq)))
      returning 1
    )
    select (select count(*)::int from fence) as fence, (select max(workflow_seq) from walked) as last,
      (select count(*)::int from gone) as removed`,
};

const REMOVE_EVENTS: Statement = {
  text: `
    with ${FENCE}, gone as (
      delete from skein.event
      where exists (select from fence)
        and at < clock_timestamp() - $2::float8 * interval '1 millisecond'
      returning 1
    )
    select (select count(*)::int from fence) as fence, (select count(*)::int from gone) as removed`,
};

/** A row of `task` leaves room for its end: fillfactor 45. Indexes are counted with 60 bytes a row. */
const sizeOf = (table: string, factor: number): string => `
    select '${table}' as name, coalesce(pg_stat_get_live_tuples('skein.${table}'::regclass), 0)
        ::float8 as rows,
      coalesce(avg(pg_column_size(t.*)), 0)::float8 * ${String(factor)} + 60 as bytes
    from (select * from skein.${table} order by seq desc limit 500) t`;

const SIZES: Statement = {
  text: [sizeOf('task', 2.2), ...KEPT_BY_TASK.map((table) => sizeOf(table, 1))].join(
    '\n    union all',
  ),
};

/** The number of the last of so many tasks, the oldest. */
const OLDEST: Statement = {
  text: `
    select max(seq) as last
    from (select seq from skein.task order by seq limit $1) t`,
};

/** A portion fits into the deadline of its statements also where a million tasks wait. */
const TASKS_AT_ONCE = 1000;
const WORKFLOWS_AT_ONCE = 100;

export class History {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Removes what is over among the next tasks. Throws DeposedError. */
  async removeTasks(term: number, { ageMs, lastSeq }: Cutoff, after: number): Promise<Walked> {
    const [walked] = await this.#database.query<{
      over: readonly number[];
      last: number | null;
      is_end: boolean;
    }>(WALK, [ageMs, after, TASKS_AT_ONCE, lastSeq]);
    if (walked === undefined || walked.last === null) return { last: undefined, removed: 0 };
    const { over } = walked;
    const removed = over.length === 0 ? 0 : await this.#removeMany(term, ageMs, over);
    return { last: walked.is_end ? undefined : walked.last, removed };
  }

  /** The rows of workflows whose tasks are all over; their tasks may go after that. */
  async removeWorkflows(term: number, { ageMs, lastSeq }: Cutoff, after: number): Promise<Walked> {
    const values = [term, ageMs, after, WORKFLOWS_AT_ONCE, lastSeq];
    const [row] = await this.#database.query<{
      fence: number;
      last: number | null;
      removed: number;
    }>(REMOVE_WORKFLOWS, values);
    if (row?.fence !== 1) throw new DeposedError();
    return { last: row.last ?? undefined, removed: row.removed };
  }

  async removeEvents(term: number, { ageMs }: Pick<Cutoff, 'ageMs'>): Promise<number> {
    const [row] = await this.#database.query<{ fence: number; removed: number }>(REMOVE_EVENTS, [
      term,
      ageMs,
    ]);
    if (row?.fence !== 1) throw new DeposedError();
    return row.removed;
  }

  /** Estimates: what the statistics of the server say, and the newest rows. */
  async sizes(): Promise<{ readonly tasks: Stored; readonly others: readonly Stored[] }> {
    const rows = await this.#database.query<{ name: string; rows: number; bytes: number }>(SIZES);
    const [tasks, ...others] = rows.map((row) => ({ rows: row.rows, bytesPerRow: row.bytes }));
    return { tasks: tasks ?? { rows: 0, bytesPerRow: 0 }, others };
  }

  async oldest(count: number): Promise<number> {
    const [row] = await this.#database.query<{ last: number | null }>(OLDEST, [count]);
    return row?.last ?? 0;
  }

  async stop(): Promise<void> {
    await this.#database.stop();
  }

  #removeMany(term: number, ageMs: number, over: readonly number[]): Promise<number> {
    return this.#database.transaction(async (session) => {
      const locked = await session.query<{ seq: number; is_rare: boolean }>(LOCK, [
        ageMs,
        numbers(over),
      ]);
      const kept = await referenced(session, locked);
      const seqs = locked.map(({ seq }) => seq).filter((seq) => !kept.has(seq));
      if (seqs.length === 0) return 0;
      const values = [term, numbers(seqs)];
      const [row] = await session.query<{ fence: number; removed: number }>(REMOVE, values);
      if (row?.fence !== 1) throw new DeposedError();
      return row.removed;
    });
  }
}

/** By statements that begin when the locks are held. */
async function referenced(
  session: Session,
  locked: readonly { readonly seq: number; readonly is_rare: boolean }[],
): Promise<ReadonlySet<number>> {
  const seqs = locked.map(({ seq }) => seq);
  if (seqs.length === 0) return new Set();
  const bounds = [seqs[0], seqs.at(-1)];
  const byLive = await session.query<{ seq: number }>(REFERENCED_BY_LIVE, [
    numbers(seqs),
    ...bounds,
  ]);
  const inLive = new Set(byLive.map(({ seq }) => seq));
  const rare = locked.filter(({ is_rare: isRare }) => isRare).map(({ seq }) => seq);
  const byEnded =
    rare.length === 0
      ? []
      : await session.query<{ seq: number; is_referenced: boolean; referred_by: number[] }>(
          REFERENCED_BY_ENDED,
          [numbers(rare), numbers(seqs)],
        );
  const ended = new Map(byEnded.map((row) => [row.seq, row]));
  return closureOf(
    seqs.map((seq) => ({
      seq,
      isReferenced: inLive.has(seq) || (ended.get(seq)?.is_referenced ?? false),
      referredBy: ended.get(seq)?.referred_by ?? [],
    })),
  );
}
