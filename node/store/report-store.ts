import { numbers, texts } from './array-literal.ts';
import type { Statement, Statements } from './pipeline.ts';

/**
 * What runs say of themselves goes into tables of its own, in batches over all runs of a node. No commit
 * waits for the disk: what a crash of the server takes with it is the last moment of some logs, and a log
 * that waits would cost the settles of tasks their place at the disk.
 *
 * The guard is the lease, as with outcomes: it runs (live), it has won (task), or it has ended and was not
 * lost (attempt). What comes under another is kept and marked: a node that is cut off goes on for a while,
 * and what it did then is worth reading. A task that is gone gets nothing.
 */
const HOLDS = `
  exists (
    select from skein.live l where l.seq = s.seq and l.lease_seq = s.lease_seq and l.node_id = $1
  ) or exists (
    select from skein.task w
    where w.seq = s.seq and w.lease_seq = s.lease_seq and w.node_id = $1 and w.status is not null
  ) or exists (
    select from skein.attempt a
    where a.seq = s.seq and a.lease_seq = s.lease_seq and a.node_id = $1 and a.outcome <> 'lost'
  )`;

const QUIET = `quiet as materialized (select set_config('synchronous_commit', 'off', true))`;

const APPEND_LINES: Statement = {
  name: 'report-store.appendLines',
  text: `
with ${QUIET},
said as (
  select * from unnest($2::bigint[], $3::int[], $4::bigint[], $5::smallint[], $6::text[])
    as s (seq, lease_seq, chunk, attempt, lines)
)
insert into skein.log (seq, lease_seq, chunk, attempt, node_id, is_stale, lines)
select s.seq, s.lease_seq, s.chunk, s.attempt, $1, not (${HOLDS}), s.lines
from said s cross join quiet
where exists (select from skein.task t where t.seq = s.seq)
on conflict do nothing`,
};

const SAVE_PROGRESS: Statement = {
  name: 'report-store.saveProgress',
  text: `
with ${QUIET},
said as (
  select * from unnest($2::bigint[], $3::int[], $4::real[], $5::text[])
    as s (seq, lease_seq, fraction, note)
)
insert into skein.progress as p (seq, lease_seq, fraction, note)
select s.seq, s.lease_seq, s.fraction, s.note
from said s cross join quiet
where ${HOLDS}
order by s.seq
on conflict (seq) do update
set lease_seq = excluded.lease_seq, fraction = excluded.fraction, note = excluded.note,
  at = clock_timestamp()
where p.lease_seq <= excluded.lease_seq`,
};

export interface Chunk {
  readonly seq: number;
  readonly leaseSeq: number;
  /** Grows with each chunk of this node; one that is sent twice is kept once. */
  readonly chunk: number;
  readonly attempt: number;
  readonly lines: string;
}

export interface ProgressReport {
  readonly seq: number;
  readonly leaseSeq: number;
  readonly fraction: number;
  readonly note: string | null;
}

export class ReportStore {
  private readonly nodeId: number;
  private readonly session: Statements;

  constructor(nodeId: number, session: Statements) {
    this.nodeId = nodeId;
    this.session = session;
  }

  async appendLines(chunks: readonly Chunk[]): Promise<void> {
    await this.session.query(APPEND_LINES, [
      this.nodeId,
      numbers(chunks.map(({ seq }) => seq)),
      numbers(chunks.map(({ leaseSeq }) => leaseSeq)),
      numbers(chunks.map(({ chunk }) => chunk)),
      numbers(chunks.map(({ attempt }) => attempt)),
      texts(chunks.map(({ lines }) => lines)),
    ]);
  }

  /** Of each task one report at most. */
  async saveProgress(reports: readonly ProgressReport[]): Promise<void> {
    await this.session.query(SAVE_PROGRESS, [
      this.nodeId,
      numbers(reports.map(({ seq }) => seq)),
      numbers(reports.map(({ leaseSeq }) => leaseSeq)),
      numbers(reports.map(({ fraction }) => fraction)),
      texts(reports.map(({ note }) => note)),
    ]);
  }
}
