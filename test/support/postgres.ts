import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { openEmbeddedPostgres } from '../../node/store/embedded-postgres.ts';
import { migrate } from '../../node/store/migrate.ts';
import { guard } from './guard.ts';

/**
 * One PostgreSQL for the whole run of mocha, started by the first test that wants a database, and
 * one migrated template in it, of which every test gets a copy of its own (about 20 ms).
 * SKEIN_TEST_DATABASE_URL names a server to use instead; its user must be able to create databases.
 */
export interface TestDatabase {
  readonly url: string;
  /** Ends every session on it and removes it. */
  drop(): Promise<void>;
}

interface Server {
  readonly admin: Client;
  readonly url: string;
  readonly template: string;
  stop(): Promise<void>;
}

let server: Promise<Server> | undefined;
let databases = 0;
/** Names stay apart where several runs share one server. */
const RUN = `skein_test_${String(process.pid)}_${Date.now().toString(36)}`;

const STOP_AND_REMOVE = `
  pid=$(head -n 1 "$1/pgdata/postmaster.pid" 2>/dev/null) || exit 0
  kill -INT "$pid"
  for i in $(seq 100); do [ -e "$1/pgdata/postmaster.pid" ] || break; sleep 0.1; done
  rm -rf "$1"`;

/** A database with the tables of Skein, empty. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const { template } = await startedServer();
  return createDatabase(`template ${template}`);
}

/** A database without any table, for tests of the migrations. */
export function createEmptyDatabase(): Promise<TestDatabase> {
  return createDatabase('template template0');
}

/** Called once when the run ends, whatever happened in it. */
export async function stopTestServer(): Promise<void> {
  const started = server;
  server = undefined;
  if (started === undefined) return;
  // A server that never came up has failed its tests already.
  const running = await started.catch(() => undefined);
  await running?.stop();
}

async function createDatabase(how: string): Promise<TestDatabase> {
  const { admin, url } = await startedServer();
  databases += 1;
  const name = `${RUN}_${String(databases)}`;
  await admin.query(`create database ${name} ${how}`);
  return {
    url: withDatabase(url, name),
    drop: async () => {
      await admin.query(`drop database if exists ${name} with (force)`);
    },
  };
}

function startedServer(): Promise<Server> {
  server ??= startServer();
  return server;
}

async function startServer(): Promise<Server> {
  const external = process.env['SKEIN_TEST_DATABASE_URL'];
  const { url, stop } = external === undefined ? await startEmbedded() : { url: external };
  const admin = new Client({ connectionString: url, application_name: 'test-admin' });
  await admin.connect();
  const template = `${RUN}_template`;
  await admin.query(`create database ${template} template template0`);
  await migrate({ databaseUrl: withDatabase(url, template) });
  return {
    admin,
    url,
    template,
    stop: async () => {
      if (stop === undefined) await admin.query(`drop database ${template} with (force)`);
      await admin.end();
      await stop?.();
    },
  };
}

/** A PostgreSQL of its own, for whoever shares one between several runs of mocha. */
export async function startEmbedded(
  settings: Readonly<Record<string, string | number>> = {},
): Promise<{ readonly url: string; readonly home: string; readonly stop: () => Promise<void> }> {
  const home = await mkdtemp(path.join(tmpdir(), 'skein-test-'));
  const embedded = await openEmbeddedPostgres({
    home,
    settings: {
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      max_connections: 300,
      shared_buffers: '128MB',
      ...settings,
    },
  }).catch(async (error: unknown) => {
    await rm(home, { recursive: true, force: true });
    throw error;
  });
  const watch = guard(STOP_AND_REMOVE, [embedded.home]);
  return {
    url: embedded.url,
    home: embedded.home,
    stop: async () => {
      await embedded.stop();
      await rm(embedded.home, { recursive: true, force: true });
      watch.takeBack();
    },
  };
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}
