import { expect } from 'chai';
import pg from 'pg';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import { Database } from '../../node/store/database.ts';
import { History, KEPT_BY_TASK } from '../../node/store/history.ts';
import { DeposedError } from '../../node/store/term-writer.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

/**
 * Goal: what ended long ago goes, wholly, and nothing goes that something refers to, whoever submits,
 * retries or takes over meanwhile (rule 15). Method: a real PostgreSQL, tasks of every kind written by
 * hand, and sessions interleaved with a removal.
 * Seen to fail: without the question to `live` or to `not_completed`, without the lock before them,
 * without the fence, and without the look at the row of the workflow.
 */
const TERM = 7;
const DAY_MS = 24 * 3_600_000;
const WEEK = { ageMs: 7 * DAY_MS, lastSeq: Number.MAX_SAFE_INTEGER };

interface Sketch {
  readonly seq: number;
  /** Days since it ended; undefined: it has not. */
  readonly ended?: number;
  readonly status?: number;
  readonly deps?: readonly number[];
  readonly workflow?: number;
}

describe('the removal of history', () => {
  let owner: TestDatabase;
  let sql: pg.Client;
  let database: Database;
  let history: History;
  const sessions: pg.Client[] = [];

  beforeEach(async () => {
    owner = await createTestDatabase();
    sql = await session();
    await sql.query('update skein.term set term = $1', [TERM]);
    const clock = systemClock;
    database = new Database({ url: owner.url, name: 'test', clock, rng: systemRng });
    history = new History(database);
  });
  afterEach(async () => {
    await history.stop();
    for (const one of sessions.splice(0)) await one.end().catch(() => undefined);
    await owner.drop();
  });

  async function session(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: owner.url });
    client.on('error', () => undefined);
    await client.connect();
    sessions.push(client);
    return client;
  }

  async function add(...sketches: readonly Sketch[]): Promise<void> {
    for (const { seq, ended, status = 1, deps = [], workflow = null } of sketches) {
      const age = `clock_timestamp() - $2::float8 * interval '1 day'`;
      await sql.query(
        `insert into skein.task (seq, id, type_id, workflow_seq, priority, max_attempts, trigger_rule,
           backoff_base_ms, backoff_max_ms, dependencies, created_at, finished_at, status)
         values ($1, 't' || $1::bigint, 1, $4, 50, 1, 0, 1, 1, $5, clock_timestamp() - interval '1 year',
           ${age}, $3)`,
        [
          seq,
          ended ?? null,
          ended === undefined ? null : status,
          workflow,
          deps.map((d) => `t${String(d)}`),
        ],
      );
      if (ended === undefined) {
        await sql.query(
          `insert into skein.live (seq, type_id, expected_ms, priority, trigger_rule, has_duration, deps)
           values ($1, 1, 1, 50, 0, false, $2)`,
          [seq, deps],
        );
      } else if (status !== 1) {
        await sql.query(
          `insert into skein.not_completed values ($1, $2, ${age.replace('$2', '$3')})`,
          [seq, status, ended],
        );
        await sql.query(
          `insert into skein.attempt (seq, lease_seq, attempt, outcome) values ($1, 1, 1, 'failed')`,
          [seq],
        );
        await sql.query(
          `with said as (
             insert into skein.log (seq, lease_seq, chunk, attempt, node_id, is_stale, lines)
             values ($1, 1, 1, 1, 1, false, '')
           )
           insert into skein.progress (seq, lease_seq, fraction) values ($1, 1, 1)`,
          [seq],
        );
      }
    }
  }

  /** The numbers of the tasks that are left after a whole sweep. */
  async function sweep(cutoff = WEEK): Promise<readonly number[]> {
    for (let after: number | undefined = 0; after !== undefined;) {
      after = (await history.removeWorkflows(TERM, cutoff, after)).last;
    }
    for (let after: number | undefined = 0; after !== undefined;) {
      after = (await history.removeTasks(TERM, cutoff, after)).last;
    }
    return left();
  }

  async function left(table = 'task'): Promise<readonly number[]> {
    const { rows } = await sql.query<{ seq: string }>(
      `select seq from skein.${table} order by seq`,
    );
    return rows.map(({ seq }) => Number(seq));
  }

  it('takes what ended long ago, with all that is kept of it, and leaves the rest', async () => {
    await add(
      { seq: 1, ended: 8 },
      { seq: 2, ended: 8, status: 2 },
      { seq: 3, ended: 6 },
      { seq: 4 },
      { seq: 5, ended: 6, status: 3 },
      { seq: 6, ended: 30 },
    );
    expect(await sweep()).to.deep.equal([3, 4, 5]);
    for (const table of KEPT_BY_TASK) expect(await left(table), table).to.deep.equal([5]);
  });

  it('knows every table that is kept by the number of a task', async () => {
    const { rows } = await sql.query<{ name: string }>(
      `select table_name as name from information_schema.columns
       where table_schema = 'skein' and column_name = 'seq' order by 1`,
    );
    const known = [...KEPT_BY_TASK, 'task', 'live'];
    expect(rows.map(({ name }) => name)).to.have.members(known);
  });

  it('leaves what an unfinished task depends on, and takes it when that is over', async () => {
    await add({ seq: 1, ended: 8 }, { seq: 2, ended: 8, status: 2 }, { seq: 3, deps: [1, 2] });
    expect(await sweep()).to.deep.equal([1, 2, 3]);
    await sql.query('delete from skein.live');
    await sql.query(`update skein.task set status = 1, finished_at = created_at where seq = 3`);
    expect(await sweep()).to.deep.equal([]);
  });

  it('leaves what did not complete as long as something that can be revived depends on it', async () => {
    await add(
      { seq: 1, ended: 8, status: 2 },
      { seq: 2, ended: 6, status: 4, deps: [1] },
      { seq: 3, ended: 8 },
      { seq: 4, ended: 6, status: 2, deps: [3] },
      { seq: 5, ended: 8, status: 2 },
      { seq: 6, ended: 6, status: 1, deps: [5] },
    );
    // One that completed may go from under one that did not, and the other way round.
    expect(await sweep()).to.deep.equal([1, 2, 4, 6]);
  });

  it('takes a chain of what failed and was skipped at once, but not from below what stays', async () => {
    await add(
      { seq: 1, ended: 8, status: 2 },
      { seq: 2, ended: 8, status: 4, deps: [1] },
      { seq: 3, ended: 8, status: 4, deps: [2] },
      { seq: 11, ended: 8, status: 2 },
      { seq: 12, ended: 8, status: 4, deps: [11] },
      { seq: 13, deps: [12] },
    );
    expect(await sweep()).to.deep.equal([11, 12, 13]);
  });

  it('takes a workflow as a whole or not at all', async () => {
    for (const id of ['over', 'running', 'young']) {
      await sql.query(
        `insert into skein.workflow (id, name, priority, total, created_at)
         values ($1, $1, 50, 2, clock_timestamp() - interval '1 year')`,
        [id],
      );
    }
    await add(
      ...[1, 2, 3].flatMap((workflow) => [{ seq: workflow * 10, ended: 8, workflow }]),
      { seq: 11, ended: 8, status: 2, workflow: 1 },
      { seq: 21, workflow: 2 },
      { seq: 31, ended: 6, workflow: 3 },
    );
    expect(await sweep()).to.deep.equal([20, 21, 30, 31]);
    const { rows } = await sql.query('select id from skein.workflow order by id');
    expect(rows).to.deep.equal([{ id: 'running' }, { id: 'young' }]);
  });

  it('goes no further than it is told, in portions, from the oldest on', async () => {
    await sql.query(
      `insert into skein.task (seq, id, type_id, priority, max_attempts, trigger_rule, backoff_base_ms,
         backoff_max_ms, finished_at, created_at, status)
       select n, 'n' || n, 1, 50, 1, 0, 1, 1, t, t, 1
       from generate_series(1, 3000) n, (select clock_timestamp() - interval '1 hour' as t) a`,
    );
    expect(await history.oldest(1200)).to.equal(1200);
    const first = await history.removeTasks(TERM, { ageMs: 60_000, lastSeq: 1200 }, 0);
    expect(first).to.deep.equal({ last: 1000, removed: 1000 });
    expect(await sweep({ ageMs: 60_000, lastSeq: 1200 })).to.have.length(1800);
    expect((await left())[0]).to.equal(1201);
    expect(await sweep(WEEK)).to.have.length(1800);
  });

  it('waits for nobody: what a submit holds is left, and taken the next time', async () => {
    await add({ seq: 1, ended: 8 }, { seq: 2, ended: 8 });
    const submit = await session();
    await submit.query('begin');
    await submit.query('select from skein.task where seq = 1 for key share');
    const swept = await sweep().catch((error: unknown) => error);
    expect(swept).to.deep.equal([1]);
    await submit.query('rollback');
    expect(await sweep()).to.deep.equal([]);
  });

  it('sees a dependent that was committed after it had chosen', async () => {
    await add({ seq: 1, ended: 8 }, { seq: 2, ended: 8 });
    const [submit, blocker] = [await session(), await session()];
    await blocker.query('begin');
    await blocker.query('lock table skein.task in exclusive mode');
    const swept = sweep();
    await waits();
    await submit.query(
      `insert into skein.live (seq, type_id, expected_ms, priority, trigger_rule, has_duration, deps)
       values (9, 1, 1, 50, 0, false, '{1}')`,
    );
    await blocker.query('commit');
    expect(await swept).to.deep.equal([1]);
  });

  it('leaves what is revived while it locks', async () => {
    await add({ seq: 1, ended: 8, status: 2 }, { seq: 2, ended: 8, status: 4, deps: [1] });
    const revive = await session();
    await revive.query('begin');
    await revive.query('update skein.task set status = null, finished_at = null where seq = 2');
    await revive.query(
      `with gone as (delete from skein.not_completed where seq = 2)
       insert into skein.live (seq, type_id, expected_ms, priority, trigger_rule, has_duration, deps)
       values (2, 1, 1, 50, 4, false, '{1}')`,
    );
    expect(await sweep()).to.deep.equal([1, 2]);
    await revive.query('commit');
    expect(await sweep()).to.deep.equal([1, 2]);
  });

  /** Resolves when the removal waits for a lock. */
  async function waits(): Promise<void> {
    for (;;) {
      const { rows } = await sql.query(
        `select 1 from pg_stat_activity where datname = current_database()
           and application_name = 'skein/api/test' and wait_event_type = 'Lock'`,
      );
      if (rows.length > 0) return;
      await systemClock.sleep(5);
    }
  }

  it('removes nothing for a leader whose term is over', async () => {
    await add({ seq: 1, ended: 8 });
    await sql.query('update skein.term set term = term + 1');
    const refused: unknown[] = [];
    const keep = (error: unknown): void => void refused.push(error);
    await history.removeTasks(TERM, WEEK, 0).catch(keep);
    await history.removeWorkflows(TERM, WEEK, 0).catch(keep);
    await history.removeEvents(TERM, WEEK).catch(keep);
    for (const error of refused) expect(error).to.be.instanceOf(DeposedError);
    expect(refused).to.have.length(3);
    expect(await left()).to.deep.equal([1]);
  });

  it('estimates what is stored by rows, and takes old events', async () => {
    await add({ seq: 1, ended: 8 }, { seq: 2, ended: 8, status: 2 });
    await sql.query('analyze skein.task');
    const { tasks, others } = await history.sizes();
    expect(tasks.bytesPerRow).to.be.within(200, 2000);
    expect(others).to.have.length(KEPT_BY_TASK.length);
    await sql.query(
      `insert into skein.event (kind, at) values ('old', now() - interval '8 days'), ('new', now())`,
    );
    expect(await history.removeEvents(TERM, WEEK)).to.equal(1);
  });
});
