import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import { Client } from 'pg';

/**
 * Brings a database up to the tables that this release wants. Whichever node comes first does it,
 * the others wait for it under node-pg-migrate's advisory lock and find nothing left to do. All that
 * is pending runs in one transaction: it is applied whole or not at all.
 *
 * The files are plain SQL, `NNNN_name.sql`, and are never edited once released.
 */
export interface Migrated {
  /** The files that were applied by this call; none where another was quicker. */
  readonly applied: readonly string[];
  /** `180004` for 18.4. */
  readonly serverVersion: number;
}

export interface MigrateOptions {
  readonly databaseUrl: string;
  readonly signal?: AbortSignal;
}

/** PostgreSQL 16 or newer, as `server_version_num` has it. */
const OLDEST = 160_000;
const CONNECT_MS = 10_000;
/** Waiting for another node's migration included. */
const STATEMENT_MS = 10 * 60_000;
const FOLDER = fileURLToPath(new URL('./migrations', import.meta.url));

/** Throws for a server older than 16, one that cannot be reached, and a migration that fails. */
export async function migrate(options: MigrateOptions): Promise<Migrated> {
  const { signal } = options;
  signal?.throwIfAborted();
  const client = new Client({
    connectionString: options.databaseUrl,
    application_name: 'skein/migrate',
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: STATEMENT_MS,
  });
  let broken: Error | undefined;
  client.on('error', (error) => {
    broken = error;
  });
  const onAbort = (): void => {
    void client.end().catch(() => undefined); // The query in flight then rejects; that is the news.
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await client.connect();
    const serverVersion = await versionOrThrow(client);
    const applied = await runner({
      dbClient: client,
      dir: FOLDER,
      direction: 'up',
      migrationsSchema: 'skein',
      createMigrationsSchema: true,
      migrationsTable: 'migration',
      advisoryLockMode: 'wait',
      singleTransaction: true,
      log: () => undefined,
    });
    return { applied: applied.map((m) => m.name), serverVersion };
  } catch (error) {
    signal?.throwIfAborted();
    throw broken ?? error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await client.end().catch(() => undefined);
  }
}

async function versionOrThrow(client: Client): Promise<number> {
  const answer = await client.query<{ number: number; text: string }>(
    `select current_setting('server_version_num')::int as number,
            current_setting('server_version') as text`,
  );
  const row = answer.rows[0];
  if (row !== undefined && row.number >= OLDEST) return row.number;
  throw new Error(`PostgreSQL 16 or newer is needed, and this one is ${row?.text ?? 'unknown'}`);
}
