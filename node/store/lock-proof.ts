import { errors } from '../base/errors.ts';

/**
 * The proof that a session is one backend of PostgreSQL and stays it. A pooler in transaction mode
 * lends a backend for each transaction, so a session lock taken through it belongs to nobody: it is
 * stranded, or another client's transaction holds it.
 *
 * Asking for the backend's pid a few times does not find an idle pooler, which lends the same
 * backend again and again. So a second connection opens a transaction meanwhile: a pooler has to
 * lend it the backend that the first one just gave back, and then the first gets another. Direct
 * connections, and poolers in session mode, always pass.
 *
 * The lock of the proof is shared and has a key of its own: it disturbs neither the leader's lock
 * nor the proof of another node at the same moment.
 */
export interface ProvableSession {
  /** Rejects where the answer comes from another backend than the earlier ones. */
  ask(statement: ProofStatement, values: readonly number[]): Promise<object>;
}

export interface ProofStatement {
  readonly name: string;
  readonly text: string;
}

export interface Sibling {
  ask(text: string): Promise<unknown>;
  destroy(): void;
}

/** "SKEN" and the word "prov", apart from the leader's key in the second half. */
const PROOF_KEY = [0x534b_454e, 0x7072_6f76] as const;

const ASKS = 5;

const LOCK_SHARED: ProofStatement = {
  name: 'lock-proof.lock',
  text: `
select pg_backend_pid() as pid, pg_try_advisory_lock_shared($1::int, $2::int) as proven`,
};

const SEE_LOCK: ProofStatement = {
  name: 'lock-proof.see',
  text: `
select pg_backend_pid() as pid,
  exists (
    select from pg_locks
    where locktype = 'advisory'
      and classid = $1::int::oid
      and objid = $2::int::oid
      and objsubid = 2
      and pid = pg_backend_pid()
      and granted
  ) as proven`,
};

const UNLOCK_SHARED: ProofStatement = {
  name: 'lock-proof.unlock',
  text: `
select pg_backend_pid() as pid, pg_advisory_unlock_shared($1::int, $2::int) as proven`,
};

/**
 * @throws AppError `lock_session_unsafe` where the statements of the session reach several
 * backends.
 */
export async function proveSession(
  session: ProvableSession,
  openSibling: () => Promise<Sibling>,
): Promise<void> {
  await proveOrThrow(session, LOCK_SHARED, 'a lock could not be taken');
  const sibling = await openSibling();
  try {
    await sibling.ask('begin');
    await sibling.ask('select pg_backend_pid()');
    for (let asked = 0; asked < ASKS; asked += 1) {
      await proveOrThrow(session, SEE_LOCK, 'a lock that was taken is not held by the backend');
    }
  } finally {
    sibling.destroy();
  }
  await proveOrThrow(session, UNLOCK_SHARED, 'a lock that was taken was not there to be freed');
}

async function proveOrThrow(
  session: ProvableSession,
  statement: ProofStatement,
  fault: string,
): Promise<void> {
  const row = await session.ask(statement, PROOF_KEY);
  if (!('proven' in row) || row.proven !== true) throw errors.lockSessionUnsafe(fault);
}
