import type { AuditEntry } from '../core/audit.ts';
import type { Session, Statement } from './database.ts';

/** The audit log: rows are added and completed, never changed otherwise, and removed by age alone. */
export interface AuditRecord extends AuditEntry {
  readonly auditId: number;
  readonly at: Date;
  readonly status: number | null;
  /** JSON text; null for none. */
  readonly detail: string | null;
}

export interface AuditQuery {
  readonly actor: string | null;
  readonly action: string | null;
  readonly target: string | null;
  readonly limit: number;
  readonly before: number | null;
}

const BEGIN: Statement = {
  name: 'audit-log.begin',
  text: `
    insert into skein.audit (is_submit, actor, key_id, address, action, target, request_id)
    values (false, $1, $2, $3, $4, $5, $6)
    returning audit_id`,
};

const FINISH: Statement = {
  name: 'audit-log.finish',
  text: `update skein.audit set status = $2, detail = $3::json where audit_id = $1`,
};

const LIST: Statement = {
  name: 'audit-log.list',
  text: `
    select audit_id, at, actor, key_id, address, action, target, status, detail::text, request_id
    from skein.audit
    where ($1::bigint is null or audit_id < $1)
      and ($2::text is null or actor = $2)
      and ($3::text is null or action = $3)
      and ($4::text is null or target = $4)
    order by audit_id desc
    limit $5`,
};

/** Removed by one statement: it must not hold locks for long. */
const SWEPT_MAX = 5000;

const SWEEP: Statement = {
  name: 'audit-log.sweep',
  text: `
    delete from skein.audit
    where audit_id in (
      select audit_id from skein.audit
      where is_submit = $1 and at < clock_timestamp() - $2::float8 * interval '1 day'
      order by at
      limit ${String(SWEPT_MAX)}
      for update skip locked
    )
    returning 1`,
};

interface AuditRow {
  readonly audit_id: number;
  readonly at: Date;
  readonly actor: string;
  readonly key_id: string | null;
  readonly address: string;
  readonly action: string;
  readonly target: string | null;
  readonly status: number | null;
  readonly detail: string | null;
  readonly request_id: string;
}

export class AuditLog {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Before the change: answers the number of the row. */
  async begin({ actor, keyId, address, action, target, requestId }: AuditEntry): Promise<number> {
    const values = [actor, keyId, address, action, target, requestId];
    const [row] = await this.#session.query<{ audit_id: number }>(BEGIN, values);
    if (row === undefined) throw new Error('an insert returned no row');
    return row.audit_id;
  }

  async finish(auditId: number, status: number, detail: string | null): Promise<void> {
    await this.#session.query(FINISH, [auditId, status, detail]);
  }

  /** The newest first. */
  async list({
    actor,
    action,
    target,
    limit,
    before,
  }: AuditQuery): Promise<readonly AuditRecord[]> {
    const values = [before, actor, action, target, limit];
    const rows = await this.#session.query<AuditRow>(LIST, values);
    return rows.map((row) => ({
      ...{ auditId: row.audit_id, at: row.at, actor: row.actor, keyId: row.key_id },
      ...{ address: row.address, action: row.action, target: row.target, status: row.status },
      ...{ detail: row.detail, requestId: row.request_id },
    }));
  }

  /** Removes what is too old, a portion at a time; true where more may be left. */
  async sweep(keptDays: { readonly changes: number; readonly submits: number }): Promise<boolean> {
    let isMore = false;
    for (const [isSubmit, days] of [
      [false, keptDays.changes],
      [true, keptDays.submits],
    ] as const) {
      const gone = await this.#session.query(SWEEP, [isSubmit, days]);
      isMore ||= gone.length === SWEPT_MAX;
    }
    return isMore;
  }
}
