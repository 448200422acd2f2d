import type { LiveRows, TypeGates } from '../core/events.ts';
import type { EndCode } from '../core/task.ts';
import { numbers, type Row, type Statement, type Statements } from './pipeline.ts';

/**
 * What the leader reads: the live set, its inbox, the nodes and the types. None of these picks work:
 * they only tell what is there.
 */
const LIVE_COLUMNS = `l.seq, l.type_id, l.has_duration, l.priority, l.trigger_rule, l.lease_seq,
  coalesce(l.node_id, 0), l.attempt, l.losses, l.cancel,
  coalesce(extract(epoch from l.run_at)::float8 * 1000, 0), l.expected_ms, l.deps,
  coalesce(extract(epoch from l.expires_at)::float8 * 1000, 0), l.labels`;

/** How many columns that are. */
const LIVE_WIDTH = 15;

const READ_LIVE_AFTER: Statement = {
  name: 'graph-reader.liveAfter',
  text: `select ${LIVE_COLUMNS} from skein.live l
where l.seq > $1 and l.seq <= $2 order by l.seq limit $3`,
};

/**
 * Of the next rows those that look ready: unheld, due, of a type that a living node runs, without a live
 * dependency. A hint of what to load first, from wherever it stands; what it misses comes with its page.
 */
const READ_LIVE_READY_AFTER: Statement = {
  name: 'graph-reader.liveReadyAfter',
  text: `
with handled as materialized (
  select array(select t.type_id from skein.type t where not t.paused and exists (
    select from skein.node n where n.state = 'alive' and t.name = any (n.types))) as type_ids
),
simulated as materialized (
  select array(select t.type_id from skein.type t where not t.handled and not t.paused and exists (
    select from skein.node n where n.state = 'alive' and n.simulates)) as type_ids
),
stride as materialized (
  select * from skein.live where seq > $1 order by seq limit $2
)
select coalesce((select max(seq) from stride), 0), ${LIVE_COLUMNS}
from (values (1)) as always (one) left join stride l on l.node_id is null and not l.cancel
  and (l.run_at is null or l.run_at <= clock_timestamp())
  and (l.type_id = any ((select type_ids from handled)::int[])
    or l.has_duration and l.type_id = any ((select type_ids from simulated)::int[]))
  and not exists (select from skein.live p where p.seq = any (l.deps))
  and (l.labels is null or exists (
    select from skein.node n where n.state = 'alive' and n.labels @> l.labels))
limit $3`,
};

const READ_LIVE: Statement = {
  name: 'graph-reader.live',
  text: `select ${LIVE_COLUMNS} from skein.live l where l.seq = any ($1::bigint[])`,
};

/** A dependency in neither `live` nor `not_completed`, in one snapshot, is COMPLETED (rule 6). */
const RESOLVE: Statement = {
  name: 'graph-reader.resolve',
  text: `
select d.seq,
  case when l.seq is not null then 0 else coalesce(n.status, 1) end
from unnest($1::bigint[]) as d (seq)
left join skein.live l on l.seq = d.seq
left join skein.not_completed n on n.seq = d.seq`,
};

/** One snapshot of both sides: a task that ends or is revived between two statements is in neither. */
const REREAD: Statement = {
  name: 'graph-reader.reread',
  text: `
select ${LIVE_COLUMNS}, t.seq, t.status, t.lease_seq
from skein.task t left join skein.live l on l.seq = t.seq
where t.seq = any ($1::bigint[])`,
};

const READ_INBOX: Statement = {
  name: 'graph-reader.inbox',
  text: `
(select inbox_id, kind, first_seq, last_seq, coalesce(seqs, '{}'), bulk
  from skein.inbox where not bulk order by inbox_id limit $1)
union all
(select inbox_id, kind, first_seq, last_seq, '{}', bulk
  from skein.inbox where bulk order by inbox_id limit 1)`,
};

const READ_BULK: Statement = {
  name: 'graph-reader.bulk',
  text: `
select inbox_id, kind, first_seq, last_seq, coalesce(seqs, '{}'), bulk
from skein.inbox where bulk and inbox_id > $1 order by inbox_id limit $2`,
};

const READ_CLOCK: Statement = {
  name: 'graph-reader.clock',
  text: 'select (extract(epoch from clock_timestamp()) * 1000)::float8',
};

const READ_NODES: Statement = {
  name: 'graph-reader.nodes',
  text: `
select node_id, name, state, lease_until < clock_timestamp(),
  (extract(epoch from lease_until) * 1000)::float8, boot_id, pid_namespace, pid, pid_started,
  process_groups, drain_asked_at is not null
from skein.node where state in ('alive', 'draining') or node_id = any ($1::bigint[])`,
};

const READ_HANDLED_TYPES: Statement = {
  name: 'graph-reader.handledTypes',
  text: 'select type_id, name from skein.type where handled',
};

const READ_GATED_TYPES: Statement = {
  name: 'graph-reader.gatedTypes',
  text: 'select type_id, paused, max_running from skein.type where paused or max_running is not null',
};

/** When the first of these tasks ended; what was SKIPPED because of them was so after that. */
const READ_FIRST_END: Statement = {
  name: 'graph-reader.firstEnd',
  text: `
select case when count(n.seq) < cardinality($1::bigint[]) then 0
  else coalesce(extract(epoch from min(n.finished_at))::float8 * 1000, 0) end
from skein.not_completed n where n.seq = any ($1::bigint[])`,
};

const READ_SKIPPED_AFTER: Statement = {
  name: 'graph-reader.skippedAfter',
  text: `
select n.seq, array(
  select d.seq from skein.task d
  where d.namespace_id = t.namespace_id and d.id = any (t.dependencies))
from skein.not_completed n join skein.task t on t.seq = n.seq
where n.status = 4 and n.seq > $1 and n.finished_at >= to_timestamp($2::float8 / 1000)
order by n.seq limit $3`,
};

/** Read by one statement, which must end well inside its timeout. */
const SKIPPED_PAGE_ROWS = 10_000;
/** The clock of a database may be set back by so much. */
const CLOCK_SLACK_MS = 60_000;

export type InboxKind = 'submitted' | 'patched' | 'cancel' | 'retry' | 'types' | 'schedule';

export interface InboxRow {
  readonly inboxId: number;
  readonly kind: InboxKind;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly seqs: readonly number[];
  readonly isBulk: boolean;
}

export interface NodeRow {
  readonly nodeId: number;
  readonly name: string;
  readonly state: 'alive' | 'draining' | 'left' | 'dead';
  /** By the database's clock. */
  readonly isExpired: boolean;
  /** Changes whenever the lease is renewed. */
  readonly leaseUntilMs: number;
  readonly bootId: string;
  readonly pidNamespace: string;
  readonly pid: number;
  readonly pidStarted: string;
  readonly processGroups: readonly number[];
  readonly isDrainAsked: boolean;
}

export class GraphReader {
  private readonly pipeline: Statements;

  constructor(pipeline: Statements) {
    this.pipeline = pipeline;
  }

  /** The next page of the live set by number, within a range; an empty page is its end. */
  async liveAfter(afterSeq: number, lastSeq: number, limit: number): Promise<LiveRows> {
    return toLiveRows(await this.pipeline.query(READ_LIVE_AFTER, [afterSeq, lastSeq, limit]));
  }

  /** Some that look ready among the next so many rows, and the last that was looked at, 0 for none. */
  async liveReadyAfter(
    afterSeq: number,
    among: number,
    limit: number,
  ): Promise<{ readonly rows: LiveRows; readonly lastSeq: number }> {
    const found = await this.pipeline.query(READ_LIVE_READY_AFTER, [afterSeq, among, limit]);
    const rows = found.map((row) => row.slice(1)).filter((row) => row[0] !== null);
    return { rows: toLiveRows(rows), lastSeq: found[0]?.[0] as number };
  }

  async live(seqs: readonly number[]): Promise<LiveRows> {
    return toLiveRows(await this.pipeline.query(READ_LIVE, [numbers(seqs)]));
  }

  async resolve(seqs: readonly number[]): Promise<{
    readonly seqs: readonly number[];
    readonly codes: readonly (EndCode | 0)[];
  }> {
    const rows = await this.pipeline.query(RESOLVE, [numbers(seqs)]);
    return {
      seqs: rows.map((row) => row[0] as number),
      codes: rows.map((row) => row[1] as EndCode | 0),
    };
  }

  /** How tasks stand: each is among the live rows or among the ended. */
  async reread(seqs: readonly number[]): Promise<{
    readonly rows: LiveRows;
    readonly endedSeqs: readonly number[];
    readonly endedCodes: readonly EndCode[];
    readonly endedLeaseSeqs: readonly number[];
  }> {
    const rows = await this.pipeline.query(REREAD, [numbers(seqs)]);
    const ended = rows.filter((row) => row[0] === null && row[LIVE_WIDTH + 1] !== null);
    return {
      rows: toLiveRows(rows.filter((row) => row[0] !== null)),
      endedSeqs: ended.map((row) => row[LIVE_WIDTH] as number),
      endedCodes: ended.map((row) => row[LIVE_WIDTH + 1] as EndCode),
      endedLeaseSeqs: ended.map((row) => row[LIVE_WIDTH + 2] as number),
    };
  }

  /** What is to be applied at once, and the first of what is not, without its tasks. */
  async inbox(limit: number): Promise<readonly InboxRow[]> {
    return (await this.pipeline.query(READ_INBOX, [limit])).map(toInboxRow);
  }

  /** What asks for many tasks, from behind a row of the inbox on. */
  async bulk(afterId: number, limit: number): Promise<readonly InboxRow[]> {
    return (await this.pipeline.query(READ_BULK, [afterId, limit])).map(toInboxRow);
  }

  /** The database's time, milliseconds since the epoch. */
  async clockMs(): Promise<number> {
    const [row] = await this.pipeline.query(READ_CLOCK, []);
    return row?.[0] as number;
  }

  /** The nodes that live by their state, and whichever others are named. */
  async nodes(alsoIds: readonly number[]): Promise<readonly NodeRow[]> {
    const rows = await this.pipeline.query(READ_NODES, [numbers(alsoIds)]);
    return rows.map(toNodeRow);
  }

  async handledTypes(): Promise<ReadonlyMap<string, number>> {
    const rows = await this.pipeline.query(READ_HANDLED_TYPES, []);
    return new Map(rows.map((row) => [row[1] as string, row[0] as number]));
  }

  /** The types that are paused or limited; all others run freely. */
  async gatedTypes(): Promise<TypeGates> {
    const rows = await this.pipeline.query(READ_GATED_TYPES, []);
    const limited = rows.filter((row) => row[2] !== null);
    return {
      pausedIds: rows.filter((row) => row[1] === true).map((row) => row[0] as number),
      limitedIds: limited.map((row) => row[0] as number),
      limits: limited.map((row) => row[2] as number),
    };
  }

  /** Milliseconds since the epoch; 0 where one of them is no ended task any more. */
  async firstEndMs(seqs: readonly number[]): Promise<number> {
    const [row] = await this.pipeline.query(READ_FIRST_END, [numbers(seqs)]);
    return row?.[0] as number;
  }

  /**
   * The given tasks and those that were SKIPPED below them after an instant, nearest first. The edges
   * are followed here: a recursive query looks at every skipped task once a level, and a chain of
   * 10,000 has as many levels.
   */
  async skippedBelow(seqs: readonly number[], afterMs: number): Promise<readonly number[]> {
    const sinceMs = Math.max(0, afterMs - CLOCK_SLACK_MS);
    const children = new Map<number, number[]>();
    for (let afterSeq = 0; ;) {
      const rows = await this.pipeline.query(READ_SKIPPED_AFTER, [
        afterSeq,
        sinceMs,
        SKIPPED_PAGE_ROWS,
      ]);
      for (const [seq, parents] of rows as readonly [number, number[]][]) {
        for (const parent of parents) {
          const siblings = children.get(parent);
          if (siblings === undefined) children.set(parent, [seq]);
          else siblings.push(seq);
        }
        afterSeq = seq;
      }
      if (rows.length < SKIPPED_PAGE_ROWS) break;
    }
    const below = new Set(seqs);
    // A set is walked in the order of its growth, and what is added during the walk is walked too.
    for (const seq of below) children.get(seq)?.forEach((child) => below.add(child));
    return [...below];
  }
}

function toInboxRow(row: Row): InboxRow {
  return {
    inboxId: row[0] as number,
    kind: row[1] as InboxKind,
    firstSeq: row[2] as number,
    lastSeq: row[3] as number,
    seqs: row[4] as number[],
    isBulk: row[5] as boolean,
  };
}

function toNodeRow(row: Row): NodeRow {
  return {
    nodeId: row[0] as number,
    name: row[1] as string,
    state: row[2] as NodeRow['state'],
    isExpired: row[3] as boolean,
    leaseUntilMs: row[4] as number,
    bootId: row[5] as string,
    pidNamespace: row[6] as string,
    pid: row[7] as number,
    pidStarted: row[8] as string,
    processGroups: row[9] as number[],
    isDrainAsked: row[10] as boolean,
  };
}

function toLiveRows(rows: readonly Row[]): LiveRows {
  const column = <T>(at: number): T[] => rows.map((row) => row[at] as T);
  return {
    seqs: column(0),
    typeIds: column(1),
    hasDuration: column(2),
    priorities: column(3),
    triggerRules: column(4),
    leaseSeqs: column(5),
    nodeIds: column(6),
    attempts: column(7),
    losses: column(8),
    cancels: column(9),
    runAtMs: column(10),
    expectedMs: column(11),
    deps: column(12),
    expiresAtMs: column(13),
    labels: column(14),
  };
}
