import { Client } from 'pg';
import type { DatabaseFacts } from '../core/diagnosis.ts';

/**
 * What `skein doctor` asks a database: facts alone, by one session that changes nothing. It works with
 * any role that may connect, and before the tables exist.
 */
const ANSWER_MS = 5000;

const SETTINGS = [
  ...['fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum', 'track_counts'],
  ...['default_transaction_read_only', 'default_transaction_isolation'],
  ...['idle_session_timeout', 'idle_in_transaction_session_timeout'],
  ...['statement_timeout', 'transaction_timeout', 'lock_timeout'],
];

const SERVER = `
  select current_setting('server_version_num')::int as version_number,
    current_setting('server_version') as version,
    pg_encoding_to_char(d.encoding) as encoding,
    pg_is_in_recovery() as is_standby,
    r.rolname as role,
    r.rolsuper as is_superuser,
    r.rolconnlimit as role_limit,
    has_database_privilege(d.oid, 'create') as can_create_schema,
    d.datconnlimit as database_limit,
    current_setting('max_connections')::int as max_connections,
    current_setting('superuser_reserved_connections')::int
      + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved,
    (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as used
  from pg_database as d, pg_roles as r
  where d.datname = current_database() and r.rolname = current_user`;

const SCHEMA = `
  select has_schema_privilege(n.oid, 'usage') as can_use,
    has_schema_privilege(n.oid, 'create') as can_create
  from pg_namespace as n
  where n.nspname = 'skein'`;

const TABLES = `
  select c.relname as name,
    pg_has_role(c.relowner, 'usage') as is_own,
    array_remove(array[
      case when not has_table_privilege(c.oid, 'select') then 'select' end,
      case when not has_table_privilege(c.oid, 'insert') then 'insert' end,
      case when not has_table_privilege(c.oid, 'update') then 'update' end,
      case when not has_table_privilege(c.oid, 'delete') then 'delete' end
    ], null) as lacking
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where n.nspname = 'skein' and c.relkind in ('r', 'p')
  order by c.relname`;

const NODES = `
  select name, version
  from skein.node
  where state in ('alive', 'draining') and lease_until > clock_timestamp()
  order by name`;

interface ServerRow {
  readonly version_number: number;
  readonly version: string;
  readonly encoding: string;
  readonly is_standby: boolean;
  readonly role: string;
  readonly is_superuser: boolean;
  readonly role_limit: number;
  readonly can_create_schema: boolean;
  readonly database_limit: number;
  readonly max_connections: number;
  readonly reserved: number;
  readonly used: number;
}

export interface Now {
  /** Of this machine, since 1970. */
  wallMs(): number;
  monotonicMs(): number;
}

/** Throws what the driver throws where the database cannot be reached or does not answer. */
export async function checkUp(databaseUrl: string, now: Now): Promise<DatabaseFacts> {
  const client = new Client({
    connectionString: databaseUrl,
    application_name: 'skein/doctor',
    connectionTimeoutMillis: ANSWER_MS,
    query_timeout: ANSWER_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await ask(client, now);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function ask(client: Client, now: Now): Promise<DatabaseFacts> {
  const clock = await clockOf(client, now);
  const [server] = (await client.query<ServerRow>(SERVER)).rows;
  if (server === undefined) throw new Error('the server did not say what it is');
  const settings = await client.query<{ name: string; setting: string }>(
    'select name, setting from pg_settings where name = any($1)',
    [SETTINGS],
  );
  const schema = await schemaOf(client);
  const nodes = schema.lacking.some((each) => each.startsWith('node:')) || !schema.canUse;
  return {
    versionNumber: server.version_number,
    version: server.version,
    encoding: server.encoding,
    isStandby: server.is_standby,
    role: {
      name: server.role,
      isSuperuser: server.is_superuser,
      canCreateSchema: server.can_create_schema,
      connectionLimit: server.role_limit,
    },
    schema,
    settings: Object.fromEntries(settings.rows.map(({ name, setting }) => [name, setting])),
    connections: {
      max: server.max_connections,
      reserved: server.reserved,
      used: server.used,
      limit: server.database_limit,
    },
    clock,
    nodes: nodes || !schema.hasNodes ? [] : (await client.query<NodeRow>(NODES)).rows,
  };
}

interface NodeRow {
  readonly name: string;
  readonly version: string;
}

async function schemaOf(
  client: Client,
): Promise<DatabaseFacts['schema'] & { readonly hasNodes: boolean }> {
  const [schema] = (await client.query<{ can_use: boolean; can_create: boolean }>(SCHEMA)).rows;
  const { rows } = await client.query<{ name: string; is_own: boolean; lacking: string[] }>(TABLES);
  return {
    exists: schema !== undefined,
    canUse: schema?.can_use ?? false,
    canCreate: schema?.can_create ?? false,
    lacking: rows.flatMap(({ name, lacking }) =>
      lacking.length === 0 ? [] : [`${name}: ${lacking.join(', ')}`],
    ),
    foreign: rows.flatMap(({ name, is_own: isOwn }) => (isOwn ? [] : [name])),
    hasNodes: rows.some(({ name }) => name === 'node'),
  };
}

/** The best of a few: the shorter the way there and back, the less it can hide. */
async function clockOf(client: Client, now: Now): Promise<DatabaseFacts['clock']> {
  let best = { skewMs: 0, roundTripMs: Number.POSITIVE_INFINITY };
  for (let asked = 0; asked < 5; asked += 1) {
    const [wallMs, sentMs] = [now.wallMs(), now.monotonicMs()];
    const { rows } = await client.query<{ ms: number }>(
      'select extract(epoch from clock_timestamp())::float8 * 1000 as ms',
    );
    const roundTripMs = now.monotonicMs() - sentMs;
    const skewMs = wallMs + roundTripMs / 2 - (rows[0]?.ms ?? 0);
    if (roundTripMs < best.roundTripMs) best = { skewMs, roundTripMs };
  }
  return best;
}
