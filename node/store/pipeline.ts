import { Client } from 'pg';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { COLUMN_TYPES } from './column-types.ts';
import { ANY_PRIMARY, identityOrThrow, SERVER_COLUMNS } from './primary.ts';
import type { ServerRow, Servers } from './primary.ts';

/**
 * One pipelined connection for the hot statements of a role: several statements may be under way, the
 * server runs them in the order they were sent. It opens itself at the first statement, and again at
 * the first one after a loss; a statement that was under way when the connection broke is rejected,
 * and whether it was committed is unknown: the caller finds out by its guards.
 *
 * Every statement has a deadline on the monotonic clock. When it passes, the socket is destroyed,
 * because a client whose query timed out is half dead (node-postgres#3399).
 *
 * A connection is used only where its server is the primary of the present era (primary.ts), and is cut
 * when that era is over.
 */
export interface PipelineSettings {
  readonly url: string;
  readonly applicationName: string;
  readonly statementTimeoutMs: number;
  readonly clock: Clock;
  /** Where a connection asks whether the server it reached is the one; without it any primary is. */
  readonly servers?: Servers;
}

/** A prepared statement: `name` is unique per text, `file.function`. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Rows as arrays of columns in the order of the select list. */
export type Row = readonly unknown[];

/**
 * Every hot statement joins a short list of numbers with tables by their primary key, so one plan is
 * right for all: the index, whatever the statistics say. A plan that was made while the tables were
 * empty would scan them whole for ever after, and planning anew each time costs more than the
 * statement itself (figures in the commit that brought this).
 */
export const PLANNER =
  '-c jit=off -c plan_cache_mode=force_generic_plan ' +
  '-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off';

/**
 * For the server's end: a statement of which the last packet never came, because its machine is gone, is
 * in no transaction that a timeout of the server would end, and keeps its locks; the leader's on the term
 * row, so that nobody could lead. TCP gives such a session up after 8 s, and not after two hours.
 */
const KEEPALIVE =
  '-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3 ' +
  '-c tcp_user_timeout=5000';

/** What the stores need of a connection: a test gives them one within a transaction. */
export type Statements = Pick<Pipeline, 'query'>;

const CONNECT_DEADLINE_MS = 3000;
/** What the server may need beyond statement_timeout to say so. */
const ANSWER_MARGIN_MS = 500;
/** Rows of a statement in flight: far above what a role ever has under way. */
const IN_FLIGHT_MAX = 256;

export class Pipeline {
  private readonly settings: PipelineSettings;
  private client: Promise<Client> | undefined;
  private inFlight = 0;
  private isClosed = false;

  constructor(settings: PipelineSettings) {
    this.settings = settings;
  }

  /** Rejects with the server's error, or with a connection's; never hangs. */
  async query(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    if (this.isClosed) throw new Error('the connection is closed');
    if (this.inFlight >= IN_FLIGHT_MAX) throw new Error('too many statements under way');
    this.inFlight += 1;
    try {
      const opened = this.open();
      const client = await opened;
      const answer = client.query<unknown[]>({
        name: statement.name,
        text: statement.text,
        values: values as unknown[],
        rowMode: 'array',
      });
      return (await this.withDeadline(opened, client, answer)).rows;
    } finally {
      this.inFlight -= 1;
    }
  }

  /** Ends the session; what is under way is rejected. */
  async close(): Promise<void> {
    this.isClosed = true;
    const opening = this.client;
    this.client = undefined;
    if (opening === undefined) return;
    const client = await opening.catch(() => undefined);
    if (client !== undefined) await endWithin(client, CONNECT_DEADLINE_MS, this.settings.clock);
  }

  private open(): Promise<Client> {
    if (this.client !== undefined) return this.client;
    const opening = this.connect(() => {
      this.forget(opening);
    });
    this.client = opening;
    return opening;
  }

  /** A connection that is lost may say so more than once, and when the next one is open already. */
  private forget(client: Promise<Client>): void {
    if (this.client === client) this.client = undefined;
  }

  private async connect(onLost: () => void): Promise<Client> {
    const { url, applicationName, statementTimeoutMs } = this.settings;
    const client = new Client({
      connectionString: url,
      application_name: applicationName.slice(0, 63),
      connectionTimeoutMillis: CONNECT_DEADLINE_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: 5000,
      options:
        `-c statement_timeout=${String(statementTimeoutMs)} ` +
        `-c lock_timeout=${String(statementTimeoutMs)} ` +
        `-c idle_in_transaction_session_timeout=${String(statementTimeoutMs)} ` +
        `${KEEPALIVE} ${PLANNER}`,
      types: COLUMN_TYPES,
      pipeline: true,
    });
    client.on('error', onLost);
    client.on('end', onLost);
    try {
      await client.connect();
      await this.joinEra(client, onLost);
    } catch (thrown) {
      onLost();
      destroySocket(client);
      throw toError(thrown);
    }
    return client;
  }

  /** One question to the server, before the first statement of a role. */
  private async joinEra(client: Client, onLost: () => void): Promise<void> {
    const { clock, servers = ANY_PRIMARY } = this.settings;
    const cancel = clock.after(CONNECT_DEADLINE_MS, () => {
      destroySocket(client);
    });
    const { rows } = await client.query<ServerRow>(`select ${SERVER_COLUMNS}`).finally(cancel);
    const leave = servers.meet(identityOrThrow(rows[0])).onOver(() => {
      onLost();
      destroySocket(client);
    });
    client.once('end', leave);
  }

  private async withDeadline<T>(
    opened: Promise<Client>,
    client: Client,
    answer: Promise<T>,
  ): Promise<T> {
    const deadlineMs = this.settings.statementTimeoutMs + ANSWER_MARGIN_MS;
    const cancel = this.settings.clock.after(deadlineMs, () => {
      this.forget(opened);
      destroySocket(client);
    });
    try {
      return await answer;
    } catch (thrown) {
      if (isReadOnly(thrown)) {
        this.forget(opened);
        destroySocket(client);
      }
      throw thrown;
    } finally {
      cancel();
    }
  }
}

/** A server that takes no writes any more has given its office away: the next session looks anew. */
function isReadOnly(thrown: unknown): boolean {
  return (thrown as { code?: unknown } | null)?.code === '25006';
}

/** Whether a statement was refused for what it carried (SQLSTATE classes 22 and 23, and 54). */
export function isDataError(error: Error): boolean {
  const code: unknown = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^(22|23|54)/.test(code);
}

/** `{1,2,3}`, the text form of an array of numbers; a fifth of the cost of the driver's own. */
export function numbers(values: readonly number[]): string {
  return `{${values.join(',')}}`;
}

interface WithStream {
  readonly connection: { readonly stream: { destroy(): void } };
}

function destroySocket(client: Client): void {
  (client as unknown as WithStream).connection.stream.destroy();
}

async function endWithin(client: Client, deadlineMs: number, clock: Clock): Promise<void> {
  const cancel = clock.after(deadlineMs, () => {
    destroySocket(client);
  });
  // A connection that is lost already has nothing left to end.
  await client.end().catch(() => undefined);
  cancel();
}
