import { Socket } from 'node:net';
import { Client } from 'pg';
import type { Clock } from '../base/clock.ts';
import { errors, toError } from '../base/errors.ts';
import { toNodeId, toTerm } from '../base/ids.ts';
import type { Term } from '../base/ids.ts';
import type { LeaderView } from '../core/election-events.ts';
import type { Timings } from '../core/timings.ts';
import { proveSession } from './lock-proof.ts';
import { ANY_PRIMARY, identityOrThrow, SERVER_COLUMNS } from './primary.ts';
import type { ServerRow, Servers } from './primary.ts';

/**
 * The connection that holds the leader's lock: a session advisory lock of PostgreSQL, which the
 * server frees when the session ends, however it ends. That is all such a lock gives, so the
 * session is kept in a way that makes it enough:
 *
 *   * A bare client, never one of a pool: a pool that recycles connections gives the lock away.
 *   * Autocommit only: no policy against idle transactions can end it, and it pins no snapshot.
 *   * `pg_try_advisory_lock` only. A session that waits in `pg_advisory_lock` pins xmin: vacuum
 *     stops and CREATE INDEX CONCURRENTLY deadlocks with it.
 *   * The statement that takes the lock also arms the dead-man switch, `idle_session_timeout`. Were
 *     it a statement of its own, a process frozen between the two would hold the lock for as long
 *     as TCP takes to notice: minutes to hours. Measured with it: 1.07 s until a rival holds it.
 *   * It locks once. Session locks stack, so a second lock would outlive one unlock; and the office
 *     is left by closing the socket, never by an unlock whose answer may be lost.
 *   * Every statement has a deadline, and any error or late answer closes the socket. After a
 *     timeout nobody knows whether the lock was taken; a closed session has none.
 *
 * It must be a direct connection. Behind a pooler in transaction mode each statement may run on
 * another backend, and the lock stays with one that nobody owns; `proveSession` refuses that on the
 * first session of a process, and every answer is checked to come from the same backend ever after.
 *
 * What it does not promise: that a frozen or cut-off process notices. Its trust window does that
 * (core/election.ts), and the term row keeps out what it still writes. Whoever uses this class
 * relies on the server keeping `idle_session_timeout`, hence PostgreSQL itself, 14 or newer.
 */
export interface LockSessionSettings {
  /** A direct connection, not a pooler. */
  readonly databaseUrl: string;
  /** The unique id of this boot of the node; it names the session in pg_stat_activity. */
  readonly incarnation: string;
  readonly clock: Clock;
  readonly timings: Timings;
  /** Where a session asks whether the server it reached is the one; without it any primary is. */
  readonly servers?: Servers;
}

/** The identity that a bump writes into the term row. */
export interface LeaderIdentity {
  readonly nodeId: number;
  readonly name: string;
  readonly grpcAddress: string;
  readonly httpUrl: string;
}

/**
 * The two-int lock key: the project, and its schema. The tag of an advisory lock carries the
 * database as well, so clusters in two databases do not meet. Locks of two ints never meet those of
 * one bigint, which is what node-pg-migrate takes.
 */
export const LOCK_KEY = [0x534b_454e, fnv1a31('skein')] as const;

export interface Statement {
  readonly name: string;
  readonly text: string;
  /** Parsed once per session; only for what runs often, and never before the session is proven. */
  readonly prepared?: boolean;
}

/** For the connection alone, which holds no lock yet. */
const CONNECT_MS = 2000;
const STATEMENT_TIMEOUT_MS = 1000;
const LOCK_TIMEOUT_MS = 500;

/**
 * A follower's session ends after so many pauses of silence: far from any pause between two tries,
 * and yet nobody's session, nor a lock whose statement failed midway, stays for ever.
 */
const FOLLOWER_IDLE_PAUSES = 10;

const SET_UP: Statement = {
  name: 'lock-session.set-up',
  text: `
select pg_backend_pid() as pid,
  set_config('statement_timeout', $1, false),
  set_config('lock_timeout', $2, false),
  set_config('idle_in_transaction_session_timeout', $1, false),
  set_config('idle_session_timeout', $3, false),
  set_config('tcp_keepalives_idle', '5', false),
  set_config('tcp_keepalives_interval', '1', false),
  set_config('tcp_keepalives_count', '3', false),
  set_config('tcp_user_timeout', '5000', false),
  ${SERVER_COLUMNS}`,
};

const TERM_COLUMNS = `
  term.term, term.leader_node_id, term.leader_name, term.leader_grpc_address, term.leader_http_url`;

export const TRY_LOCK: Statement = {
  name: 'lock-session.try',
  prepared: true,
  text: `
with attempt as materialized (select pg_try_advisory_lock($1::int, $2::int) as taken)
select pg_backend_pid() as pid,
  attempt.taken,
  case when attempt.taken then set_config('idle_session_timeout', $3, false) end as armed,
  ${TERM_COLUMNS}
from attempt
left join skein.term as term on term.id = 1`,
};

export const READ_TERM: Statement = {
  name: 'lock-session.read',
  prepared: true,
  text: `
select pg_backend_pid() as pid,
  ${TERM_COLUMNS}
from skein.term as term
where term.id = 1`,
};

/**
 * Waits for the fenced writes of the old leader, which lock the row FOR SHARE, and shuts out all
 * later ones. The pg_locks condition proves the lock in the very statement that uses it.
 */
export const BUMP_TERM: Statement = {
  name: 'lock-session.bump',
  text: `
update skein.term as term
set term = greatest(term.term, $1::bigint) + 1,
  leader_node_id = $2::bigint,
  leader_name = $3,
  leader_grpc_address = $4,
  leader_http_url = $5,
  since = clock_timestamp()
where term.id = 1
  and exists (
    select from pg_locks as held
    where held.locktype = 'advisory'
      and held.database = (select oid from pg_database where datname = current_database())
      and held.classid = $6::int::oid
      and held.objid = $7::int::oid
      and held.objsubid = 2
      and held.pid = pg_backend_pid()
      and held.granted
  )
returning pg_backend_pid() as pid,
  ${TERM_COLUMNS}`,
};

/** A row of any of the statements above; bigints come as decimal strings. */
interface Row extends Partial<ServerRow> {
  readonly pid: number;
  readonly taken?: boolean;
  readonly term?: string | null;
  readonly leader_node_id?: string | null;
  readonly leader_name?: string | null;
  readonly leader_grpc_address?: string | null;
  readonly leader_http_url?: string | null;
}

/** Makes the sessions of one process and remembers that the way to the server was proven. */
export class LockSessions {
  readonly #settings: LockSessionSettings;
  #proven = false;

  constructor(settings: LockSessionSettings) {
    this.#settings = settings;
  }

  /** A session not yet opened. */
  create(): LockSession {
    return new LockSession(this.#settings, (session) => this.#proveOnce(session));
  }

  /**
   * Opens one session and closes it again, so that a node can refuse to start.
   * @throws AppError `lock_session_unsafe` behind a pooler in transaction mode.
   */
  async prove(): Promise<void> {
    const session = this.create();
    await session.open();
    session.destroy();
  }

  async #proveOnce(session: LockSession): Promise<void> {
    if (this.#proven) return;
    await proveSession(session, () => session.openSibling());
    this.#proven = true;
  }
}

export class LockSession {
  /** Resolves with the reason when the socket is closed; never rejects. */
  readonly ended: Promise<string>;
  readonly #settings: LockSessionSettings;
  readonly #prove: (session: LockSession) => Promise<void>;
  readonly #socket = new Socket();
  readonly #client: Client;
  #backendPid: number | null = null;
  #busy = false;
  #holdsLock = false;
  /** Why the session ended or is about to; the first cause stands. */
  #endReason: string | null = null;

  constructor(settings: LockSessionSettings, prove: (session: LockSession) => Promise<void>) {
    this.#settings = settings;
    this.#prove = prove;
    this.ended = new Promise((resolve) => {
      this.#socket.once('close', () => {
        resolve(this.#endReason ?? 'the connection was closed');
      });
    });
    this.#client = new Client({
      connectionString: settings.databaseUrl,
      application_name: `skein/lock/${settings.incarnation}`,
      keepAlive: true,
      stream: () => this.#socket,
    });
    // Errors outside a statement, as when an administrator ends the backend.
    this.#client.on('error', (error) => {
      this.#end(error.message);
    });
    this.#client.on('end', () => {
      this.#end('the connection was closed');
    });
  }

  /** Milliseconds that any answer may take: after that no answer could prove the lock. */
  get #deadlineMs(): number {
    return this.#settings.timings.selfDemoteMs;
  }

  async open(): Promise<void> {
    const { timings } = this.#settings;
    await this.#connect();
    const followerIdleMs = FOLLOWER_IDLE_PAUSES * timings.followMs;
    const row = await this.ask(SET_UP, [STATEMENT_TIMEOUT_MS, LOCK_TIMEOUT_MS, followerIdleMs]);
    try {
      this.#joinEra(row);
      await this.#prove(this);
    } catch (error) {
      this.#end(toError(error).message);
      throw error;
    }
  }

  async tryLock(): Promise<{ taken: boolean; view: LeaderView | null }> {
    if (this.#holdsLock) throw this.#end('a session that holds the lock tried to lock again');
    const idleMs = this.#settings.timings.lockIdleMs;
    const row = await this.ask(TRY_LOCK, [...LOCK_KEY, idleMs]);
    this.#holdsLock = row.taken === true;
    return { taken: this.#holdsLock, view: viewOf(row) };
  }

  async bumpTerm(above: Term, leader: LeaderIdentity): Promise<LeaderView> {
    const { nodeId, name, grpcAddress, httpUrl } = leader;
    const row = await this.ask(BUMP_TERM, [above, nodeId, name, grpcAddress, httpUrl, ...LOCK_KEY]);
    const view = viewOf(row);
    if (view === null) throw this.#end('the term row names no leader after the bump');
    return view;
  }

  async readTerm(): Promise<LeaderView | null> {
    return viewOf(await this.ask(READ_TERM, []));
  }

  destroy(): void {
    this.#end('closed by this node');
  }

  /**
   * Runs one statement of one row, which carries the pid of its backend.
   * @throws whatever went wrong; the session is closed by then.
   */
  async ask(statement: Statement, values: readonly (string | number)[]): Promise<Row> {
    const { name, text, prepared } = statement;
    if (this.#endReason !== null) throw new Error(this.#endReason);
    if (this.#busy) throw this.#end('two statements at once on the lock session');
    this.#busy = true;
    try {
      const query = this.#client.query<Row>({
        text,
        values: [...values],
        ...(prepared === true ? { name } : {}),
      });
      const { rows } = await this.#withDeadline(name, query);
      const row = rows[0];
      if (row === undefined) throw this.#end(`${name} found no row, or not the lock it needs`);
      this.#backendPid ??= row.pid;
      if (row.pid !== this.#backendPid) {
        const unsafe = errors.lockSessionUnsafe('its statements reached several backends');
        this.#end(unsafe.message);
        throw unsafe;
      }
      return row;
    } finally {
      this.#busy = false;
    }
  }

  /** A second connection by the same way, for the proof; its caller ends it. */
  async openSibling(): Promise<{ ask(text: string): Promise<unknown>; destroy(): void }> {
    const sibling = new LockSession(this.#settings, () => Promise.resolve());
    await sibling.#connect();
    return {
      ask: (text) => sibling.#withDeadline('the proof', sibling.#client.query(text)),
      destroy: () => {
        sibling.destroy();
      },
    };
  }

  async #connect(): Promise<void> {
    // Connecting would bring a destroyed socket back to life.
    if (this.#endReason !== null) throw new Error(this.#endReason);
    await this.#withDeadline('connecting', this.#client.connect(), CONNECT_MS);
  }

  /** Refuses a standby and a primary of the past; ends the session with the era of its server. */
  #joinEra(row: Row): void {
    const era = (this.#settings.servers ?? ANY_PRIMARY).meet(identityOrThrow(row));
    const leave = era.onOver(() => {
      this.#end('its server is the primary no more');
    });
    void this.ended.then(leave);
  }

  /** Closes the socket with this reason, unless it was closed before; returns it as an error. */
  #end(reason: string): Error {
    this.#endReason ??= reason;
    this.#socket.destroy();
    return new Error(reason);
  }

  async #withDeadline<T>(what: string, work: Promise<T>, ms = this.#deadlineMs): Promise<T> {
    let cancel = (): void => undefined;
    const late = new Promise<never>((_, reject) => {
      cancel = this.#settings.clock.after(ms, () => {
        reject(new Error(`${what} had no answer within ${String(ms)} ms`));
      });
    });
    try {
      return await Promise.race([work, late]);
    } catch (error) {
      this.#end(toError(error).message);
      throw error;
    } finally {
      cancel();
    }
  }
}

function viewOf(row: Row): LeaderView | null {
  if (row.term == null || row.leader_node_id == null) return null;
  return {
    term: toTerm(Number(row.term)),
    nodeId: toNodeId(Number(row.leader_node_id)),
    name: row.leader_name ?? '',
    grpcAddress: row.leader_grpc_address ?? '',
    httpUrl: row.leader_http_url ?? '',
  };
}

/** FNV-1a, cut to 31 bits: pg_locks shows keys unsigned, so a positive int is the same in both. */
function fnv1a31(text: string): number {
  let hash = 0x811c_9dc5;
  for (const char of text) {
    hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x0100_0193);
  }
  return hash >>> 1;
}
