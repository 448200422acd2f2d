import { expect } from 'chai';
import { systemClock } from '../../node/base/clock.ts';
import { AppError } from '../../node/base/errors.ts';
import { SubmittedGraph } from '../../node/core/graph.ts';
import { Submissions } from '../../node/store/submissions.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { ADD, ALTER, CLEAR_TERM, RESET, STANDING, TABLES, TIMES } from './real-statements.ts';
import { NODE, TERM } from './hands.ts';
import type { Backend, Blocked, Hands, HandSession, LiveChange, OpenBackend } from './hands.ts';
import type { SketchedTask, Standing, Submitted, Tables, Times } from './hands.ts';
import { RealSession, until } from './real-session.ts';

export const REAL_BACKEND: Backend = {
  name: 'on PostgreSQL',
  open: (): Promise<OpenBackend> => RealBackend.open(),
};

const SESSIONS_KEPT = 3;

/** One database for a file of tests; its tables are emptied for each script. */
export class RealBackend implements OpenBackend {
  readonly database: TestDatabase;
  private readonly aside: RealSession;
  private opened: RealSession[] = [];
  /** Of those, what is left of a script before and serves the next one again. */
  private spare: RealSession[] = [];
  private proxy: TcpProxy | undefined;

  private constructor(database: TestDatabase, aside: RealSession) {
    this.database = database;
    this.aside = aside;
  }

  static async open(): Promise<RealBackend> {
    const database = await createTestDatabase();
    return new RealBackend(database, await RealSession.open(database.url, 'aside'));
  }

  async reset(): Promise<RealHands> {
    const kept: RealSession[] = [];
    for (const session of this.opened.slice(0, SESSIONS_KEPT)) {
      if (await session.tryRenew()) kept.push(session);
    }
    await this.endAllBut(kept);
    await this.aside.sql(RESET);
    await this.aside.sql(CLEAR_TERM, [TERM]);
    this.spare = [...kept];
    const pair = [await this.session('one'), await this.session('two')] as const;
    return new RealHands(this, this.aside, ...pair);
  }

  async session(name: string, url?: string): Promise<RealSession> {
    const spare = url === undefined ? this.spare.shift() : undefined;
    if (spare !== undefined) return spare;
    const session = await RealSession.open(url ?? this.database.url, name, this.aside);
    this.opened.push(session);
    return session;
  }

  /** The way to the database that can lose what comes back. */
  async proxied(): Promise<{ readonly proxy: TcpProxy; readonly url: string }> {
    const url = new URL(this.database.url);
    this.proxy ??= await createTcpProxy({
      target: { host: url.hostname, port: Number(url.port) },
    });
    url.hostname = this.proxy.host;
    url.port = String(this.proxy.port);
    return { proxy: this.proxy, url: url.href };
  }

  async close(): Promise<void> {
    await this.endAllBut([]);
    await this.proxy?.close();
    await this.aside.close();
    await this.database.drop();
  }

  /** Whatever they are at: a failed script may have left one waiting. */
  private async endAllBut(kept: RealSession[]): Promise<void> {
    const others = this.opened.filter((session) => !kept.includes(session));
    this.opened = kept;
    if (others.length === 0) return;
    const pids = others.map(({ pid }) => pid);
    await this.aside.sql('select pg_terminate_backend(pid) from unnest($1::int[]) as pid', [pids]);
    await this.aside.untilGone(pids);
  }
}

export class RealHands implements Hands {
  readonly one: RealSession;
  readonly two: RealSession;
  readonly aside: RealSession;
  private readonly backend: RealBackend;

  constructor(backend: RealBackend, aside: RealSession, one: RealSession, two: RealSession) {
    this.backend = backend;
    this.aside = aside;
    this.one = one;
    this.two = two;
  }

  open(name: string): Promise<RealSession> {
    return this.backend.session(name);
  }

  async add(seqs: readonly number[], deps: readonly number[] = []): Promise<void> {
    await this.aside.sql(ADD, [seqs, deps]);
  }

  async alter(seq: number, change: LiveChange | 'remove'): Promise<void> {
    if (change === 'remove') {
      await this.aside.sql('delete from skein.live where seq = $1', [seq]);
      return;
    }
    const { leaseSeq, nodeId, cancel, runInMs, leasedAgoMs, expiresInMs } = change;
    await this.aside.sql(ALTER, [
      ...[seq, leaseSeq, nodeId, cancel, runInMs, leasedAgoMs, expiresInMs],
    ]);
  }

  async markBulk(inboxId: number): Promise<void> {
    await this.aside.sql('update skein.inbox set bulk = true where inbox_id = $1', [inboxId]);
  }

  async how(seq: number): Promise<Standing> {
    const [row] = await this.aside.sql<{ standing: string }>(STANDING, [seq]);
    return JSON.parse(row?.standing ?? 'null') as Standing;
  }

  async times(seq: number): Promise<Times> {
    return (await this.aside.sql<Times>(TIMES, [seq]))[0] as Times;
  }

  async tables(): Promise<Tables> {
    const [row] = await this.aside.sql<{ tables: string }>(TABLES);
    return JSON.parse(row?.tables ?? '{}') as Tables;
  }

  async hold(hand: HandSession, table: 'live' | 'task', seq: number): Promise<void> {
    await realOf(hand).sql(`select 1 from skein.${table} where seq = $1 for update`, [seq]);
  }

  async removeTask(hand: HandSession, seq: number): Promise<number> {
    const text = 'delete from skein.task where seq = $1 returning seq';
    return (await realOf(hand).sql(text, [seq])).length;
  }

  async submit(hand: HandSession, tasks: readonly SketchedTask[]): Promise<Submitted> {
    const database = realOf(hand).asDatabase(this.aside);
    const submissions = new Submissions({ database, clock: systemClock });
    const { kind } = await submissions.submitBatch(batchOf(tasks));
    await submissions.stop();
    if (kind === 'workflow-exists') throw new Error('no workflow was submitted');
    return kind;
  }

  async spawn(
    hand: HandSession,
    parent: number,
    tasks: readonly SketchedTask[],
  ): Promise<Submitted> {
    const database = realOf(hand).asDatabase(this.aside);
    const submissions = new Submissions({ database, clock: systemClock });
    const lease = { seq: parent, id: `t${String(parent)}`, leaseSeq: 1, nodeId: NODE };
    try {
      const { kind } = await submissions.spawn(lease, () => Promise.resolve(batchOf(tasks)));
      if (kind === 'workflow-exists') throw new Error('no workflow was submitted');
      return kind;
    } catch (thrown) {
      if (thrown instanceof AppError && thrown.code === 'lease_lost') return 'lease_lost';
      throw thrown;
    } finally {
      await submissions.stop();
    }
  }

  async blocked<T>(
    hand: HandSession,
    by: HandSession,
    start: () => Promise<T>,
  ): Promise<Blocked<T>> {
    const answer = start();
    const state = { hasEnded: false };
    const onEnd = (): void => {
      state.hasEnded = true;
    };
    answer.then(onEnd, onEnd);
    const pids = [realOf(hand).pid, realOf(by).pid];
    await until(async () => {
      const [row] = await this.aside.sql<{ waits: boolean }>(
        'select $2::int = any (pg_blocking_pids($1::int)) as waits',
        pids,
      );
      if (row?.waits === true) return true;
      if (state.hasEnded) expect.fail('the statement did not wait');
      return false;
    }, 'the statement does not wait for that session');
    return { answer };
  }

  async loseAnswer(run: (hand: HandSession) => Promise<unknown>, to?: 'commit'): Promise<void> {
    const { proxy, url } = await this.backend.proxied();
    const hand = await this.backend.session('lost', url);
    // What a statement answers is sent when it is committed, not before.
    const isCommitted = proxy.dropReplies(to);
    const isLost = run(hand).then(
      () => false,
      () => true,
    );
    await isCommitted;
    proxy.heal();
    expect(await isLost, 'no answer').to.equal(true);
  }
}

function realOf(hand: HandSession): RealSession {
  if (hand instanceof RealSession) return hand;
  throw new Error('a session of another server');
}

function batchOf(tasks: readonly SketchedTask[]): Parameters<Submissions['submitBatch']>[0] {
  const graph = new SubmittedGraph();
  for (const { id, dependencies = [] } of tasks) graph.add(id, dependencies);
  const order = Int32Array.from(tasks.keys()).sort((a, b) =>
    (tasks[a]?.id ?? '') < (tasks[b]?.id ?? '') ? -1 : 1,
  );
  return {
    ...{ graph, order, idPrefix: '', workflow: null, sizeOf: () => 200 },
    typeNames: new Set(tasks.map(({ type = 'noop' }) => type)),
    fieldsOf: (at) => {
      const { id = '', type = 'noop', delayMs = 0, ttlMs = null } = tasks[at] ?? {};
      return {
        ...{ type, payload: `"${id}"`, priority: 50, maxAttempts: 3, triggerRule: 0 },
        ...{
          durationMs: null,
          expectedMs: 40,
          timeoutMs: null,
          ttlMs,
          runAtMs: null,
          tags: [],
          labels: [],
        },
        ...{
          backoffFixed: true,
          backoffBaseMs: 100,
          backoffMaxMs: 100,
          delayMs: delayMs === 0 ? null : delayMs,
        },
      };
    },
  };
}
