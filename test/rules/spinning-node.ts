import { existsSync } from 'node:fs';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import { ChildIsolation } from '../../node/worker/isolate.ts';
import { loneRun } from '../workers/lone-run.ts';

/**
 * A node to be killed: it runs one task in a process of its own, and says which group that leads. From
 * when the task has begun its lease has always the same time left, and it says so with each word.
 */
const [sign = '', leaseLeftMs] = process.argv.slice(2);
const none = (): void => undefined;
const isolation = new ChildIsolation({
  clock: systemClock,
  rng: systemRng,
  log: { debug: none, info: none, warn: none, error: none },
  childEntry: new URL('./spinning-child.mjs', import.meta.url),
  graceMs: 60_000,
  wordMs: 20,
  leaseLeftMs: () => {
    if (!existsSync(sign)) return 60_000;
    process.stdout.write('word\n');
    return Number(leaseLeftMs);
  },
  registerGroups: ([group = 0]) => {
    process.stdout.write(`${String(group)}\n`);
    return Promise.resolve();
  },
});
const [run, context] = loneRun({ id: 't1', type: 'spin', payload: JSON.stringify(sign) });
await isolation.run(run, context, none);
