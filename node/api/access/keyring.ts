import { isSecret, maybeApiKey, sha256Of } from '../../base/api-key.ts';
import { Batcher } from '../../base/batcher.ts';
import type { Clock } from '../../base/clock.ts';
import { errors, toError } from '../../base/errors.ts';
import type { Caller } from '../../core/access.ts';
import type { KeyRecord } from '../../store/key-store.ts';
import type { KeysPort, LogPort } from '../ports.ts';

/**
 * Whose key it is, mostly without asking PostgreSQL: what was read of a key holds for `FRESH_MS`, and so
 * a key that is revoked or expires is refused everywhere within that time. Keys that are used all the
 * time cost one statement in it, all together.
 *
 *   text ──▶ id, secret ──▶ what is known of the id ──▶ compare the hash ──▶ Caller
 *                              └ older than FRESH_MS: read it, with all others that wait
 *
 * Failures. While PostgreSQL cannot be reached, a key that this node knows goes on for `STALE_MS`: nothing
 * but the metrics of this process could be had by it meanwhile. A key that it does not know is answered
 * 503, and never let in.
 *
 * What it does not promise: that a call which began before a revoke is ended by it.
 */
const FRESH_MS = 2000;
const STALE_MS = 5 * 60_000;
/** Ids that are known, or known not to exist. Beyond, those that were read first are forgotten. */
const KNOWN_MAX = 10_000;
const LOOKUPS_MAX = 500;
const LOOKUPS_WAITING_MAX = 5000;
const TOUCH_MS = 60_000;

interface Known {
  /** Null: there is no such key. */
  readonly record: KeyRecord | null;
  readonly readMs: number;
}

export interface KeyringDeps {
  readonly clock: Clock;
  readonly log: LogPort;
  readonly keys: Pick<KeysPort, 'findMany' | 'touchMany'>;
}

export class Keyring {
  readonly #deps: KeyringDeps;
  readonly #known = new Map<string, Known>();
  readonly #lookups: Batcher<string, Known>;
  /** When each key that was used was last told to be. */
  readonly #touched = new Map<string, number>();

  constructor(deps: KeyringDeps) {
    this.#deps = deps;
    this.#lookups = new Batcher({
      run: (keyIds) => this.#readMany(keyIds),
      batchSizeMax: LOOKUPS_MAX,
      queueSizeMax: LOOKUPS_WAITING_MAX,
    });
  }

  /** Null for what is no valid key. Throws where nobody can tell now. */
  async callerOf(text: string): Promise<Caller | null> {
    const key = maybeApiKey(text);
    if (key === null) return null;
    const known = await this.#find(key.keyId);
    // An id that does not exist takes as long as one that does.
    const isRight = isSecret(key.secret, known.record?.secretSha256 ?? NO_SECRET);
    const { record } = known;
    if (record === null || !isRight || !this.#isValid(record, known.readMs)) return null;
    this.#maybeTouch(record.keyId);
    const { name, role, namespaceId, keyId } = record;
    return { name, role, namespaceId, keyId };
  }

  async #find(keyId: string): Promise<Known> {
    const known = this.#known.get(keyId);
    const nowMs = this.#deps.clock.monotonicMs();
    if (known !== undefined && nowMs - known.readMs < FRESH_MS) return known;
    try {
      return await this.#lookups.add(keyId);
    } catch (thrown) {
      if (known?.record && nowMs - known.readMs < STALE_MS) return known;
      throw thrown;
    }
  }

  async #readMany(keyIds: readonly string[]): Promise<readonly Known[]> {
    const { clock, keys } = this.#deps;
    // What was true when it was read may have changed while the answer travelled.
    const readMs = clock.monotonicMs();
    const records = await keys.findMany([...new Set(keyIds)]);
    const byId = new Map(records.map((record) => [record.keyId, record]));
    return keyIds.map((keyId) => {
      const known: Known = { record: byId.get(keyId) ?? null, readMs };
      this.#known.delete(keyId);
      this.#known.set(keyId, known);
      for (const oldest of this.#known.keys()) {
        if (this.#known.size <= KNOWN_MAX) break;
        this.#known.delete(oldest);
      }
      return known;
    });
  }

  #isValid({ isValid, expiresInMs }: KeyRecord, readMs: number): boolean {
    const leftMs = expiresInMs ?? Infinity;
    return isValid && this.#deps.clock.monotonicMs() - readMs < leftMs;
  }

  /** Says at most once a minute that a key is used, and lets nobody wait for it. */
  #maybeTouch(keyId: string): void {
    const { clock, keys, log } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (nowMs - (this.#touched.get(keyId) ?? -Infinity) < TOUCH_MS) return;
    if (this.#touched.size > KNOWN_MAX) this.#touched.clear();
    this.#touched.set(keyId, nowMs);
    keys.touchMany([keyId]).catch((thrown: unknown) => {
      log.info('That a key was used could not be noted.', {
        key_id: keyId,
        error: toError(thrown).message,
      });
    });
  }
}

const NO_SECRET = sha256Of('');

/** The key of a bearer header; null without one. Throws for a header that is none. */
export function bearerOf(header: string | undefined): string | null {
  if (header === undefined) return null;
  const [, text] = /^Bearer +(\S+) *$/i.exec(header) ?? [];
  if (text === undefined) throw errors.unauthenticated('the Authorization header is no Bearer key');
  return text;
}
