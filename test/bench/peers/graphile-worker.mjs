import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';
import { serve, settings, Tally, timed, url } from './serve.mjs';

/** The preset of its performance page, without a line of log a job. */
const preset = {
  worker: {
    connectionString: url,
    logger: new Logger(() => () => undefined),
    concurrentJobs: settings.concurrency,
    maxPoolSize: settings.concurrency + 1,
    localQueue: { size: settings.localQueue },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
};
const tally = new Tally();
const pool = new pg.Pool({ connectionString: url, max: 1 });
let utils;
let runner;

await serve({
  prepare: async () => {
    utils = await makeWorkerUtils({ preset });
    await utils.migrate();
  },
  insert: ({ count }) => {
    const jobs = Array.from({ length: count }, () => ({ identifier: 'noop', payload: {} }));
    return timed(() => utils.addJobs(jobs));
  },
  settle: async () => {
    await pool.query('vacuum (analyze) graphile_worker._private_jobs');
    await pool.query('checkpoint');
  },
  isEmpty: async () => {
    const { rows } = await pool.query(
      'select not exists (select from graphile_worker._private_jobs) as empty',
    );
    return rows[0];
  },
  clear: () => undefined,
  work: async () => {
    tally.reset();
    const taskList = { noop: () => tally.note(1) };
    runner = await run({ preset, taskList, crontab: '', noHandleSignals: true });
  },
  stop: () => runner.stop(),
});
