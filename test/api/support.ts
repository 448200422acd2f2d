import pg from 'pg';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import type { DoorSettings } from '../../node/api/access/door.ts';
import type { TlsFiles } from '../../node/api/listener.ts';
import type { ApiLimits } from '../../node/api/server.ts';
import { ApiServer } from '../../node/api/server.ts';
import { AttentionReader } from '../../node/store/attention-reader.ts';
import { ClusterReader } from '../../node/store/cluster-reader.ts';
import { TypeControl } from '../../node/store/type-control.ts';
import { Database } from '../../node/store/database.ts';
import { AuditLog } from '../../node/store/audit-log.ts';
import { KeyStore } from '../../node/store/key-store.ts';
import { NodeControl } from '../../node/store/node-control.ts';
import { LogReader } from '../../node/store/log-reader.ts';
import { Schedules } from '../../node/store/schedules.ts';
import { Submissions } from '../../node/store/submissions.ts';
import { BulkChanges } from '../../node/store/bulk-changes.ts';
import { TaskChanges } from '../../node/store/task-changes.ts';
import { TaskReader } from '../../node/store/task-reader.ts';
import { WorkflowReader } from '../../node/store/workflow-reader.ts';
import type { Follow, News } from '../../node/core/messages.ts';
import { EndCode } from '../../node/core/task.ts';
import type { EndStatus } from '../../node/core/task.ts';
import { Contract } from '../support/contract.ts';
import { createTestDatabase } from '../support/postgres.ts';

/**
 * A node's REST face over a real database and real HTTP. There is no leader: what it would do to the
 * tables is done by hand (`end`, `lease`), and what it would say comes through the fake feed.
 */
export class FakeFeed {
  readonly watched = new Set<number>();
  readonly calls: string[] = [];
  readonly #onEnded = new Set<(seqs: readonly number[], codes: readonly number[]) => void>();
  readonly #onTerm = new Set<() => void>();

  /** What was asked of the leader, in its order. */
  readonly follows: Follow[] = [];
  isLinked = false;
  readonly #onNews = new Set<(news: News) => void>();

  follow(follow: Follow): void {
    this.follows.push(follow);
  }
  onNews(listener: (news: News) => void): () => void {
    this.#onNews.add(listener);
    return () => this.#onNews.delete(listener);
  }
  sayNews(news: Partial<News>): void {
    for (const listener of this.#onNews) listener({ ...NO_NEWS, ...news });
  }

  watch(seqs: readonly number[]): void {
    this.calls.push(`watch ${seqs.join(',')}`);
    for (const seq of seqs) this.watched.add(seq);
  }
  unwatch(seqs: readonly number[]): void {
    for (const seq of seqs) this.watched.delete(seq);
  }
  onEnded(listener: (seqs: readonly number[], codes: readonly number[]) => void): () => void {
    this.#onEnded.add(listener);
    return () => this.#onEnded.delete(listener);
  }
  onTerm(listener: () => void): () => void {
    this.#onTerm.add(listener);
    return () => this.#onTerm.delete(listener);
  }
  sayEnded(seqs: readonly number[]): void {
    for (const listener of this.#onEnded) listener(seqs, []);
  }
  sayTerm(): void {
    for (const listener of this.#onTerm) listener();
  }
}

const NO_NEWS: News = {
  ...{ seqs: [], changedTo: [], nodeIds: [], isPartial: false, lastSeq: 0, isWhole: true },
  ...{ queued: 0, holderIds: [], held: [], ended: [0, 0, 0, 0], endedSeqs: [] },
  ...{ readyMs: [], runMs: [] },
};

export type Body = Record<string, unknown>;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The parsed body; null where it is not JSON. */
  readonly body: Body;
  readonly text: string;
}

export interface Api {
  readonly url: string;
  readonly sql: pg.Client;
  readonly database: Database;
  readonly server: ApiServer;
  readonly feed: FakeFeed;
  readonly looks: () => number;
  /** How often the leader was told to look at the nodes. */
  readonly nodesChanged: () => number;
  readonly requests: readonly string[];
  readonly state: { isLeader: boolean; ready: boolean };
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  post(path: string, body: unknown): Promise<Answer>;
  patch(path: string, body: unknown): Promise<Answer>;
  put(path: string, body: unknown): Promise<Answer>;
  delete(path: string): Promise<Answer>;
  postRaw(
    path: string,
    body: NonNullable<RequestInit['body']>,
    contentType?: string,
  ): Promise<Answer>;
  rows<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  seqOf(id: string): Promise<number>;
  /** Rows in every table that a submit may write. */
  rowCounts(): Promise<Record<string, number>>;
  end(id: string, status: EndStatus): Promise<void>;
  /** Registers a node, and leases the task to it; returns the node's number. */
  lease(id: string, node?: string): Promise<number>;
  /** A second session, for an interleaving by hand. */
  session(): Promise<pg.Client>;
  close(): Promise<void>;
}

export interface ApiOptions {
  readonly door?: Partial<DoorSettings>;
  readonly tls?: TlsFiles;
  /** Replaces the address of the database, for a proxy in between. */
  readonly databaseUrl?: (url: string) => Promise<string>;
  readonly limits?: Partial<ApiLimits>;
  readonly pageDir?: string;
  readonly docsDir?: string;
  /** Hears what the node logs as an error; without it that is printed. */
  readonly onError?: (message: string, fields?: object) => void;
}

/** As on a loopback address. */
const DOOR: DoorSettings = {
  needsKeys: false,
  isBehindProxy: false,
  hostNames: new Set(['localhost', '127.0.0.1', '::1']),
  allowedHosts: [],
  rateLimit: 0,
};

export async function startApi(options: ApiOptions = {}): Promise<Api> {
  const testDatabase = await createTestDatabase();
  const sql = new pg.Client({ connectionString: testDatabase.url });
  await sql.connect();
  sql.on('error', () => undefined);
  const database = new Database({
    url: (await options.databaseUrl?.(testDatabase.url)) ?? testDatabase.url,
    name: 'node-1',
    clock: systemClock,
    rng: systemRng,
    connectTimeoutMs: 1000,
    statementTimeoutMs: 5000,
  });
  const submissions = new Submissions({ database, clock: systemClock });
  const feed = new FakeFeed();
  const state = { isLeader: false, ready: true };
  const requests: string[] = [];
  const sessions: pg.Client[] = [];
  let looks = 0;
  let nodesChanged = 0;
  const server = new ApiServer({
    clock: systemClock,
    log: options.onError === undefined ? silent : { ...silent, error: options.onError },
    host: '127.0.0.1',
    port: 0,
    leader: {
      look: () => (looks += 1),
      nodesChanged: () => (nodesChanged += 1),
      isLeader: () => state.isLeader,
      ask: () => Promise.resolve(undefined),
    },
    feed,
    readiness: () => ({ ready: state.ready, reasons: state.ready ? [] : ['not migrated'] }),
    metrics: {
      httpRequest: (method, route, code) => requests.push(`${method} ${route} ${String(code)}`),
      tasksSubmitted: () => undefined,
      render: () => Promise.resolve({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' }),
    },
    submissions,
    tasks: new TaskReader(database),
    logs: new LogReader(database),
    changes: new TaskChanges(database),
    bulk: new BulkChanges(database),
    workflows: new WorkflowReader(database),
    schedules: new Schedules(database),
    cluster: new ClusterReader({ session: database, clock: systemClock }),
    nodes: new NodeControl(database),
    attention: new AttentionReader({ session: database, clock: systemClock }),
    types: new TypeControl(database),
    keys: new KeyStore(database),
    audit: new AuditLog(database),
    auditDays: 90,
    door: { ...DOOR, ...options.door },
    tls: options.tls ?? null,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.pageDir === undefined ? {} : { pageDir: options.pageDir }),
    ...(options.docsDir === undefined ? {} : { docsDir: options.docsDir }),
  });
  const { port } = await server.start();
  const url = `http://127.0.0.1:${String(port)}`;

  const ask = async (path: string, init: RequestInit): Promise<Answer> => {
    const answer = await request(url + path, init);
    holdToContract(path, init.method ?? 'GET', answer);
    return answer;
  };
  const rows: Api['rows'] = async <Row extends pg.QueryResultRow>(
    text: string,
    values: unknown[] = [],
  ) => (await sql.query<Row>(text, values)).rows;
  const seqOf = async (id: string): Promise<number> => {
    const [row] = await rows<{ seq: string }>('select seq from skein.task where id = $1', [id]);
    if (row === undefined) throw new Error(`no task ${id}`);
    return Number(row.seq);
  };
  return {
    url,
    sql,
    database,
    server,
    feed,
    state,
    requests,
    looks: () => looks,
    nodesChanged: () => nodesChanged,
    get: (path, headers = {}) => ask(path, { headers }),
    post: (path, body) => ask(path, jsonBody('POST', body)),
    patch: (path, body) => ask(path, jsonBody('PATCH', body)),
    put: (path, body) => ask(path, jsonBody('PUT', body)),
    delete: (path) => ask(path, { method: 'DELETE' }),
    postRaw: (path, body, contentType = 'application/json') =>
      ask(path, { method: 'POST', headers: { 'content-type': contentType }, body }),
    rows,
    seqOf,
    rowCounts: async () => {
      const counts: Record<string, number> = {};
      for (const table of TABLES) {
        const [row] = await rows<{ n: string }>(`select count(*) as n from skein.${table}`);
        counts[table] = Number(row?.n);
      }
      return counts;
    },
    end: async (id, status) => {
      const seq = await seqOf(id);
      await sql.query(
        `with ended as (delete from skein.live where seq = $1),
        rare as (
          insert into skein.not_completed (seq, status) select $1, $2::smallint where $2::smallint <> 1
        )
        update skein.task set status = $2::smallint, finished_at = clock_timestamp() where seq = $1`,
        [seq, EndCode[status]],
      );
    },
    lease: async (id, node = 'node-7') => {
      const nodeId = await addNode(sql, node);
      await sql.query(
        `update skein.live set node_id = $2, lease_seq = lease_seq + 1, leased_at = now(),
          started_at = now() where seq = $1`,
        [await seqOf(id), nodeId],
      );
      return nodeId;
    },
    session: async () => {
      const session = new pg.Client({ connectionString: testDatabase.url });
      await session.connect();
      sessions.push(session);
      return session;
    },
    close: async () => {
      await server.stop();
      await submissions.stop();
      await database.stop();
      for (const session of sessions) await session.end();
      await sql.end();
      await testDatabase.drop();
    },
  };
}

/** One for all: making its validators takes longer than most tests. */
export const contract = new Contract();

/** Every answer that a test gets must be as the document at `/openapi.json` says. */
function holdToContract(path: string, method: string, { status, headers, body }: Answer): void {
  const contentType = headers.get('content-type') ?? '';
  const faults = contract.faultsOf({ method, path, status, contentType, body });
  if (faults.length > 0) throw new Error(`not as /openapi.json says: ${faults.join('; ')}`);
}

export const TABLES = [
  'task',
  'live',
  'inbox',
  'type',
  'workflow',
  'not_completed',
  'attempt',
] as const;

export async function addNode(sql: pg.Client, name: string, types = ['noop']): Promise<number> {
  const { rows } = await sql.query<{ node_id: string }>(
    `insert into skein.node (incarnation, name, lease_until, boot_id, pid_namespace, pid,
      pid_started, http_url, grpc_address, slots, types, simulates, version)
    values (gen_random_uuid(), $1, now() + interval '1 hour', 'b', 'n', 42, '1',
      'http://127.0.0.1:1', '127.0.0.1:2', 3, $2, false, '0.1.0')
    returning node_id`,
    [name, types],
  );
  return Number(rows[0]?.node_id);
}

/** An answer as it came over the wire; a body that is no JSON has an empty object for it. */
export async function request(url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, {
    ...init,
    signal: init.signal ?? AbortSignal.timeout(25_000),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') === true;
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson && text !== '' ? (JSON.parse(text) as Body) : {},
  };
}

/** The pointers of a problem document, in order. */
export function pointersOf({ body }: Answer): readonly string[] {
  return ((body['errors'] ?? []) as readonly { pointer: string }[]).map((fault) => fault.pointer);
}

function jsonBody(method: string, body: unknown): RequestInit {
  return {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
}

const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (message: string, fields?: object) => {
    // A request that fails unexpectedly is a bug, and its test should say why.
    process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
  },
};

/** Waits until a condition over the database holds; each look is a statement, so nothing spins. */
export async function eventually(condition: () => Promise<boolean>): Promise<void> {
  for (let looks = 0; looks < 2000; looks++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error('the awaited condition never came true');
}
