import PgBoss from 'pg-boss';
import pg from 'pg';
import { serve, settings, Tally, timed, url } from './serve.mjs';

/** Batches, and no pause between two of them: a worker that has had jobs is told to look again. */
const QUEUE = 'noop';
const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
boss.on('error', (error) => process.stderr.write(`${String(error)}\n`));
const pool = new pg.Pool({ connectionString: url, max: 1 });
const tally = new Tally();

await serve({
  prepare: async () => {
    await boss.start();
    await boss.createQueue(QUEUE);
  },
  insert: ({ count }) => {
    const jobs = Array.from({ length: count }, () => ({ name: QUEUE, data: {} }));
    return timed(() => boss.insert(jobs));
  },
  settle: async () => {
    await pool.query('vacuum (analyze) pgboss.job');
    await pool.query('checkpoint');
  },
  isEmpty: async () => {
    const { rows } = await pool.query(
      `select not exists (select from pgboss.job where name = $1 and state < 'completed') as empty`,
      [QUEUE],
    );
    return rows[0];
  },
  // What is completed stays in the table, and would slow down the next round.
  clear: () => boss.clearStorage(),
  work: async () => {
    tally.reset();
    const options = { batchSize: settings.batchSize, pollingIntervalSeconds: 0.5 };
    const id = await boss.work(QUEUE, options, (jobs) => {
      tally.note(jobs.length);
      boss.notifyWorker(id);
      return Promise.resolve();
    });
  },
  stop: () => boss.offWork(QUEUE),
});
