import { Client } from 'pg';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import { Waker } from '../base/waker.ts';
import { identityOrThrow, SERVER_COLUMNS } from './primary.ts';
import type { ServerRow, Servers } from './primary.ts';

/**
 * Looks where the address of the database leads today, by a session that is opened for the question and
 * closed after it. Sessions that live for days stay where they are when the address is pointed at
 * another server: only a new one finds out (primary.ts says what follows). At start it is asked before
 * anything else, so that a node refuses a standby by name and not by a failed migration.
 *
 * A look that fails changes nothing: the sessions that a node works with have deadlines of their own.
 */
export interface PrimaryProbeDeps {
  readonly databaseUrl: string;
  /** The name of the node: the session shows as `skein/probe/<name>`. */
  readonly name: string;
  readonly clock: Clock;
  readonly servers: Servers;
  readonly log: {
    debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  };
}

/** Settings of the server with which it may forget, at a crash, what it has acknowledged. */
const DURABILITY = ['fsync', 'full_page_writes', 'synchronous_commit'] as const;

interface ProbeRow extends ServerRow, Readonly<Record<(typeof DURABILITY)[number], string>> {}

const LOOK = `select ${SERVER_COLUMNS},
  ${DURABILITY.map((name) => `current_setting('${name}') as ${name}`).join(',\n  ')}`;

const ANSWER_MS = 3000;
/** A connection costs the server some 5 ms of its CPU, so this is a thousandth of a core. */
const PAUSE_MS = 5000;
/** However often somebody doubts. */
const DOUBT_PAUSE_MS = 500;

export class PrimaryProbe {
  private readonly deps: PrimaryProbeDeps;
  private readonly waker: Waker;
  private readonly stopping = new AbortController();
  private running: Promise<void> = Promise.resolve();

  constructor(deps: PrimaryProbeDeps) {
    this.deps = deps;
    this.waker = new Waker(deps.clock);
  }

  /**
   * The settings of the server that are off and should not be.
   * @throws AppError `database_not_primary`, and whatever a connection that fails throws.
   */
  async look(): Promise<readonly string[]> {
    const { databaseUrl, name, clock, servers } = this.deps;
    const client = new Client({
      connectionString: databaseUrl,
      application_name: `skein/probe/${name}`.slice(0, 63),
      connectionTimeoutMillis: ANSWER_MS,
      statement_timeout: ANSWER_MS,
    });
    client.on('error', () => undefined);
    const late = new AbortController();
    try {
      const row = await Promise.race([
        client.connect().then(async () => (await client.query<ProbeRow>(LOOK)).rows[0]),
        clock.sleep(2 * ANSWER_MS, late.signal).then(() => {
          throw new Error(`the server did not say in ${String(2 * ANSWER_MS)} ms which it is`);
        }),
      ]);
      servers.meet(identityOrThrow(row));
      return DURABILITY.filter((setting) => row?.[setting] === 'off');
    } finally {
      late.abort();
      destroySocket(client);
    }
  }

  start(): void {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort(new Error('the node stops'));
    await this.running;
  }

  /** Somebody has reason to believe that the primary is another now. */
  doubt(): void {
    this.waker.wake();
  }

  /** Never rejects. */
  private async run(): Promise<void> {
    const { clock, log } = this.deps;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await clock.sleep(DOUBT_PAUSE_MS, signal).catch(() => undefined);
      await this.waker.wait(PAUSE_MS - DOUBT_PAUSE_MS, signal);
      if (this.stopping.signal.aborted) return;
      await this.look().catch((thrown: unknown) => {
        log.debug('It could not be seen which server is the primary.', { error: toError(thrown) });
      });
    }
  }
}

/** A server that is frozen would not answer a goodbye. */
function destroySocket(client: Client): void {
  (
    client as unknown as { readonly connection: { readonly stream: { destroy(): void } } }
  ).connection.stream.destroy();
}
