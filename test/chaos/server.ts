import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { systemClock } from '../../node/base/clock.ts';
import { openEmbeddedPostgres } from '../../node/store/embedded-postgres.ts';
import type {
  EmbeddedPostgres,
  EmbeddedPostgresOptions,
} from '../../node/store/embedded-postgres.ts';
import { guard } from '../support/guard.ts';
import type { Guard } from '../support/guard.ts';

/**
 * A PostgreSQL of the run's own, on a port that stays, with the durability that it comes with: what is
 * committed must outlive what is done to it here.
 */
type Settings = NonNullable<EmbeddedPostgresOptions['settings']>;

const QUERY_MS = 5000;
const GONE_MS = 20_000;

const STOP_AND_REMOVE = `
  pid=$(head -n 1 "$1/pgdata/postmaster.pid" 2>/dev/null)
  [ -n "$pid" ] && kill -QUIT "$pid"
  for i in $(seq 100); do [ -e "$1/pgdata/postmaster.pid" ] || break; sleep 0.1; done
  rm -rf "$1"`;

const TERMINATE_LOCK = `
select pg_terminate_backend(pid) from pg_locks
where locktype = 'advisory' and objsubid = 2 and granted`;

const SESSIONS = `
select pid from pg_stat_activity where application_name like 'skein/%' order by pid`;

export class ChaosServer {
  readonly url: string;
  private embedded: EmbeddedPostgres;
  private readonly settings: Settings;
  private readonly watch: Guard;

  static async start(settings: Settings = {}): Promise<ChaosServer> {
    const home = await mkdtemp(path.join(tmpdir(), 'skein-chaos-pg-'));
    const embedded = await openEmbeddedPostgres({ home, settings }).catch(
      async (error: unknown) => {
        await rm(home, { recursive: true, force: true });
        throw error;
      },
    );
    if (embedded.home !== home) await rm(home, { recursive: true, force: true });
    return new ChaosServer(embedded, settings);
  }

  private constructor(embedded: EmbeddedPostgres, settings: Settings) {
    this.embedded = embedded;
    this.settings = settings;
    this.url = embedded.url;
    this.watch = guard(STOP_AND_REMOVE, [embedded.home]);
  }

  /** The folder that it lives in. */
  get home(): string {
    return this.embedded.home;
  }

  /** Past all proxies; a connection a call, because the server comes and goes. */
  async withClient<T>(use: (client: Client) => Promise<T>, timeoutMs = QUERY_MS): Promise<T> {
    const client = new Client({
      connectionString: this.url,
      application_name: 'chaos',
      connectionTimeoutMillis: QUERY_MS,
      query_timeout: timeoutMs,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await use(client);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async terminateLockSession(): Promise<void> {
    await this.withClient((client) => client.query(TERMINATE_LOCK));
  }

  /** About a third of the nodes' sessions, whatever they are doing. */
  async terminateSessions(draw: number): Promise<void> {
    await this.withClient(async (client) => {
      const pids = await pidsOf(client);
      const chosen = pids.filter((_, at) => (at + Math.floor(draw * 3)) % 3 === 0);
      await client.query('select pg_terminate_backend(pid) from unnest($1::int[]) as pid', [
        chosen,
      ]);
    });
  }

  /** The server takes that for corruption: it throws out everybody and recovers. */
  async killBackend(draw: number): Promise<void> {
    const pids = await this.withClient(pidsOf);
    const pid = pids[Math.floor(draw * pids.length)];
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  }

  async restart(signal: 'SIGINT' | 'SIGQUIT', downMs: number): Promise<void> {
    const file = path.join(this.embedded.home, 'pgdata', 'postmaster.pid');
    const pid = Number((await readFile(file, 'utf8')).split('\n')[0]);
    process.kill(pid, signal);
    const giveUp = AbortSignal.timeout(GONE_MS);
    while (isAlive(pid)) await systemClock.sleep(20, giveUp);
    await systemClock.sleep(downMs);
    await this.open();
  }

  /** Starts it where it is not running. */
  async open(): Promise<void> {
    this.embedded = await openEmbeddedPostgres({
      home: this.embedded.home,
      settings: this.settings,
    });
  }

  async log(): Promise<string> {
    return readFile(path.join(this.embedded.home, 'postgres.log'), 'utf8');
  }

  async stop(): Promise<void> {
    await this.embedded.stop();
    await rm(this.embedded.home, { recursive: true, force: true });
    this.watch.takeBack();
  }
}

async function pidsOf(client: Client): Promise<readonly number[]> {
  const { rows } = await client.query<{ pid: number }>(SESSIONS);
  return rows.map(({ pid }) => pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
