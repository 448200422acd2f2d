import type { Socket } from 'node:net';
import pg from 'pg';
import type { PoolClient } from 'pg';
import { fullJitterMs } from '../base/backoff.ts';
import type { Clock, Rng } from '../base/clock.ts';
import { AppError, errors, toError } from '../base/errors.ts';
import { COLUMN_TYPES } from './column-types.ts';
import { ANY_PRIMARY, identityOrThrow, SERVER_COLUMNS } from './primary.ts';
import type { ServerRow, Servers } from './primary.ts';

/**
 * A bounded pool of sessions for the faces of a node. The leader's lock and its fenced writes have
 * connections of their own and never borrow from here.
 *
 * What it promises: every call ends within its deadline. Three clocks see to it: PostgreSQL's
 * `statement_timeout` and `lock_timeout` end what is slow, this process's deadline destroys the
 * socket of what does not answer (node-postgres would leave such a client half dead in the pool), and
 * `idle_in_transaction_session_timeout` frees the locks of a node that froze in the middle.
 * A lost connection, a refused one and an ended statement become `database_unavailable`; a deadlock
 * and a failed serialization are tried again. All other errors of PostgreSQL are bugs of ours.
 *
 * A session is lent only where its server is the primary of the present era (primary.ts), and is cut,
 * idle or at work, when that era is over.
 *
 * What it does not promise: to know how a COMMIT ended whose answer never came. That is
 * `CommitUnknownError`, and whoever ran the transaction must look for its rows.
 */
export interface DatabaseSettings {
  readonly url: string;
  /** The name of the node: sessions show as `skein/<role>/<name>`. */
  readonly name: string;
  /** Whose sessions they are; `api` unless given. */
  readonly role?: string;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Where a session asks whether the server it reached is the one; without it any primary is. */
  readonly servers?: Servers;
  readonly connectionsMax?: number;
  readonly connectTimeoutMs?: number;
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
  /** How long a transaction may stand still between two statements; as a statement unless given. */
  readonly idleInTransactionMs?: number;
}

/** With a name (`file.function`) it is prepared once a session, and its text never changes. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
}

export interface Session {
  query<Row>(statement: Statement, values?: readonly unknown[]): Promise<Row[]>;
}

class ConnectionLostError extends Error {}

/** The connection was lost while COMMIT was under way: the rows may be there or not. */
export class CommitUnknownError extends Error {}

const DEFAULTS = {
  role: 'api',
  connectionsMax: 10,
  connectTimeoutMs: 3000,
  statementTimeoutMs: 10_000,
  lockTimeoutMs: 3000,
};
/** Callers that wait for a session; each waits for connectTimeoutMs at most. */
const WAITING_MAX = 2000;
const BEGIN: Statement = { name: 'database.begin', text: 'begin' };
/** Two statements in one round trip, so it cannot be a prepared one. */
const BEGIN_IMPATIENT: Statement = { text: `begin; set local lock_timeout = '250ms'` };
const COMMIT: Statement = { name: 'database.commit', text: 'commit' };
const ROLLBACK: Statement = { name: 'database.rollback', text: 'rollback' };
const DEADLOCK_TRIES = 6;
const DEADLOCK_BACKOFF = { baseMs: 10, maxMs: 500 };

export class Database implements Session {
  readonly #pool: pg.Pool;
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #deadlineMs: number;
  readonly #connectTimeoutMs: number;
  readonly #servers: Servers;
  /** Lent sessions that have said that they end: node-postgres refuses them before their socket closes. */
  readonly #ended = new WeakSet<PoolClient>();

  constructor(settings: DatabaseSettings) {
    const { url, name, clock, rng, servers = ANY_PRIMARY, ...given } = settings;
    const limits = { ...DEFAULTS, ...given };
    this.#clock = clock;
    this.#rng = rng;
    this.#servers = servers;
    this.#connectTimeoutMs = limits.connectTimeoutMs;
    this.#deadlineMs = limits.statementTimeoutMs + 1000;
    this.#pool = new pg.Pool({
      connectionString: url,
      application_name: `skein/${limits.role}/${name}`.slice(0, 63),
      max: limits.connectionsMax,
      connectionTimeoutMillis: limits.connectTimeoutMs,
      idleTimeoutMillis: 60_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 5000,
      statement_timeout: limits.statementTimeoutMs,
      lock_timeout: limits.lockTimeoutMs,
      idle_in_transaction_session_timeout: limits.idleInTransactionMs ?? limits.statementTimeoutMs,
      options: SESSION_OPTIONS,
      types: COLUMN_TYPES,
      verify: (client, done) => {
        this.#joinEra(client).then(
          () => {
            done();
          },
          (thrown: unknown) => {
            done(toError(thrown));
          },
        );
      },
    });
    // An idle session that ends is no news: the pool has dropped it, the next caller opens another.
    this.#pool.on('error', () => undefined);
  }

  /** Of the primary that its sessions are on (primary.ts). */
  get serverName(): string {
    return this.#servers.serverName;
  }

  /** One statement in a transaction of its own; tried again after a deadlock. */
  query<Row>(statement: Statement, values: readonly unknown[] = []): Promise<Row[]> {
    return this.#retried(() =>
      this.#withClient((client) => this.#send<Row>(client, statement, values)),
    );
  }

  /**
   * Runs `work` between BEGIN and COMMIT, the whole of it again after a deadlock. A throw of `work`
   * rolls back. Throws `CommitUnknownError` where the answer to COMMIT never came. An impatient one
   * waits for a lock no longer than a quarter of a second.
   */
  transaction<T>(
    work: (session: Session) => Promise<T>,
    { impatient = false }: { readonly impatient?: boolean } = {},
  ): Promise<T> {
    const begin = impatient ? BEGIN_IMPATIENT : BEGIN;
    return this.#retried(() =>
      this.#withClient((client) => this.#transactionOnce(client, begin, work)),
    );
  }

  /** Ends every session, at the latest when its statement's deadline has passed. */
  async stop(): Promise<void> {
    await this.#pool.end();
  }

  /** One question to the server of a new session, before anybody gets to use it. */
  async #joinEra(client: PoolClient): Promise<void> {
    // The pool does not listen while a session is on its way to a caller.
    client.on('error', () => undefined);
    const cancelDeadline = this.#clock.after(this.#connectTimeoutMs, () => {
      destroySocket(client);
    });
    try {
      const { rows } = await client.query<ServerRow>(`select ${SERVER_COLUMNS}`);
      const leave = this.#servers.meet(identityOrThrow(rows[0])).onOver(() => {
        destroySocket(client);
      });
      client.once('end', leave);
    } catch (thrown) {
      destroySocket(client);
      throw thrown;
    } finally {
      cancelDeadline();
    }
  }

  async #transactionOnce<T>(
    client: PoolClient,
    begin: Statement,
    work: (session: Session) => Promise<T>,
  ): Promise<T> {
    await this.#send(client, begin, []);
    let result: T;
    try {
      result = await work({
        query: (statement, values = []) => this.#send(client, statement, values),
      });
    } catch (thrown) {
      // Where this fails too, the session is destroyed below, which rolls back as well.
      await this.#send(client, ROLLBACK, []);
      throw thrown;
    }
    try {
      await this.#send(client, COMMIT, []);
    } catch (thrown) {
      if (!isConnectionFault(thrown)) throw thrown;
      throw new CommitUnknownError('the answer to COMMIT was lost', { cause: thrown });
    }
    return result;
  }

  /** Lends a session; one whose connection failed is destroyed and not given back. */
  async #withClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    if (this.#pool.waitingCount >= WAITING_MAX) {
      throw errors.overloaded('too many requests wait for the database');
    }
    let client: PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (thrown) {
      throw thrown instanceof AppError ? thrown : errors.databaseUnavailable(thrown);
    }
    // Without a listener the loss of a connection between two statements would end the process.
    let fault: Error | undefined;
    const onError = (error: Error): void => {
      fault = error;
      this.#ended.add(client);
    };
    client.on('error', onError);
    try {
      return await work(client);
    } catch (thrown) {
      if (isConnectionFault(thrown) || thrown instanceof CommitUnknownError) {
        fault ??= toError(thrown);
      }
      if (thrown instanceof CommitUnknownError || thrown instanceof AppError) throw thrown;
      throw isUnavailable(thrown) ? errors.databaseUnavailable(thrown) : thrown;
    } finally {
      client.off('error', onError);
      client.release(fault);
    }
  }

  async #send<Row>(
    client: PoolClient,
    { name, text }: Statement,
    values: readonly unknown[],
  ): Promise<Row[]> {
    const cancelDeadline = this.#clock.after(this.#deadlineMs, () => {
      destroySocket(client);
    });
    try {
      // Without values the simple protocol is used, which alone takes two statements at once.
      const query = values.length === 0 ? { text } : { text, values: [...values] };
      const result = await client.query<Row & pg.QueryResultRow>(
        name === undefined ? query : { ...query, name },
      );
      return result.rows;
    } catch (thrown) {
      const isUsable = isOpen(client) && !this.#ended.has(client);
      if (!(thrown instanceof pg.DatabaseError) && !isUsable) {
        throw new ConnectionLostError('the connection was lost', { cause: thrown });
      }
      throw thrown;
    } finally {
      cancelDeadline();
    }
  }

  async #retried<T>(attempt: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await attempt();
      } catch (thrown) {
        const state = sqlState(thrown);
        const passing = state === '40P01' || state === '40001';
        if (!passing || tries === DEADLOCK_TRIES) throw thrown;
        await this.#clock.sleep(fullJitterMs(DEADLOCK_BACKOFF, tries, this.#rng));
      }
    }
  }
}

/** Settings that node-postgres has no name for. JIT costs more than any statement here saves by it. */
const SESSION_OPTIONS = [
  'timezone=UTC',
  'datestyle=ISO',
  'jit=off',
  'tcp_keepalives_idle=5',
  'tcp_keepalives_interval=1',
  'tcp_keepalives_count=3',
  'tcp_user_timeout=5000',
]
  .map((setting) => `-c ${setting}`)
  .join(' ');

function socketOf(client: PoolClient): Socket {
  return (client as unknown as { readonly connection: { readonly stream: Socket } }).connection
    .stream;
}

function destroySocket(client: PoolClient): void {
  socketOf(client).destroy(new Error('the database did not answer in time'));
}

/** node-postgres reports a lost connection as a plain Error, so the socket is asked instead. */
function isOpen(client: PoolClient): boolean {
  const { destroyed, readable, writable } = socketOf(client);
  return !destroyed && readable && writable;
}

/** The five characters of PostgreSQL's error code; undefined for all that is no error of a server. */
export function sqlState(thrown: unknown): string | undefined {
  return thrown instanceof pg.DatabaseError ? thrown.code : undefined;
}

/** The session is of no more use: its socket is gone, or the server says that it ends it. */
function isConnectionFault(thrown: unknown): boolean {
  if (thrown instanceof ConnectionLostError) return true;
  const state = sqlState(thrown);
  return state !== undefined && (state.startsWith('08') || SESSION_ENDED.has(state));
}

/**
 * admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, the idle timeouts, and a server
 * that takes no writes any more: it has given its office away.
 */
const SESSION_ENDED = new Set('57P01 57P02 57P03 57P04 57P05 25P03 25P04 25006'.split(' '));

/**
 * Classes of SQLSTATE in which the same request may succeed later: connection exceptions (08),
 * insufficient resources (53), operator intervention and timeouts (57), a lock not gotten (55P03), and
 * I/O errors (58).
 */
function isUnavailable(thrown: unknown): boolean {
  if (isConnectionFault(thrown)) return true;
  const state = sqlState(thrown);
  return state !== undefined && (/^(53|57|58)/.test(state) || state === '55P03');
}
