import type { Clock } from '../base/clock.ts';
import { errors } from '../base/errors.ts';
import type { Session, Statement } from './database.ts';

/** What is left of a transaction whose COMMIT was not answered: one of its rows, and its number. */
export interface CommitTrace {
  readonly seq: number;
  readonly ids: readonly string[];
  readonly xid: string;
}

/**
 * The row proves the commit, but not that it outlives a failover: after a restart a primary shows what
 * no standby has confirmed. So the question writes a word into the log itself, and is answered when
 * that, and all before it, is as safe as any commit. No row proves nothing while the old session is
 * still at it, and a transaction number above the present ones (a server that crashed and forgot it)
 * stands for none.
 */
const CHECK: Statement = {
  name: 'commit-check.check',
  text: `
    select
      case
        when $3::xid8 < pg_snapshot_xmax(pg_current_snapshot()) then pg_xact_status($3::xid8)
      end as status,
      exists (select from skein.task where seq = $1 and id = any($2::text[])) as stored,
      pg_logical_emit_message(true, 'skein', '') as asked`,
};
const TRIES = 20;
const PAUSE_MS = 250;

/**
 * How the COMMIT ended: true for stored, false for rolled back. Throws `database_unavailable` when
 * it cannot be found out within about five seconds; then the client must read before it tries again.
 */
export async function wasCommitted(
  session: Session,
  clock: Clock,
  trace: CommitTrace,
): Promise<boolean> {
  let cause: unknown = new Error('the transaction is still in progress');
  for (let tries = 0; tries < TRIES; tries++) {
    try {
      const [row] = await session.query<{ status: string | null; stored: boolean }>(CHECK, [
        trace.seq,
        trace.ids,
        trace.xid,
      ]);
      if (row?.stored === true) return true;
      if (row?.status === null || row?.status === 'aborted') return false;
    } catch (thrown) {
      cause = thrown;
    }
    await clock.sleep(PAUSE_MS);
  }
  throw errors.databaseUnavailable(cause);
}
