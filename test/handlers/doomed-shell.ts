import { systemClock, systemRng } from '../../node/base/clock.ts';
import { ChildIsolation } from '../../node/worker/isolate.ts';
import { loneRun } from '../workers/lone-run.ts';

/** A node whose death is part of a test: it runs one command, and waits to be killed. */
const none = (): void => undefined;
const isolation = new ChildIsolation({
  clock: systemClock,
  rng: systemRng,
  log: { debug: none, info: none, warn: none, error: none },
  childEntry: new URL('../workers/child-entry.mjs', import.meta.url),
  graceMs: 60_000,
  wordMs: 20,
  leaseLeftMs: () => 60_000,
  registerGroups: () => Promise.resolve(),
});
const payload = process.argv[2] ?? null;
const [run, context] = loneRun({ id: 'task-1', type: 'shell', payload });
await isolation.run(run, context, none);
