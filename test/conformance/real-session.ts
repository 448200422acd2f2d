import { expect } from 'chai';
import { Client } from 'pg';
import { COLUMN_TYPES } from '../../node/store/column-types.ts';
import type { Database, Session } from '../../node/store/database.ts';
import { BUMP_TERM, LOCK_KEY, READ_TERM, TRY_LOCK } from '../../node/store/lock-session.ts';
import { PLANNER } from '../../node/store/pipeline.ts';
import type { Row, Statement } from '../../node/store/pipeline.ts';
import type { HandSession, TermView, TriedLock } from './hands.ts';

/** Nothing here waits so long unless it waits for ever. */
const DEADLINE_MS = 15_000;
const POLL_MS = 3;

export class RealSession implements HandSession {
  readonly pid: number;
  readonly ended: Promise<void>;
  private readonly client: Client;
  private readonly admin: RealSession | undefined;
  private isInTransaction = false;
  private unanswered = 0;
  private hasEnded = false;

  private constructor(client: Client, pid: number, admin: RealSession | undefined) {
    this.client = client;
    this.pid = pid;
    this.admin = admin;
    this.ended = new Promise((resolve) => {
      client.once('end', () => {
        this.hasEnded = true;
        resolve();
      });
    });
  }

  static async open(url: string, name: string, admin?: RealSession): Promise<RealSession> {
    const client = new Client({
      connectionString: url,
      application_name: name,
      options: `-c statement_timeout=${String(DEADLINE_MS)} ${PLANNER}`,
      types: COLUMN_TYPES,
    });
    // The database is dropped under sessions that a failed test left open.
    client.on('error', () => undefined);
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    return new RealSession(client, rows[0]?.pid ?? 0, admin);
  }

  async query(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    const query = { ...statement, values: values as unknown[], rowMode: 'array' as const };
    return (await this.answered(this.client.query<unknown[]>(query))).rows;
  }

  asSession(): Session {
    return {
      query: async <R>(statement: { readonly text: string }, values: readonly unknown[] = []) =>
        (await this.answered(this.client.query({ ...statement, values: values as unknown[] })))
          .rows as R[],
    };
  }

  async sql<R>(text: string, values: readonly unknown[] = []): Promise<R[]> {
    const query = { text, values: values as unknown[] };
    return (await this.answered(this.client.query(query))).rows as R[];
  }

  async begin(): Promise<void> {
    this.isInTransaction = true;
    await this.sql('begin');
  }

  async commit(): Promise<void> {
    this.isInTransaction = false;
    await this.sql('commit');
  }

  async rollback(): Promise<void> {
    this.isInTransaction = false;
    await this.sql('rollback');
  }

  async terminate(): Promise<void> {
    await this.admin?.sql('select pg_terminate_backend($1)', [this.pid]);
    await this.ended;
    // The client hears of its end before the server has freed what the session held.
    await this.admin?.untilGone([this.pid]);
  }

  async untilGone(pids: readonly number[]): Promise<void> {
    await until(async () => {
      const here = 'select 1 from pg_stat_activity where pid = any ($1::int[])';
      return (await this.sql(here, [pids])).length === 0;
    }, 'a session did not end');
  }

  async tryLock(idleMs = 3_600_000): Promise<TriedLock> {
    const [row] = await this.sql<TermRow & { taken: boolean }>(TRY_LOCK.text, [
      ...LOCK_KEY,
      idleMs,
    ]);
    return { taken: row?.taken === true, ...viewOf(row) };
  }

  async bumpTerm(above: number, nodeId: number): Promise<number | undefined> {
    const values = [above, nodeId, `node-${String(nodeId)}`, 'a', 'h', ...LOCK_KEY];
    const [row] = await this.sql<TermRow>(BUMP_TERM.text, values);
    return row?.term;
  }

  async readTerm(): Promise<TermView> {
    return viewOf((await this.sql<TermRow>(READ_TERM.text))[0]);
  }

  /** The part of node/store/database.ts that submits need; types are stored by a session apart. */
  asDatabase(types: RealSession): Database {
    const database: Pick<Database, 'query' | 'serverName'> & TransactionOf = {
      serverName: 'one',
      query: (statement, values) => types.asSession().query(statement, values),
      transaction: async (work) => {
        const isByHand = this.isInTransaction;
        if (!isByHand) await this.begin();
        try {
          const result = await work(this.asSession());
          if (!isByHand) await this.commit();
          return result;
        } catch (thrown) {
          await this.rollback();
          throw thrown;
        }
      },
    };
    return database as unknown as Database;
  }

  /** False where it cannot serve again: it has ended, or is at something. */
  async tryRenew(): Promise<boolean> {
    if (this.hasEnded || this.unanswered > 0) return false;
    this.isInTransaction = false;
    await this.client.query(
      'rollback; select pg_advisory_unlock_all(); reset idle_session_timeout; reset deadlock_timeout',
    );
    return true;
  }

  async close(): Promise<void> {
    await this.client.end();
  }

  private async answered<T>(answer: Promise<T>): Promise<T> {
    this.unanswered += 1;
    try {
      return await answer;
    } finally {
      this.unanswered -= 1;
    }
  }
}

interface TransactionOf {
  transaction<T>(work: (session: Session) => Promise<T>): Promise<T>;
}

interface TermRow {
  readonly term: number;
  readonly leader_node_id: number | null;
  readonly leader_name: string | null;
}

function viewOf(row: TermRow | undefined): TermView {
  const { term = 0, leader_node_id: nodeId = null, leader_name: name = null } = row ?? {};
  return { term, nodeId, name };
}

/** Asks again until it is so. */
export async function until(isSo: () => Promise<boolean>, otherwise: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) expect.fail(otherwise);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
