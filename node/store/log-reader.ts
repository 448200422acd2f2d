import type { Session, Statement } from './database.ts';

/** What runs of a task have said, in the order of their leases, a page at a time. */
const READ_CHUNKS: Statement = {
  name: 'log-reader.read',
  text: `
    select c.lease_seq, c.chunk, c.attempt, n.name as node, c.at, c.is_stale, c.lines
    from skein.log c
    left join skein.node n on n.node_id = c.node_id
    where c.seq = $1 and (c.lease_seq, c.chunk) > ($2::int, $3::bigint)
      and ($4::smallint is null or c.attempt = $4)
    order by c.lease_seq, c.chunk
    limit 16`,
};

export interface LogPosition {
  readonly leaseSeq: number;
  readonly chunk: number;
}

export interface LogRecord {
  readonly at: Date;
  readonly attempt: number;
  readonly leaseSeq: number;
  readonly node: string | null;
  readonly level: string;
  readonly message: string;
  /** JSON text. */
  readonly fields: string | null;
  /** It came when the lease was over. */
  readonly isStale: boolean;
}

export interface LogPage {
  readonly records: readonly LogRecord[];
  /** Of the last chunk; where the page is empty, what was asked for. */
  readonly next: LogPosition;
}

interface ChunkRow {
  readonly lease_seq: number;
  readonly chunk: number;
  readonly attempt: number;
  readonly node: string | null;
  readonly at: Date;
  readonly is_stale: boolean;
  readonly lines: string;
}

export class LogReader {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async read(seq: number, after: LogPosition, attempt: number | null): Promise<LogPage> {
    const { leaseSeq, chunk } = after;
    const rows = await this.#session.query<ChunkRow>(READ_CHUNKS, [seq, leaseSeq, chunk, attempt]);
    const last = rows.at(-1);
    return {
      records: rows.flatMap(recordsOf),
      next: last === undefined ? after : { leaseSeq: last.lease_seq, chunk: last.chunk },
    };
  }
}

type StoredLine = readonly [agoMs: number, level: string, message: string, fields: string | null];

function recordsOf(row: ChunkRow): LogRecord[] {
  return row.lines.split('\n').map((text) => {
    const [agoMs, level, message, fields] = JSON.parse(text) as StoredLine;
    return {
      ...{ at: new Date(row.at.getTime() - agoMs), attempt: row.attempt, leaseSeq: row.lease_seq },
      ...{ node: row.node, level, message, fields, isStale: row.is_stale },
    };
  });
}
