import type { Session, Statement } from './database.ts';

/**
 * Cancels and retries of all tasks that a filter names. The tables are walked by number, one bounded
 * stretch a statement, and what fits goes into the leader's inbox in rows of a thousand tasks at most:
 * no statement grows with the number of tasks, and none locks one. More than a thousand are marked as
 * `bulk`, which the leader applies beside the rest.
 *
 * Each stretch is committed by itself, so a call that fails in the middle has asked for some of it.
 * To ask again is safe: what has been done already is not found again, or changes nothing.
 */
export interface BulkFilter {
  readonly ids: readonly string[] | null;
  readonly status: string | null;
  readonly type: string | null;
  readonly workflow: string | null;
  readonly tag: string | null;
}

export interface BulkAsked {
  readonly filter: BulkFilter;
  /** Only counts. */
  readonly isDry: boolean;
}

export type BulkKind = 'cancel' | 'retry';

/** Statuses that a filter of each kind may name. */
export const BULK_STATUSES = {
  cancel: ['QUEUED', 'RUNNING'],
  retry: ['FAILED', 'CANCELLED', 'SKIPPED'],
} as const satisfies Readonly<Record<BulkKind, readonly string[]>>;

/** Rows that one statement looks at; about 30 ms of the database. */
const STRETCH_ROWS = 10_000;
const ROW_TASKS_MAX = 1000;

/** Which tasks there are to cancel, and to retry: `s` is where they are listed. */
const WHAT: Readonly<Record<BulkKind, { readonly table: string; readonly status: string }>> = {
  cancel: {
    table: 'skein.live s',
    status: `case when s.node_id is null then 'QUEUED' else 'RUNNING' end`,
  },
  retry: {
    table: 'skein.not_completed s',
    status: `(array['FAILED', 'CANCELLED', 'SKIPPED'])[s.status - 1]`,
  },
};

/** The walk: over all that are listed, or by the index of what is narrow. */
const WALKS = {
  all: 's.seq > $1 and s.seq <= $2 and $4::text is null and $7::text[] is null order by s.seq',
  workflow: `t.workflow_seq = (select w.workflow_seq from skein.workflow w
          where w.namespace_id = 0 and w.id = $4) and t.seq > $1 and t.seq <= $2
        and $7::text[] is null order by t.seq`,
  ids: `t.namespace_id = 0 and t.id = any ($7::text[]) and t.seq > $1 and t.seq <= $2
        and ($4::text is null or t.workflow_seq = (select w.workflow_seq from skein.workflow w
          where w.namespace_id = 0 and w.id = $4)) order by t.seq`,
} as const;
type Walk = keyof typeof WALKS;

/** The record of a task is looked at only where the filter asks for what is nowhere else. */
function statementOf(kind: BulkKind, walk: Walk): Statement {
  const { table, status } = WHAT[kind];
  const joined = walk === 'all' ? '' : ' join skein.task t on t.seq = s.seq';
  return {
    name: `bulk-changes.${kind}-${walk}`,
    text: `
    with walked as materialized (
      select s.seq, ${status} as status
      from ${table}${joined}
      where ${WALKS[walk]}
      limit ${String(STRETCH_ROWS)}
    ), chosen as materialized (
      select w.seq, (row_number() over (order by w.seq) - 1) / ${String(ROW_TASKS_MAX)} as portion,
        count(*) over () as total
      from walked w
      where ($3::text is null or w.status = $3)
        and ('${kind}' = 'cancel' or not exists (select from skein.live l where l.seq = w.seq))
        and ($5::text is null and $6::text is null or exists (
          select from skein.task t join skein.type y on y.type_id = t.type_id
          where t.seq = w.seq and ($5::text is null or y.name = $5)
            and ($6::text is null or $6 = any (t.tags))))
    ), told as (
      insert into skein.inbox (kind, first_seq, last_seq, seqs, bulk)
      select '${kind}', min(seq), max(seq), array_agg(seq order by seq),
        $9::boolean or total > ${String(ROW_TASKS_MAX)}
      from chosen
      where not $8::boolean
      group by portion, total
      order by portion
    )
    select (select count(*) from walked)::int as walked, (select max(seq) from walked) as last_seq,
      (select count(*) from chosen)::int as chosen`,
  };
}

const STATEMENTS = {
  cancel: {
    all: statementOf('cancel', 'all'),
    workflow: statementOf('cancel', 'workflow'),
    ids: statementOf('cancel', 'ids'),
  },
  retry: {
    all: statementOf('retry', 'all'),
    workflow: statementOf('retry', 'workflow'),
    ids: statementOf('retry', 'ids'),
  },
} as const satisfies Readonly<Record<BulkKind, Readonly<Record<Walk, Statement>>>>;

/** What is submitted while a walk is under way is not of it. */
const LAST: Statement = {
  name: 'bulk-changes.last',
  text: 'select coalesce(max(seq), 0) as last from skein.task',
};

interface Stretch {
  readonly walked: number;
  readonly last_seq: number | null;
  readonly chosen: number;
}

export class BulkChanges {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /**
   * The number of tasks that are asked for, or would be. Stops early, with what it has asked, where the
   * signal says that nobody waits for the answer any more.
   */
  async ask(kind: BulkKind, { filter, isDry }: BulkAsked, signal: AbortSignal): Promise<number> {
    const { ids, status, type, workflow, tag } = filter;
    const statement =
      STATEMENTS[kind][ids !== null ? 'ids' : workflow !== null ? 'workflow' : 'all'];
    const [newest] = await this.#session.query<{ last: number }>(LAST);
    const last = newest?.last ?? 0;
    let count = 0;
    for (let after = 0; !signal.aborted;) {
      const values = [after, last, status, workflow, type, tag, ids, isDry, after > 0];
      const [stretch] = await this.#session.query<Stretch>(statement, values);
      if (stretch === undefined) throw new Error('a bulk change returned no row');
      count += stretch.chosen;
      if (stretch.walked < STRETCH_ROWS || stretch.last_seq === null) break;
      after = stretch.last_seq;
    }
    return count;
  }
}
