import { expect } from 'chai';
import { Client } from 'pg';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import type { TaskFields } from '../../node/core/submission.ts';
import { SettledAs } from '../../node/core/messages.ts';
import { Database } from '../../node/store/database.ts';
import { LeaseStore } from '../../node/store/lease-store.ts';
import { Pipeline } from '../../node/store/pipeline.ts';
import { Submissions } from '../../node/store/submissions.ts';
import { TaskChanges } from '../../node/store/task-changes.ts';
import { TermWriter } from '../../node/store/term-writer.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { seededRng } from '../support/seeded-rng.ts';

/**
 * Goal: whatever writes at once, nobody waits in a circle (rule 11).
 * Method: every statement that writes tasks, each in a loop of its own on a connection of its own, over
 * the same few rows in random order, for some seconds; then PostgreSQL's own count of deadlocks.
 * Seen to fail: with the pre-lock of settleMany ordered by a number drawn at random.
 */
const TASKS = 60;
const SECONDS = 4;
const FIELDS: TaskFields = {
  ...{ type: 'noop', payload: null, priority: 50, maxAttempts: 3, triggerRule: 0 },
  ...{ durationMs: null, expectedMs: null, timeoutMs: null, ttlMs: null, backoffFixed: true },
  ...{ backoffBaseMs: 0, backoffMaxMs: 0, runAtMs: null, delayMs: null, tags: [], labels: [] },
};

interface LiveRow {
  readonly seq: string;
  readonly lease_seq: number;
  readonly node_id: string | null;
}

describe('writers of the same rows', () => {
  it('never wait for each other in a circle', async () => {
    const stage = await Stage.open();
    const counts = await stage.play();
    const deadlocks = await stage.close();
    expect(deadlocks).to.equal(0);
    // A writer that never wrote has proven nothing.
    for (const [who, count] of counts) expect(count, who).to.be.greaterThan(5);
  });
});

class Stage {
  private readonly rng = seededRng(35);
  private readonly counts = new Map<string, number>();
  private readonly pipelines: Pipeline[] = [];
  private readonly url: string;
  private readonly drop: () => Promise<void>;
  private readonly database: Database;
  private readonly admin: Client;
  private isOver = false;

  static async open(): Promise<Stage> {
    const database = await createTestDatabase();
    const admin = new Client({ connectionString: database.url });
    await admin.connect();
    await admin.query('update skein.term set term = 1');
    return new Stage(database.url, admin, () => database.drop());
  }

  private constructor(url: string, admin: Client, drop: () => Promise<void>) {
    this.url = url;
    this.admin = admin;
    this.drop = drop;
    this.database = new Database({ url, name: 'test', clock: systemClock, rng: systemRng });
  }

  async play(): Promise<ReadonlyMap<string, number>> {
    const submissions = new Submissions({ database: this.database, clock: systemClock });
    for (let task = 0; task < TASKS; task++) {
      await submissions.submitOne({ id: `t${String(task)}`, fields: FIELDS, dependencies: [] });
    }
    const writer = new TermWriter(this.pipeline(), 1);
    const changes = new TaskChanges(this.database);
    const stores = [1, 2].map(
      (nodeId) => new LeaseStore(nodeId, this.pipeline(), [this.pipeline(), this.pipeline()]),
    );
    const loops = [
      this.loop('lease', async (rows) => {
        const some = this.some(rows);
        const nodes = some.map(() => 1 + Math.floor(this.rng.random() * 2));
        const seqs = some.map(seqOf);
        return (await writer.leaseMany(seqs, some.map(leaseOf), nodes)).seqs.length;
      }),
      this.loop('take back', async (rows) => {
        const some = this.some(rows).filter((row) => row.node_id === '1');
        const taken = await writer.takeBackMany(1, some.map(seqOf), some.map(leaseOf), 'lost');
        return taken.seqs.length;
      }),
      this.loop('cancel', async (rows) => {
        const few = this.some(rows).slice(0, 2).map(seqOf);
        const { seqs, markedSeqs } = await writer.cancelMany(few);
        return seqs.length + markedSeqs.length;
      }),
      this.loop('skip', async (rows) => {
        return (await writer.skipMany(this.some(rows).slice(0, 2).map(seqOf))).seqs.length;
      }),
      this.loop('revive', async () => {
        const seqs = Array.from({ length: TASKS }, (_, at) => at + 1);
        return (await writer.reviveMany(this.shuffled(seqs))).length;
      }),
      this.loop('patch', async (rows) => {
        const [row] = this.some(rows);
        const priority = 1 + Math.floor(this.rng.random() * 100);
        return row !== undefined && (await changes.tryPatch(seqOf(row), { priority })) ? 1 : 0;
      }),
      this.loop('submit', async () => {
        const dependencies = this.shuffled(
          Array.from({ length: TASKS }, (_, at) => `t${String(at)}`),
        );
        const id = `x${String(this.counts.get('submit') ?? 0)}`;
        const task = { id, fields: FIELDS, dependencies: dependencies.slice(0, 20) };
        return (await submissions.submitOne(task)).kind === 'stored' ? 1 : 0;
      }),
      ...stores.flatMap((store, at) => this.settlers(store, at + 1)),
    ];
    await systemClock.sleep(SECONDS * 1000);
    this.isOver = true;
    await Promise.all(loops);
    await submissions.stop();
    return this.counts;
  }

  /** Deadlocks that PostgreSQL counted, once every session has reported. */
  async close(): Promise<number> {
    await this.database.stop();
    await Promise.all(this.pipelines.map((pipeline) => pipeline.close()));
    const text = `select deadlocks::int as count,
      (select count(*)::int from pg_stat_activity a
       where a.datname = current_database() and a.pid <> pg_backend_pid()) as others
      from pg_stat_database where datname = current_database()`;
    for (;;) {
      const { rows } = await this.admin.query<{ count: number; others: number }>(text);
      if (rows[0]?.others === 0) {
        await this.admin.end();
        await this.drop();
        return rows[0].count;
      }
      await systemClock.sleep(20);
    }
  }

  private settlers(store: LeaseStore, nodeId: number): Promise<void>[] {
    const mine = (rows: readonly LiveRow[]): readonly LiveRow[] =>
      this.some(rows.filter((row) => row.node_id === String(nodeId)));
    const columns = (rows: readonly LiveRow[]) => ({
      seqs: rows.map(seqOf),
      leaseSeqs: rows.map(leaseOf),
      startedAgoMs: rows.map(() => 0),
      finishedAgoMs: rows.map(() => 0),
    });
    const who = `of node ${String(nodeId)}`;
    return [
      this.loop(`starts ${who}`, async (rows) => {
        const { seqs, leaseSeqs, startedAgoMs } = columns(mine(rows));
        await store.markStarted(seqs, leaseSeqs, startedAgoMs);
        return seqs.length;
      }),
      // Completed ones never come back: few, so that there is something left to fight for.
      this.loop(`completions ${who}`, async (rows) => {
        const some = columns(mine(rows).slice(0, this.rng.random() < 0.05 ? 2 : 0));
        await store.completeMany({ ...some, results: some.seqs.map(() => '1') });
        return 1;
      }),
      this.loop(`failures ${who}`, async (rows) => {
        const some = columns(mine(rows));
        const settled = await store.settleMany({
          ...some,
          settledAs: some.seqs.map(() =>
            this.rng.random() < 0.5 ? SettledAs.RETRY : SettledAs.FAILED,
          ),
          delayMs: some.seqs.map(() => 0),
          errors: some.seqs.map(() => null),
        });
        return settled.length;
      }),
    ];
  }

  /** One writer: reads what lives, writes some of it, until the play is over. */
  private async loop(
    who: string,
    write: (rows: readonly LiveRow[]) => Promise<number>,
  ): Promise<void> {
    const reader = new Client({ connectionString: this.url });
    await reader.connect();
    this.counts.set(who, 0);
    while (!this.isOver) {
      const { rows } = await reader.query<LiveRow>(
        'select seq, lease_seq, node_id from skein.live where seq <= $1',
        [TASKS],
      );
      const count = await write(rows);
      this.counts.set(who, (this.counts.get(who) ?? 0) + count);
    }
    await reader.end();
  }

  private pipeline(): Pipeline {
    const pipeline = new Pipeline({
      url: this.url,
      applicationName: 'test',
      statementTimeoutMs: 5000,
      clock: systemClock,
    });
    this.pipelines.push(pipeline);
    return pipeline;
  }

  private some(rows: readonly LiveRow[]): readonly LiveRow[] {
    return this.shuffled(rows).slice(0, 1 + Math.floor(this.rng.random() * rows.length));
  }

  private shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, at: this.rng.random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ item }) => item);
  }
}

const seqOf = (row: LiveRow): number => Number(row.seq);
const leaseOf = (row: LiveRow): number => row.lease_seq;
