import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, openSync, closeSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { Client } from 'pg';
import { systemClock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import {
  accountFor,
  canWrite,
  findBinaries,
  isCode,
  reachableBinaries,
  run,
  serverEnvironment,
} from './embedded-binaries.ts';
import type { Account, Binaries } from './embedded-binaries.ts';
import { withLaunchLock } from './launch-lock.ts';
import { isProcessOf, maybeReadPostmaster, removeIfForeign } from './postmaster-file.ts';

/**
 * A real PostgreSQL out of the npm packages, for one machine: made, started, adopted and stopped.
 *
 * The home folder holds `pgdata`, the password (`password`, 0600), the server's log and the lock of
 * the launchers. Opening it is idempotent: a server that runs already on this data is adopted,
 * whoever started it, so that a launcher that was killed finds its database again, and the database
 * outlives the nodes that drain after Ctrl-C (it is a session of its own, no signal of the terminal
 * reaches it). What runs is judged by connecting, never by log lines or by `pg_ctl status`, which
 * still says "running" a second after a kill -9.
 *
 * Failures and answers:
 *   * kill -9 of the server: the next open starts it again; while the orphans of the old one leave,
 *     the start is refused ("pre-existing shared memory block") and tried again.
 *   * the process number in `postmaster.pid` now belongs to another program (a reboot): the file is
 *     removed, but only after seeing that no process has its home in this data folder.
 *   * the remembered port is taken: another free one, unless the caller named it.
 *   * root: the server runs as the owner of the data, `postgres` or `nobody`; where that account
 *     cannot reach the folder, the data lives below /var/lib/skein and `home` says so.
 *   * the data is of another major release: an error that names both; nothing is touched.
 *
 * It does not promise to outlive the machine's disk, to listen on another address than loopback, or
 * to upgrade data between major releases.
 */
export interface EmbeddedPostgres {
  /** With the password; for nodes of this machine. */
  readonly url: string;
  /** Where the data really lives; another folder than was asked for in the case of root above. */
  readonly home: string;
  readonly port: number;
  /** As the server says it, `18.4`. */
  readonly version: string;
  /** True where it ran already. */
  readonly adopted: boolean;
  /** Ends every session and waits until the server is gone. */
  stop(): Promise<void>;
  /** The same, unless a session whose application_name starts with `skein` is there; says whether. */
  stopIfUnused(): Promise<boolean>;
}

export interface EmbeddedPostgresOptions {
  readonly home: string;
  /** Without it a free one is chosen and kept for the next time. */
  readonly port?: number;
  /** Settings of postgresql.conf that win over the defaults below. */
  readonly settings?: Readonly<Record<string, string | number>>;
  readonly signal?: AbortSignal;
}

/**
 * What is acknowledged must survive a crash of the machine, whatever a settings file or ALTER SYSTEM
 * says: what the command line names wins over both.
 */
const SETTINGS: Readonly<Record<string, string | number>> = {
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  max_connections: 200,
  shared_buffers: '256MB',
  max_wal_size: '2GB',
  timezone: 'UTC',
};

const START_MS = 60_000;
const STOP_MS = 30_000;
const RETRY_MS = 100;
/** A refused start is tried again so often, about 10 s in all: orphans of a killed server leave. */
const STARTS_MAX = 100;
const CONNECT_MS = 2000;

interface Place {
  readonly home: string;
  readonly data: string;
  readonly account: Account;
}

interface Running {
  readonly port: number;
  readonly version: string;
  readonly adopted: boolean;
}

export async function openEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const { signal } = options;
  const found = await findBinaries();
  const place = await prepareHome(path.resolve(options.home));
  return withLaunchLock(place.home, signal, async () => {
    await refuseOtherMajor(place, found);
    const binaries = await reachableBinaries(found, place.account, place.home, signal);
    if (!existsSync(place.data)) await initialise(place, binaries, options);
    const running = await startOrAdopt(place, binaries, options);
    const url = await urlOf(place, running.port);
    return {
      ...running,
      url,
      home: place.home,
      stop: () => withLaunchLock(place.home, undefined, () => stopServer(place)),
      stopIfUnused: () => withLaunchLock(place.home, undefined, () => maybeStop(place, url)),
    };
  });
}

async function prepareHome(wanted: string): Promise<Place> {
  const account = await accountFor(path.join(wanted, 'pgdata'));
  try {
    await makePrivate(wanted, account);
  } catch (error) {
    if (!isCode(error, 'EPERM') && !isCode(error, 'EACCES')) throw error;
    const message = `${wanted} belongs to another user: start as that user, or choose another folder`;
    throw new Error(message, { cause: error });
  }
  if (account.uid === undefined || (await canWrite(wanted, account))) {
    return { home: wanted, data: path.join(wanted, 'pgdata'), account };
  }
  const name = createHash('sha256').update(wanted).digest('hex').slice(0, 16);
  const home = path.join('/var/lib/skein', name);
  const elsewhere = path.join(home, 'pgdata');
  const owner = await accountFor(elsewhere);
  await mkdir('/var/lib/skein', { recursive: true, mode: 0o755 });
  await makePrivate(home, owner);
  if (!(await canWrite(home, owner))) {
    throw new Error(`user ${String(owner.uid)} can write neither ${wanted} nor ${home}`);
  }
  return { home, data: elsewhere, account: owner };
}

async function makePrivate(folder: string, account: Account): Promise<void> {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o700);
  await maybeGive(folder, account);
}

async function maybeGive(file: string, account: Account): Promise<void> {
  if (account.uid !== undefined && account.gid !== undefined) {
    await chown(file, account.uid, account.gid);
  }
}

async function refuseOtherMajor(place: Place, binaries: Binaries): Promise<void> {
  if (!existsSync(place.data)) return;
  const major = (await readFile(path.join(place.data, 'PG_VERSION'), 'utf8')).trim();
  if (major === binaries.major) return;
  throw new Error(
    `${place.data} was made by PostgreSQL ${major}, and this is PostgreSQL ${binaries.major}: ` +
      'move that folder away to start anew, or dump it with the old release first',
  );
}

/** A cluster appears under its final name in one step: an interrupted initdb leaves nothing. */
async function initialise(
  place: Place,
  binaries: Binaries,
  options: EmbeddedPostgresOptions,
): Promise<void> {
  const half = `${place.data}.new`;
  await rm(half, { recursive: true, force: true });
  const passwordFile = path.join(place.home, 'password');
  await rm(passwordFile, { force: true });
  await writeFile(passwordFile, `${randomBytes(18).toString('base64url')}\n`, { mode: 0o600 });
  await maybeGive(passwordFile, place.account);
  const program = path.join(binaries.root, 'bin', 'initdb');
  const made = await run(
    program,
    [
      ...['-D', half, '-U', 'postgres', '-E', 'UTF8', '--no-locale'],
      // Independent of the machine's locales, and stable across upgrades of glibc and ICU.
      ...['--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      ...['--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--no-instructions'],
      ...(options.settings?.['fsync'] === 'off' ? ['--no-sync'] : []),
    ],
    place.account,
    place.home,
    options.signal,
  );
  options.signal?.throwIfAborted();
  if (made.code !== 0) throw new Error(`initdb failed in ${place.home}: ${made.output.trim()}`);
  await rename(half, place.data);
}

async function startOrAdopt(
  place: Place,
  binaries: Binaries,
  options: EmbeddedPostgresOptions,
): Promise<Running> {
  const end = systemClock.monotonicMs() + START_MS;
  let child: ChildProcess | undefined;
  let starts = 0;
  try {
    while (systemClock.monotonicMs() < end && starts < STARTS_MAX) {
      const answer = await probe(place);
      if (answer.kind === 'ours') {
        child = undefined;
        return { port: answer.port, version: answer.version, adopted: starts === 0 };
      }
      if (answer.kind === 'absent' && (child === undefined || hasEnded(child))) {
        await removeIfForeign(place.data);
        child = await spawnServer(place, binaries, options);
        starts += 1;
      }
      await systemClock.sleep(RETRY_MS, options.signal);
    }
  } finally {
    // Given up or interrupted: what was started here is not left behind.
    child?.kill('SIGINT');
  }
  throw new Error(`PostgreSQL did not start; its log ends:\n${await tailOf(place)}`);
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

async function spawnServer(
  place: Place,
  binaries: Binaries,
  options: EmbeddedPostgresOptions,
): Promise<ChildProcess> {
  const port = await choosePort(place, options.port);
  const settings = { ...SETTINGS, ...options.settings, port, listen_addresses: '127.0.0.1' };
  // No unix socket: its path has a limit of 107 bytes, and TCP was the faster for pipelined queries.
  const all = Object.entries({ ...settings, unix_socket_directories: '' });
  const log = path.join(place.home, 'postgres.log');
  const tooLong = existsSync(log) && (await stat(log)).size > 16 * 1024 * 1024;
  const output = openSync(log, tooLong ? 'w' : 'a', 0o600);
  try {
    // Spawned itself, without a shell in between, so that no path needs quoting.
    const child = spawn(
      path.join(binaries.root, 'bin', 'postgres'),
      ['-D', place.data, ...all.flatMap(([name, value]) => ['-c', `${name}=${String(value)}`])],
      {
        ...place.account,
        cwd: place.home,
        env: serverEnvironment(),
        detached: true,
        stdio: ['ignore', output, output],
      },
    );
    child.on('error', () => undefined);
    child.unref();
    return child;
  } finally {
    closeSync(output);
  }
}

/** The port that was named, the one of last time, or any free one. */
async function choosePort(place: Place, wanted: number | undefined): Promise<number> {
  if (wanted !== undefined) {
    if (await isFree(wanted)) return wanted;
    throw new Error(`port ${String(wanted)}, wanted for PostgreSQL, is in use`);
  }
  const file = path.join(place.home, 'port');
  const kept = existsSync(file) ? Number(await readFile(file, 'utf8')) : 0;
  if (kept > 0 && (await isFree(kept))) return kept;
  const port = await listenOnce(0);
  await writeFile(file, `${String(port)}\n`, { mode: 0o600 });
  return port;
}

function isFree(port: number): Promise<boolean> {
  return listenOnce(port).then(
    () => true,
    () => false,
  );
}

/** Listens for a moment, on any free port for 0, and says on which. */
function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  });
}

type Probe =
  | { readonly kind: 'ours'; readonly port: number; readonly version: string }
  /** It starts, recovers or shuts down: look again. */
  | { readonly kind: 'busy' }
  | { readonly kind: 'absent' };

async function probe(place: Place): Promise<Probe> {
  const postmaster = await maybeReadPostmaster(place.data);
  if (postmaster === undefined) return { kind: 'absent' };
  const { port } = postmaster;
  const client = newClient(await urlOf(place, port), 'skein-launcher');
  try {
    await client.connect();
    const answer = await client.query<{ version: string; data: string }>(
      `select current_setting('server_version') as version, current_setting('data_directory') as data`,
    );
    const row = answer.rows[0];
    if (row === undefined || path.resolve(row.data) !== path.resolve(place.data)) {
      return { kind: 'absent' };
    }
    return { kind: 'ours', port, version: row.version };
  } catch (error) {
    const alive = await isProcessOf(postmaster.pid, place.data);
    return { kind: alive || isCode(error, '57P03') ? 'busy' : 'absent' };
  } finally {
    await client.end().catch(() => undefined);
  }
}

function newClient(url: string, applicationName: string): Client {
  const client = new Client({
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: CONNECT_MS,
  });
  // A server that goes away must not end the launcher by an unheard 'error'.
  client.on('error', () => undefined);
  return client;
}

async function urlOf(place: Place, port: number): Promise<string> {
  const password = (await readFile(path.join(place.home, 'password'), 'utf8')).trim();
  return `postgresql://postgres:${password}@127.0.0.1:${String(port)}/postgres`;
}

async function maybeStop(place: Place, url: string): Promise<boolean> {
  const client = newClient(url, 'skein-launcher');
  try {
    await client.connect();
    const answer = await client.query<{ used: boolean }>(
      `select exists (select from pg_stat_activity
                      where application_name like 'skein%' and pid <> pg_backend_pid()) as used`,
    );
    if (answer.rows[0]?.used === true) return false;
  } catch (error) {
    const postmaster = await maybeReadPostmaster(place.data);
    // A server that was killed leaves its file behind, and nothing to stop.
    const lives = postmaster !== undefined && (await isProcessOf(postmaster.pid, place.data));
    if (lives) throw toError(error);
  } finally {
    await client.end().catch(() => undefined);
  }
  await stopServer(place);
  return true;
}

/** A fast shutdown; after 30 s an immediate one, which costs a recovery at the next start. */
async function stopServer(place: Place): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    const postmaster = await maybeReadPostmaster(place.data);
    if (postmaster === undefined) return;
    if (!(await isProcessOf(postmaster.pid, place.data))) return;
    process.kill(postmaster.pid, signal);
    const end = systemClock.monotonicMs() + STOP_MS;
    while (systemClock.monotonicMs() < end) {
      if ((await maybeReadPostmaster(place.data))?.pid !== postmaster.pid) return;
      if (!(await isProcessOf(postmaster.pid, place.data))) return;
      await systemClock.sleep(RETRY_MS / 4);
    }
  }
  throw new Error(`PostgreSQL in ${place.home} does not stop`);
}

async function tailOf(place: Place): Promise<string> {
  const log = path.join(place.home, 'postgres.log');
  if (!existsSync(log)) return '(no log)';
  return (await readFile(log, 'utf8')).trimEnd().split('\n').slice(-8).join('\n');
}
