import type { SettledAs } from '../core/messages.ts';
import type { EndCode } from '../core/task.ts';
import { numbers, type Row, type Statement, type Statements } from './pipeline.ts';

/**
 * What a node does with its leases in PostgreSQL: it reads the payloads, says which tasks have started,
 * and settles outcomes. The guard is always `lease_seq = mine and node_id = me`, and every accepted
 * outcome ends the lease in the same statement: the live row is deleted, or its number raised.
 *
 * Times are the database's: an instant of this node is sent as the milliseconds since, by its monotonic
 * clock, and the statement subtracts them from its own clock (rule 19). No two clocks run at the same
 * rate, so an instant that comes out before the lease is taken for that of the lease: a child is
 * leased only after its parent's settle was committed, and never starts before its parent has finished.
 *
 * Rows are locked in the order of their numbers, as the leader's statements do, so that the two cannot
 * wait for each other (rule 11).
 */
const READ_WORK: Statement = {
  name: 'lease-store.work',
  text: `
select t.seq, t.id, y.name, t.payload, t.duration_ms, t.max_attempts, t.timeout_ms,
  t.backoff_fixed, t.backoff_base_ms, t.backoff_max_ms, y.handled
from skein.task t join skein.type y on y.type_id = t.type_id
where t.seq = any ($1::bigint[])`,
};

/** How often the child process of a task has died under it: the count to its quarantine. */
const COUNT_DEATHS: Statement = {
  name: 'lease-store.deaths',
  text: `
select count(*)::int from skein.attempt
where seq = $1 and error ->> 'code' = 'process_died'`,
};

/**
 * What the dependencies of a task that completed have answered, by the names that the task gave them:
 * inside a workflow the local ones. The texts stay on the server where they are too much together.
 */
const READ_RESULTS: Statement = {
  name: 'lease-store.results',
  text: `
with parents as (
  select case when t.parent_seq is null and starts_with(p.id, w.id || '/')
      then substr(p.id, length(w.id) + 2) else p.id end as name, p.result
  from skein.task t
  left join skein.workflow w on w.workflow_seq = t.workflow_seq
  join skein.task p on p.namespace_id = t.namespace_id and p.id = any (t.dependencies)
  where t.seq = $1 and p.status = 1
),
size as materialized (
  select coalesce(sum(octet_length(result::text)), 0)::float8 as bytes from parents
)
select p.name, case when s.bytes <= $2 then p.result end, s.bytes from parents p cross join size s`,
};

const MARK_STARTED: Statement = {
  name: 'lease-store.markStarted',
  text: `
with started as (
  select * from unnest($2::bigint[], $3::int[], $4::float8[]) as w (seq, lease_seq, ago_ms)
),
locked as materialized (
  select l.seq, w.ago_ms from skein.live l join started w on w.seq = l.seq
  where l.lease_seq = w.lease_seq and l.node_id = $1 and l.started_at is null
  order by l.seq for no key update of l
)
update skein.live l
set started_at = greatest(l.leased_at, clock_timestamp() - k.ago_ms * interval '1 millisecond')
from locked k where l.seq = k.seq`,
};

const COMPLETE_MANY: Statement = {
  name: 'lease-store.completeMany',
  text: `
with done as (
  select * from unnest($2::bigint[], $3::int[], $4::float8[], $5::float8[], $6::json[])
    as d (seq, lease_seq, started_ago_ms, finished_ago_ms, result)
  order by seq
),
gone as (
  delete from skein.live l using done d
  where l.seq = d.seq and l.lease_seq = d.lease_seq and l.node_id = $1
  returning l.seq, l.lease_seq, l.attempt, l.leased_at, l.started_at,
    d.started_ago_ms, d.finished_ago_ms, d.result
),
recorded as (
  update skein.task t
  set status = 1, lease_seq = g.lease_seq, attempt = g.attempt + 1, node_id = $1,
    started_at = coalesce(g.started_at, greatest(g.leased_at,
      clock_timestamp() - g.started_ago_ms * interval '1 millisecond')),
    finished_at = greatest(g.leased_at, g.started_at,
      clock_timestamp() - g.finished_ago_ms * interval '1 millisecond'),
    result = g.result
  from gone g where t.seq = g.seq
)
select array(select seq from gone)`,
};

/**
 * Outcomes that are no success. What each becomes is decided here, under the row's lock: a row with
 * the cancel mark ends as CANCELLED whatever was asked (rule 12).
 */
const SETTLE_MANY: Statement = {
  name: 'lease-store.settleMany',
  text: `
with done as (
  select * from unnest($2::bigint[], $3::int[], $4::smallint[], $5::float8[], $6::float8[],
      $7::float8[], $8::json[])
    as d (seq, lease_seq, settled_as, delay_ms, started_ago_ms, finished_ago_ms, error)
),
locked as materialized (
  select l.seq, l.lease_seq, l.attempt, d.delay_ms, d.error,
    case when l.cancel then 3 else d.settled_as end as settled_as,
    case when d.settled_as = 6 then 0 else 1 end as charged,
    case when d.started_ago_ms is not null then coalesce(l.started_at, greatest(l.leased_at,
      clock_timestamp() - d.started_ago_ms * interval '1 millisecond')) end as started_at,
    greatest(l.leased_at, l.started_at,
      clock_timestamp() - d.finished_ago_ms * interval '1 millisecond') as finished_at
  from skein.live l join done d on d.seq = l.seq
  where l.lease_seq = d.lease_seq and l.node_id = $1
  order by l.seq for update of l
),
gone as (
  delete from skein.live where seq in (select seq from locked where settled_as in (2, 3))
),
queued as (
  update skein.live l
  set lease_seq = l.lease_seq + 1, node_id = null, leased_at = null, started_at = null,
    attempt = l.attempt + k.charged,
    run_at = case when k.delay_ms > 0
      then clock_timestamp() + k.delay_ms * interval '1 millisecond' else l.run_at end,
    expires_at = case when k.started_at is null then l.expires_at end
  from locked k where l.seq = k.seq and k.settled_as in (5, 6)
  returning l.seq, l.lease_seq, l.attempt,
    coalesce((extract(epoch from l.run_at) * 1000)::float8, 0) as run_at_ms
),
recorded as (
  update skein.task t
  set status = k.settled_as, lease_seq = k.lease_seq, attempt = k.attempt + k.charged, node_id = $1,
    started_at = k.started_at, finished_at = k.finished_at, error = k.error
  from locked k where t.seq = k.seq and k.settled_as in (2, 3)
),
listed as (
  insert into skein.not_completed (seq, status, finished_at)
  select seq, settled_as, finished_at from locked where settled_as in (2, 3) order by seq
),
remembered as (
  insert into skein.attempt
    (seq, lease_seq, attempt, outcome, node_id, started_at, finished_at, error)
  select seq, lease_seq, attempt + 1,
    case settled_as when 3 then 'cancelled' when 6 then 'released' else 'failed' end,
    $1, started_at, finished_at, error
  from locked
  on conflict do nothing
)
select k.seq, k.settled_as, coalesce(q.lease_seq, 0), coalesce(q.attempt, k.attempt + k.charged),
  coalesce(q.run_at_ms, 0)
from locked k left join queued q on q.seq = k.seq`,
};

/**
 * How leases ended that a settle did not return: accepted before (its answer was lost), or stale. The
 * winning number of an end stands in the task, that of any other accepted outcome in `attempt`.
 */
const VERIFY_MANY: Statement = {
  name: 'lease-store.verifyMany',
  text: `
select m.seq,
  case when t.status is not null and t.lease_seq = m.lease_seq and t.node_id = $1 then t.status
       when a.outcome = 'failed' then 5
       when a.outcome = 'released' then 6 end,
  coalesce(l.lease_seq, 0), coalesce(l.attempt, t.attempt),
  coalesce((extract(epoch from l.run_at) * 1000)::float8, 0)
from unnest($2::bigint[], $3::int[]) as m (seq, lease_seq)
cross join (select pg_logical_emit_message(true, 'skein', '') offset 0) as asked
join skein.task t on t.seq = m.seq
left join skein.live l on l.seq = m.seq
left join skein.attempt a
  on a.seq = m.seq and a.lease_seq = m.lease_seq and a.node_id = $1 and a.outcome <> 'lost'`,
};

/** Of the results that one call may bring into memory. */
const RESULTS_BYTES_MAX = 16 * 1024 * 1024;

export interface Work {
  readonly seq: number;
  readonly id: string;
  readonly type: string;
  /** JSON text, or null. */
  readonly payload: string | null;
  readonly durationMs: number | null;
  readonly maxAttempts: number;
  readonly timeoutMs: number | null;
  readonly backoff: { readonly isFixed: boolean; readonly baseMs: number; readonly maxMs: number };
  /** A handler was registered for the type at some time: it is never simulated. */
  readonly isTypeHandled: boolean;
}

export interface CompletedColumns {
  readonly seqs: readonly number[];
  readonly leaseSeqs: readonly number[];
  readonly startedAgoMs: readonly number[];
  readonly finishedAgoMs: readonly number[];
  /** JSON texts. */
  readonly results: readonly string[];
}

export interface SettledColumns {
  readonly seqs: readonly number[];
  readonly leaseSeqs: readonly number[];
  /** FAILED, CANCELLED, RETRY or RELEASED. */
  readonly settledAs: readonly SettledAs[];
  /** Until the task may be leased again, for RETRY and RELEASED; 0 for at once. */
  readonly delayMs: readonly number[];
  readonly startedAgoMs: readonly (number | null)[];
  readonly finishedAgoMs: readonly number[];
  readonly errors: readonly (string | null)[];
}

/** An outcome that the database accepted, as the leader is told. */
export interface Settlement {
  readonly seq: number;
  readonly settledAs: SettledAs;
  readonly nextLeaseSeq: number;
  readonly attempt: number;
  readonly runAtMs: number;
}

/**
 * Reads have a connection of their own: behind a settle they would wait for its commit, and a slot
 * stays empty until its payload is read. Writes take turns on a few, so that one commit need not wait
 * for the one before it; PostgreSQL flushes them together.
 */
export class LeaseStore {
  private readonly reads: Statements;
  private readonly writes: readonly Statements[];
  private readonly nodeId: number;
  private writesBegun = 0;

  constructor(nodeId: number, reads: Statements, writes: readonly Statements[]) {
    this.nodeId = nodeId;
    this.reads = reads;
    this.writes = writes;
  }

  /** Must be called after the lease was committed: only then is the payload sure to be its last edit. */
  async work(seqs: readonly number[]): Promise<readonly Work[]> {
    const rows = await this.reads.query(READ_WORK, [numbers(seqs)]);
    return rows.map((row) => ({
      seq: row[0] as number,
      id: row[1] as string,
      type: row[2] as string,
      payload: row[3] as string | null,
      durationMs: row[4] as number | null,
      maxAttempts: row[5] as number,
      timeoutMs: row[6] as number | null,
      backoff: {
        isFixed: row[7] as boolean,
        baseMs: row[8] as number,
        maxMs: row[9] as number,
      },
      isTypeHandled: row[10] as boolean,
    }));
  }

  async deaths(seq: number): Promise<number> {
    const [row] = await this.reads.query(COUNT_DEATHS, [seq]);
    return row?.[0] as number;
  }

  /** Rejects with `results_too_large` where they are more than 16 MiB together. */
  async results(seq: number): Promise<ReadonlyMap<string, string>> {
    const rows = await this.reads.query(READ_RESULTS, [seq, RESULTS_BYTES_MAX]);
    const bytes = (rows[0]?.[2] as number | undefined) ?? 0;
    if (bytes > RESULTS_BYTES_MAX) {
      const message = `the dependencies have ${String(bytes)} bytes of results, more than 16 MiB`;
      throw Object.assign(new Error(message), { code: 'results_too_large', retryable: false });
    }
    return new Map(rows.map((row) => [row[0] as string, (row[1] as string | null) ?? 'null']));
  }

  async markStarted(
    seqs: readonly number[],
    leaseSeqs: readonly number[],
    agoMs: readonly number[],
  ): Promise<void> {
    await this.write(MARK_STARTED, [
      this.nodeId,
      numbers(seqs),
      numbers(leaseSeqs),
      numbers(agoMs),
    ]);
  }

  /** The numbers of the tasks whose outcome was accepted. */
  async completeMany(done: CompletedColumns): Promise<readonly number[]> {
    const [row] = await this.write(COMPLETE_MANY, [
      this.nodeId,
      numbers(done.seqs),
      numbers(done.leaseSeqs),
      numbers(done.startedAgoMs),
      numbers(done.finishedAgoMs),
      done.results,
    ]);
    return row?.[0] as number[];
  }

  async settleMany(done: SettledColumns): Promise<readonly Settlement[]> {
    const rows = await this.write(SETTLE_MANY, [
      this.nodeId,
      numbers(done.seqs),
      numbers(done.leaseSeqs),
      numbers(done.settledAs),
      numbers(done.delayMs),
      done.startedAgoMs,
      numbers(done.finishedAgoMs),
      done.errors,
    ]);
    return rows.map(toSettlement);
  }

  /** Of outcomes that were not returned, those that had been accepted before all the same. */
  async verifyMany(
    seqs: readonly number[],
    leaseSeqs: readonly number[],
  ): Promise<readonly Settlement[]> {
    const values = [this.nodeId, numbers(seqs), numbers(leaseSeqs)];
    const rows = await this.reads.query(VERIFY_MANY, values);
    return rows.filter((row) => row[1] !== null).map(toSettlement);
  }

  private write(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    const pipeline = this.writes[this.writesBegun % this.writes.length] as Statements;
    this.writesBegun += 1;
    return pipeline.query(statement, values);
  }
}

function toSettlement(row: Row): Settlement {
  return {
    seq: row[0] as number,
    settledAs: row[1] as EndCode | SettledAs,
    nextLeaseSeq: row[2] as number,
    attempt: row[3] as number,
    runAtMs: row[4] as number,
  };
}
