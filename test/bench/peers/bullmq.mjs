import { Queue, Worker } from 'bullmq';
import { serve, settings, Tally, timed, url } from './serve.mjs';

const QUEUE = 'noop';
const CHUNK = 10_000;
const { hostname: host, port } = new URL(url);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const tally = new Tally();
let queue;
let worker;

await serve({
  prepare: async () => {
    queue = new Queue(QUEUE, { connection, defaultJobOptions: { removeOnComplete: true } });
    await queue.waitUntilReady();
  },
  insert: ({ count }) =>
    timed(async () => {
      for (let at = 0; at < count; at += CHUNK) {
        const length = Math.min(CHUNK, count - at);
        await queue.addBulk(Array.from({ length }, () => ({ name: QUEUE, data: {} })));
      }
    }),
  settle: () => undefined,
  isEmpty: async () => {
    const { waiting, active } = await queue.getJobCounts('waiting', 'active');
    return { empty: waiting + active === 0 };
  },
  clear: () => undefined,
  work: async () => {
    tally.reset();
    const { concurrency } = settings;
    worker = new Worker(QUEUE, async () => tally.note(1), { connection, concurrency });
    worker.on('error', (error) => process.stderr.write(`${String(error)}\n`));
    await worker.waitUntilReady();
  },
  stop: () => worker.close(),
});
