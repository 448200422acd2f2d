import { numbers, type Row, type Statement, type Statements } from './pipeline.ts';

/**
 * Everything the leader writes. Each statement locks the term row FOR SHARE and checks its own term in
 * the same statement: a plain EXISTS let a deposed leader's write through while the takeover was in
 * flight (measured). The count of the fence comes back with every answer; 0 means deposed, which is
 * thrown, and never "no work".
 *
 * Lock order is live → task → others, by seq. Statements that may skip a row skip what is locked;
 * the others wait for the short transaction of one PATCH at most, under the session's timeouts.
 */
export class DeposedError extends Error {
  constructor() {
    super('another node leads a later term');
    this.name = 'DeposedError';
  }
}

const FENCE = `fence as materialized (
  select 1 from skein.term where id = 1 and term = $1 for share
)`;
const FENCED = 'exists (select 1 from fence)';
const FENCE_COUNT = '(select count(*)::int from fence)';

/** Raises the lease number where it is still the one known, unheld, due and not cancelled. */
const LEASE_MANY: Statement = {
  name: 'term-writer.leaseMany',
  text: `
with ${FENCE},
wanted as (
  select * from unnest($2::bigint[], $3::int[], $4::bigint[]) as w (seq, lease_seq, node_id)
),
free as materialized (
  select l.seq, w.node_id from wanted w join skein.live l on l.seq = w.seq
  where ${FENCED} and l.lease_seq = w.lease_seq and l.node_id is null and not l.cancel
    and (l.run_at is null or l.run_at <= clock_timestamp())
  for no key update of l skip locked
),
leased as (
  update skein.live l
  set lease_seq = l.lease_seq + 1, node_id = f.node_id, leased_at = clock_timestamp()
  from free f where l.seq = f.seq
  returning l.seq, l.lease_seq
)
select ${FENCE_COUNT}, array(select seq from leased), array(select lease_seq from leased)`,
};

/** Ends unheld tasks: all of them are SKIPPED. */
const SKIP_MANY: Statement = {
  name: 'term-writer.skipMany',
  text: `
with ${FENCE},
locked as materialized (
  select seq from skein.live
  where ${FENCED} and seq = any ($2::bigint[]) and node_id is null
  order by seq for update
),
gone as (
  delete from skein.live where seq in (select seq from locked)
  returning seq, lease_seq, attempt
),
recorded as (
  update skein.task t
  set status = 4, lease_seq = g.lease_seq, attempt = g.attempt, finished_at = clock_timestamp()
  from gone g where t.seq = g.seq
),
listed as (
  insert into skein.not_completed (seq, status) select seq, 4 from gone order by seq
)
select ${FENCE_COUNT}, array(select seq from gone), array(select lease_seq from gone)`,
};

/**
 * Ends tasks that nobody has begun within their `ttl_ms` as FAILED. What a node holds, or has begun, is
 * not touched: a lease that was granted meanwhile stands.
 */
const EXPIRE_MANY: Statement = {
  name: 'term-writer.expireMany',
  text: `
with ${FENCE},
locked as materialized (
  select seq from skein.live
  where ${FENCED} and seq = any ($2::bigint[]) and node_id is null
    and expires_at <= clock_timestamp()
  order by seq for update
),
gone as (
  delete from skein.live where seq in (select seq from locked)
  returning seq, lease_seq, attempt
),
recorded as (
  update skein.task t
  set status = 2, lease_seq = g.lease_seq, attempt = g.attempt, finished_at = clock_timestamp(),
    error = ('{"code":"expired","message":"the task was not begun within ' || t.ttl_ms
      || ' ms","retryable":false}')::json
  from gone g where t.seq = g.seq
),
listed as (
  insert into skein.not_completed (seq, status) select seq, 2 from gone order by seq
)
select ${FENCE_COUNT}, array(select seq from gone), array(select lease_seq from gone)`,
};

/** Ends unheld tasks as CANCELLED and marks the held ones; their node is told afterwards. */
const CANCEL_MANY: Statement = {
  name: 'term-writer.cancelMany',
  text: `
with ${FENCE},
locked as materialized (
  select seq, node_id from skein.live
  where ${FENCED} and seq = any ($2::bigint[])
  order by seq for update
),
gone as (
  delete from skein.live where seq in (select seq from locked where node_id is null)
  returning seq, lease_seq, attempt
),
marked as (
  update skein.live set cancel = true
  where seq in (select seq from locked where node_id is not null)
  returning seq
),
recorded as (
  update skein.task t
  set status = 3, lease_seq = g.lease_seq, attempt = g.attempt, finished_at = clock_timestamp()
  from gone g where t.seq = g.seq
),
listed as (
  insert into skein.not_completed (seq, status) select seq, 3 from gone order by seq
)
select ${FENCE_COUNT}, array(select seq from gone), array(select lease_seq from gone),
  array(select seq from marked)`,
};

/**
 * Takes leases back from one node: the number is raised, so that nothing settled under it is accepted
 * any more; a row with the cancel mark ends as CANCELLED (rule 12). `lost` raises `losses`, `released`
 * does not: nobody had begun.
 */
const TAKE_BACK_MANY: Statement = {
  name: 'term-writer.takeBackMany',
  text: `
with ${FENCE},
wanted as (select * from unnest($2::bigint[], $3::int[]) as w (seq, lease_seq)),
locked as materialized (
  select l.seq, l.lease_seq, l.attempt, l.cancel, l.started_at
  from skein.live l join wanted w on w.seq = l.seq
  where ${FENCED} and l.lease_seq = w.lease_seq and l.node_id = $4
  order by l.seq for update of l
),
gone as (
  delete from skein.live where seq in (select seq from locked where cancel)
  returning seq, lease_seq, attempt
),
queued as (
  update skein.live l
  set lease_seq = l.lease_seq + 1, node_id = null, leased_at = null, started_at = null,
    losses = least(l.losses + case when $5 = 'lost' then 1 else 0 end, 100),
    expires_at = case when $5 <> 'lost' then l.expires_at end
  from locked k where l.seq = k.seq and not k.cancel
  returning l.seq, l.lease_seq, l.losses
),
recorded as (
  update skein.task t
  set status = 3, lease_seq = g.lease_seq, attempt = g.attempt, node_id = $4,
    finished_at = clock_timestamp()
  from gone g where t.seq = g.seq
),
listed as (
  insert into skein.not_completed (seq, status) select seq, 3 from gone order by seq
),
remembered as (
  insert into skein.attempt (seq, lease_seq, attempt, outcome, node_id, started_at)
  select seq, lease_seq, attempt + 1, $5, $4, started_at from locked
  on conflict do nothing
)
select ${FENCE_COUNT}, array(select seq from queued), array(select lease_seq from queued),
  array(select losses from queued), array(select seq from gone)`,
};

/** Declares nodes dead: their lease is over by the database's clock, or their death is proven. */
const BURY_NODE: Statement = {
  name: 'term-writer.buryNode',
  text: `
with ${FENCE},
buried as (
  update skein.node set state = 'dead'
  where ${FENCED} and node_id = $2 and state in ('alive', 'draining')
    and ($3 or lease_until + $4 * interval '1 millisecond' < clock_timestamp())
  returning 1
)
select ${FENCE_COUNT}, (select count(*)::int from buried)`,
};

/**
 * Revives ended tasks: back into the live set with a fresh budget, under a number above every lease
 * they had. Their dependencies are found again by id.
 */
const REVIVE_MANY: Statement = {
  name: 'term-writer.reviveMany',
  text: `
with ${FENCE},
locked as materialized (
  select * from skein.task
  where ${FENCED} and seq = any ($2::bigint[]) and status in (2, 3, 4)
  order by seq for no key update
),
revived as (
  insert into skein.live (seq, type_id, priority, lease_seq, expected_ms, workflow_seq, trigger_rule,
    has_duration, labels, expires_at, deps)
  select seq, type_id, priority, lease_seq + 1, coalesce(expected_ms, duration_ms, 0), workflow_seq,
    trigger_rule, duration_ms is not null, labels, clock_timestamp() + ttl_ms * interval '1 millisecond',
    array(select d.seq from skein.task d
      where d.namespace_id = locked.namespace_id and d.id = any (locked.dependencies))
  from locked order by seq
),
recorded as (
  update skein.task t
  set status = null, lease_seq = k.lease_seq + 1, attempt = 0, node_id = null, started_at = null,
    finished_at = null, error = null, result = null, run_at = null
  from locked k where t.seq = k.seq
),
unlisted as (
  delete from skein.not_completed where seq in (select seq from locked)
)
select ${FENCE_COUNT}, array(select seq from locked)`,
};

const DELETE_INBOX_MANY: Statement = {
  name: 'term-writer.deleteInboxMany',
  text: `
with ${FENCE},
applied as (
  delete from skein.inbox where ${FENCED} and inbox_id = any ($2::bigint[])
)
select ${FENCE_COUNT}`,
};

/** An operator's line; the newest 10,000 are kept. */
const ADD_EVENT: Statement = {
  name: 'term-writer.addEvent',
  text: `
with ${FENCE},
added as (
  insert into skein.event (kind, node_name, term, detail)
  select $2, $3, $1, $4::jsonb where ${FENCED}
  returning event_id
),
forgotten as (
  delete from skein.event where event_id <= (select event_id - 10000 from added)
)
select ${FENCE_COUNT}`,
};

export interface LeasesPersisted {
  readonly seqs: readonly number[];
  readonly leaseSeqs: readonly number[];
}

export class TermWriter {
  private readonly pipeline: Statements;
  private readonly term: number;

  /** The pipeline must be the one fenced-write connection of this node, `statement_timeout` 400 ms. */
  constructor(pipeline: Statements, term: number) {
    this.pipeline = pipeline;
    this.term = term;
  }

  async leaseMany(
    seqs: readonly number[],
    leaseSeqs: readonly number[],
    nodeIds: readonly number[],
  ): Promise<LeasesPersisted> {
    const row = await this.write(LEASE_MANY, [numbers(seqs), numbers(leaseSeqs), numbers(nodeIds)]);
    return { seqs: row[1] as number[], leaseSeqs: row[2] as number[] };
  }

  async skipMany(seqs: readonly number[]): Promise<LeasesPersisted> {
    const row = await this.write(SKIP_MANY, [numbers(seqs)]);
    return { seqs: row[1] as number[], leaseSeqs: row[2] as number[] };
  }

  /** Those that were begun or are held, or whose time is not over, are left alone. */
  async expireMany(seqs: readonly number[]): Promise<LeasesPersisted> {
    const row = await this.write(EXPIRE_MANY, [numbers(seqs)]);
    return { seqs: row[1] as number[], leaseSeqs: row[2] as number[] };
  }

  async cancelMany(
    seqs: readonly number[],
  ): Promise<LeasesPersisted & { readonly markedSeqs: readonly number[] }> {
    const row = await this.write(CANCEL_MANY, [numbers(seqs)]);
    return {
      seqs: row[1] as number[],
      leaseSeqs: row[2] as number[],
      markedSeqs: row[3] as number[],
    };
  }

  async takeBackMany(
    nodeId: number,
    seqs: readonly number[],
    leaseSeqs: readonly number[],
    outcome: 'lost' | 'released',
  ): Promise<{
    readonly seqs: readonly number[];
    readonly nextLeaseSeqs: readonly number[];
    readonly losses: readonly number[];
    readonly cancelledSeqs: readonly number[];
  }> {
    const row = await this.write(TAKE_BACK_MANY, [
      numbers(seqs),
      numbers(leaseSeqs),
      nodeId,
      outcome,
    ]);
    return {
      seqs: row[1] as number[],
      nextLeaseSeqs: row[2] as number[],
      losses: row[3] as number[],
      cancelledSeqs: row[4] as number[],
    };
  }

  /** False where its lease is not over yet by the database's clock, or it was buried before. */
  async buryNode(nodeId: number, isProvenDead: boolean, guardMs: number): Promise<boolean> {
    const row = await this.write(BURY_NODE, [nodeId, isProvenDead, guardMs]);
    return row[1] === 1;
  }

  /** Answers those that were ended and not COMPLETED; the others are left alone. */
  async reviveMany(seqs: readonly number[]): Promise<readonly number[]> {
    const row = await this.write(REVIVE_MANY, [numbers(seqs)]);
    return row[1] as number[];
  }

  async deleteInboxMany(inboxIds: readonly number[]): Promise<void> {
    await this.write(DELETE_INBOX_MANY, [numbers(inboxIds)]);
  }

  async addEvent(
    kind: string,
    nodeName: string,
    detail: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    await this.write(ADD_EVENT, [kind, nodeName, JSON.stringify(detail)]);
  }

  private async write(statement: Statement, values: readonly unknown[]): Promise<Row> {
    const [row] = await this.pipeline.query(statement, [this.term, ...values]);
    if (row?.[0] !== 1) throw new DeposedError();
    return row;
  }
}
