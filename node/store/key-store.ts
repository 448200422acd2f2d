import type { Role } from '../core/access.ts';
import type { Session, Statement } from './database.ts';

/** The keys of the API as PostgreSQL keeps them: never their secrets, of which there is the hash alone. */
export interface KeyRecord {
  readonly keyId: string;
  readonly name: string;
  readonly role: Role;
  /** Null for all. */
  readonly namespaceId: number | null;
  readonly namespace: string | null;
  readonly secretSha256: Buffer;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  readonly lastUsedAt: Date | null;
  /** By the clock of the database: neither revoked nor expired. */
  readonly isValid: boolean;
  /** Until it expires, by that clock; null where it does not. */
  readonly expiresInMs: number | null;
}

export interface NewKey {
  readonly keyId: string;
  readonly name: string;
  readonly role: Role;
  /** Null for all. */
  readonly namespace: string | null;
  readonly secretSha256: Buffer;
  readonly createdBy: string;
  /** Milliseconds from now; null for a key that does not expire. */
  readonly lifeMs: number | null;
}

const COLUMNS = `k.key_id, k.name, k.role, k.namespace_id, n.name as namespace, k.secret_sha256,
      k.created_at, k.created_by, k.expires_at, k.revoked_at, k.last_used_at,
      k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp()) as is_valid,
      (extract(epoch from k.expires_at - clock_timestamp()) * 1000)::float8 as expires_in_ms`;

const FIND: Statement = {
  name: 'key-store.find',
  text: `
    select ${COLUMNS}
    from skein.api_key k left join skein.namespace n on n.namespace_id = k.namespace_id
    where k.key_id = any($1::text[])`,
};

const LIST: Statement = {
  name: 'key-store.list',
  text: `
    select ${COLUMNS}
    from skein.api_key k left join skein.namespace n on n.namespace_id = k.namespace_id
    order by k.created_at desc, k.key_id
    limit $1`,
};

/** Nothing where the namespace does not exist. */
const CREATE: Statement = {
  name: 'key-store.create',
  text: `
    with k as (
      insert into skein.api_key (key_id, name, role, namespace_id, secret_sha256, created_by,
        expires_at)
      select $1, $2, $3, n.namespace_id, $5, $6,
        clock_timestamp() + $7::float8 * interval '1 millisecond'
      from (select 1) as one left join skein.namespace n on n.name = $4
      where $4::text is null or n.namespace_id is not null
      returning *
    )
    select ${COLUMNS} from k left join skein.namespace n on n.namespace_id = k.namespace_id`,
};

const REVOKE: Statement = {
  name: 'key-store.revoke',
  text: `
    with k as (
      update skein.api_key set revoked_at = coalesce(revoked_at, clock_timestamp())
      where key_id = $1
      returning *
    )
    select ${COLUMNS} from k left join skein.namespace n on n.namespace_id = k.namespace_id`,
};

const TOUCH: Statement = {
  name: 'key-store.touch',
  text: `
    update skein.api_key
    set last_used_at = clock_timestamp()
    where key_id = any($1::text[])
      and (last_used_at is null or last_used_at < clock_timestamp() - interval '50 seconds')`,
};

const HAS_ANY: Statement = {
  name: 'key-store.has-any',
  text: `select exists (select from skein.api_key) as found`,
};

interface KeyRow {
  readonly key_id: string;
  readonly name: string;
  readonly role: Role;
  readonly namespace_id: number | null;
  readonly namespace: string | null;
  readonly secret_sha256: Buffer;
  readonly created_at: Date;
  readonly created_by: string;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
  readonly last_used_at: Date | null;
  readonly is_valid: boolean;
  readonly expires_in_ms: number | null;
}

/** Keys that one call lists; a cluster has a few dozen. */
const LISTED_MAX = 1000;

export class KeyStore {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** All that exist of these, in no order. */
  async findMany(keyIds: readonly string[]): Promise<readonly KeyRecord[]> {
    const rows = await this.#session.query<KeyRow>(FIND, [keyIds]);
    return rows.map(toRecord);
  }

  /** The newest first, those that are not valid any more among them. */
  async list(): Promise<readonly KeyRecord[]> {
    return (await this.#session.query<KeyRow>(LIST, [LISTED_MAX])).map(toRecord);
  }

  /** Null where there is no such namespace. */
  async tryCreate(key: NewKey): Promise<KeyRecord | null> {
    const { keyId, name, role, namespace, secretSha256, createdBy, lifeMs } = key;
    const values = [keyId, name, role, namespace, secretSha256, createdBy, lifeMs];
    const [row] = await this.#session.query<KeyRow>(CREATE, values);
    return row === undefined ? null : toRecord(row);
  }

  /** Null where there is none; one that was revoked before stays as it was. */
  async tryRevoke(keyId: string): Promise<KeyRecord | null> {
    const [row] = await this.#session.query<KeyRow>(REVOKE, [keyId]);
    return row === undefined ? null : toRecord(row);
  }

  /** Notes that they were used just now. */
  async touchMany(keyIds: readonly string[]): Promise<void> {
    await this.#session.query(TOUCH, [keyIds]);
  }

  /** Whether anybody ever made one. */
  async hasAny(): Promise<boolean> {
    const [row] = await this.#session.query<{ found: boolean }>(HAS_ANY);
    return row?.found === true;
  }
}

function toRecord(row: KeyRow): KeyRecord {
  return {
    keyId: row.key_id,
    name: row.name,
    role: row.role,
    namespaceId: row.namespace_id,
    namespace: row.namespace,
    secretSha256: row.secret_sha256,
    createdAt: row.created_at,
    createdBy: row.created_by,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
    isValid: row.is_valid,
    expiresInMs: row.expires_in_ms,
  };
}
