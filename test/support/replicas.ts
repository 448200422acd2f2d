import { execFile } from 'node:child_process';
import { readFile, readdir, rm, writeFile, mkdir, mkdtemp, chown, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { systemClock } from '../../node/base/clock.ts';
import { openEmbeddedPostgres } from '../../node/store/embedded-postgres.ts';
import type { EmbeddedPostgres } from '../../node/store/embedded-postgres.ts';
import { guard } from './guard.ts';
import { createTcpProxy } from './tcp-proxy.ts';
import type { TcpProxy } from './tcp-proxy.ts';

/**
 * Two real servers, one the streaming standby of the other, which a test may kill, freeze and promote.
 * The standby is a cold copy of the primary's stopped data, for the packages bring no pg_basebackup.
 */
export interface Replica {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Of the server process, which leads all its others. */
  pid(): Promise<number>;
  /** All processes of the server, at once: SIGSTOP, SIGCONT, SIGKILL. */
  signalAll(signal: NodeJS.Signals): Promise<void>;
  /** One statement on a connection of its own. */
  ask<Row>(text: string): Promise<Row[]>;
}

export interface Replicas {
  readonly primary: Replica;
  readonly standby: Replica;
  /** From the standby to the primary: paused, the standby falls behind; cut, it has lost the tail. */
  readonly replication: TcpProxy;
  /** From now on no commit is answered before the standby has it on its disk. */
  makeSynchronous(): Promise<void>;
  /** Until everything that the primary has written was applied by the standby. */
  untilCaughtUp(): Promise<void>;
  /** Makes the standby a primary; its timeline is the next. */
  promote(): Promise<void>;
  /** Wakes, ends and removes both. */
  stop(): Promise<void>;
}

const PATIENCE_MS = 30_000;
const LOOK_MS = 25;
/** Durable enough for kill -9 of the server, which leaves the machine's memory alone. */
const SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: 200,
  shared_buffers: '64MB',
  max_wal_senders: 5,
};
const END_AND_REMOVE = `
  for home in "$1" "$2"; do
    pid=$(head -n 1 "$home/pgdata/postmaster.pid" 2>/dev/null) || continue
    for one in $pid $(ps -o pid= --ppid "$pid"); do kill -CONT "$one"; done
    kill -QUIT "$pid"
    for i in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  done
  rm -rf "$1" "$2"`;

/** `prepare` fills the primary before it is copied. */
export async function startReplicas(
  prepare: (url: string) => Promise<unknown> = () => Promise.resolve(),
): Promise<Replicas> {
  const first = await mkdtemp(path.join(tmpdir(), 'skein-primary-'));
  const second = await mkdtemp(path.join(tmpdir(), 'skein-standby-'));
  const opened: EmbeddedPostgres[] = [];
  const watch = guard(END_AND_REMOVE, [first, second]);
  let replication: TcpProxy | undefined;
  const stop = async (): Promise<void> => {
    await replication?.close();
    for (const server of opened) {
      await signalAll(server, 'SIGCONT');
      await server.stop();
      await rm(server.home, { recursive: true, force: true });
    }
    await Promise.all(
      [first, second].map((folder) => rm(folder, { recursive: true, force: true })),
    );
    watch.takeBack();
  };
  try {
    const original = await openEmbeddedPostgres({ home: first, settings: SETTINGS });
    opened.push(original);
    await prepare(original.url);
    await original.stop();
    await copyData(original.home, second);
    opened[0] = await openEmbeddedPostgres({ home: first, settings: SETTINGS });
    const { port, url } = opened[0];
    replication = await createTcpProxy({ target: { host: '127.0.0.1', port } });
    const { password } = new URL(url);
    opened[1] = await openEmbeddedPostgres({
      home: second,
      settings: {
        ...SETTINGS,
        primary_conninfo:
          `host=127.0.0.1 port=${String(replication.port)} user=postgres ` + `password=${password}`,
      },
    });
    return replicasOf(opened[0], opened[1], replication, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

function replicasOf(
  first: EmbeddedPostgres,
  second: EmbeddedPostgres,
  replication: TcpProxy,
  stop: () => Promise<void>,
): Replicas {
  const primary = replicaOf(first);
  const standby = replicaOf(second);
  return {
    primary,
    standby,
    replication,
    stop,
    makeSynchronous: async () => {
      await primary.ask(`alter system set synchronous_standby_names = '*'`);
      await primary.ask('select pg_reload_conf()');
      await untilTrue(
        primary,
        `select exists (select from pg_stat_replication where sync_state = 'sync') as holds`,
      );
    },
    untilCaughtUp: async () => {
      const [row] = await primary.ask<{ lsn: string }>('select pg_current_wal_lsn() as lsn');
      const reached = `pg_last_wal_replay_lsn() >= '${row?.lsn ?? ''}'::pg_lsn`;
      await untilTrue(standby, `select coalesce(${reached}, false) as holds`);
    },
    promote: async () => {
      const [row] = await standby.ask<{ done: boolean }>('select pg_promote(true, 30) as done');
      if (row?.done !== true) throw new Error('the standby was not promoted');
    },
  };
}

function replicaOf(server: EmbeddedPostgres): Replica {
  return {
    url: server.url,
    host: '127.0.0.1',
    port: server.port,
    pid: () => pidOf(server),
    signalAll: (signal) => signalAll(server, signal),
    ask: (text) => ask(server.url, text),
  };
}

async function ask<Row>(url: string, text: string): Promise<Row[]> {
  const client = new Client({
    connectionString: url,
    application_name: 'test',
    connectionTimeoutMillis: PATIENCE_MS,
    query_timeout: PATIENCE_MS,
  });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Row & Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

async function untilTrue(replica: Replica, text: string): Promise<void> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  for (;;) {
    const [row] = await replica.ask<{ holds: boolean }>(text);
    if (row?.holds === true) return;
    await systemClock.sleep(LOOK_MS, signal);
  }
}

async function pidOf(server: EmbeddedPostgres): Promise<number> {
  const file = path.join(server.home, 'pgdata', 'postmaster.pid');
  return Number((await readFile(file, 'utf8')).split('\n')[0]);
}

async function signalAll(server: EmbeddedPostgres, signal: NodeJS.Signals): Promise<void> {
  const pid = await pidOf(server).catch(() => undefined);
  if (pid === undefined) return;
  // The server first: frozen, it starts no other while its children are looked for.
  maybeSignal(pid, signal);
  for (const entry of await readdir('/proc')) {
    if (/^\d+$/.test(entry) && (await parentOf(entry)) === pid) maybeSignal(Number(entry), signal);
  }
}

async function parentOf(pid: string): Promise<number | undefined> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name in brackets may hold anything; the state and the parent follow it.
  return Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[1]);
}

function maybeSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

/** With its owner, who runs the server where this process may not. */
async function copyData(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  const { uid, gid } = await stat(path.join(from, 'pgdata'));
  const files = ['pgdata', 'password'].map((name) => path.join(from, name));
  await promisify(execFile)('cp', ['-a', ...files, to]);
  const signal = path.join(to, 'pgdata', 'standby.signal');
  await writeFile(signal, '');
  for (const file of [to, signal]) await chown(file, uid, gid);
}
