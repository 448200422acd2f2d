import type { Once, OnceAnswer } from '../core/submission.ts';
import type { Session, Statement } from './database.ts';

/**
 * Answers to submits that carried an Idempotency-Key. The row is written in the transaction of the
 * submit itself, so that there is one exactly where the tasks are; another submit of the same key waits
 * for that transaction at the index, and then finds the answer. A submit without a key touches none of
 * this.
 */
const KEPT_HOURS = 24;
/** Rows that one sweep removes at most; the next comes with a later submit. */
const SWEPT_MAX = 1000;

/** A key whose time is over may be taken anew. */
const CLAIM: Statement = {
  name: 'idempotency.claim',
  text: `
    insert into skein.idempotency_key as k (key, fingerprint, answer, location)
    values ($1, $2, $3, $4)
    on conflict (namespace_id, key) do update
    set fingerprint = excluded.fingerprint, answer = excluded.answer,
      location = excluded.location, created_at = clock_timestamp()
    where k.created_at < clock_timestamp() - interval '${String(KEPT_HOURS)} hours'
    returning true as claimed`,
};

const FIND: Statement = {
  name: 'idempotency.find',
  text: `
    select fingerprint, answer, location
    from skein.idempotency_key
    where namespace_id = 0 and key = $1
      and created_at >= clock_timestamp() - interval '${String(KEPT_HOURS)} hours'`,
};

const SWEEP: Statement = {
  name: 'idempotency.sweep',
  text: `
    delete from skein.idempotency_key
    where (namespace_id, key) in (
      select namespace_id, key from skein.idempotency_key
      where created_at < clock_timestamp() - interval '${String(KEPT_HOURS)} hours'
      order by created_at
      limit ${String(SWEPT_MAX)}
      for update skip locked
    )`,
};

interface KeyRow {
  readonly fingerprint: string;
  readonly answer: string;
  readonly location: string | null;
}

/** In the transaction of the submit; false where the key is taken. */
export async function tryClaimKey(session: Session, once: Once): Promise<boolean> {
  const { key, fingerprint, answer } = once;
  const values = [key, fingerprint, answer.text, answer.location];
  return (await session.query(CLAIM, values)).length === 1;
}

/** The answer that the key has had; `key-reused` where it was to something else, null for none. */
export async function findAnswer(
  session: Session,
  { key, fingerprint }: Once,
): Promise<
  | { readonly kind: 'replayed'; readonly answer: OnceAnswer }
  | { readonly kind: 'key-reused' }
  | null
> {
  const [row] = await session.query<KeyRow>(FIND, [key]);
  if (row === undefined) return null;
  if (row.fingerprint !== fingerprint) return { kind: 'key-reused' };
  return { kind: 'replayed', answer: { text: row.answer, location: row.location } };
}

export async function sweepKeys(session: Session): Promise<void> {
  await session.query(SWEEP);
}
