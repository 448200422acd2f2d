import { systemClock, systemRng } from '../../node/base/clock.ts';
import { ChildIsolation } from '../../node/worker/isolate.ts';
import { loneRun } from './lone-run.ts';

/** A node whose death is part of a test: it isolates one task that spins, and waits to be killed. */
const none = (): void => undefined;
const isolation = new ChildIsolation({
  clock: systemClock,
  rng: systemRng,
  log: { debug: none, info: none, warn: none, error: none },
  childEntry: new URL('./child-entry.mjs', import.meta.url),
  graceMs: 60_000,
  wordMs: 20,
  leaseLeftMs: () => 60_000,
  registerGroups: () => Promise.resolve(),
});
const payload = JSON.stringify({ port: Number(process.argv[2]) });
const [run, context] = loneRun({ id: 'task-1', type: 'spin', payload });
await isolation.run(run, context, none);
