import { systemClock } from '../../node/base/clock.ts';
import { Halt } from '../../node/worker/halt.ts';
import type { Work } from '../../node/worker/ports.ts';
import { RunContext, type Run } from '../../node/worker/run-context.ts';
import { noSpawn } from '../support/no-spawn.ts';

/** A run outside any worker, with a context that nobody reads. */
export function loneRun(work: Pick<Work, 'id' | 'type' | 'payload'>): readonly [Run, RunContext] {
  const run = {
    work: {
      ...{ seq: 1, durationMs: null, maxAttempts: 1, timeoutMs: null, isTypeHandled: true },
      backoff: { isFixed: true, baseMs: 0, maxMs: 0 },
      ...work,
    },
    ...{ attempt: 1, leaseSeq: 1, losses: 1, deaths: 0, halt: new Halt() },
  };
  const context = new RunContext(run, {
    clock: systemClock,
    reports: { lines: () => undefined, progress: () => undefined },
    results: () => Promise.resolve(new Map()),
    spawn: noSpawn,
  });
  return [run, context];
}
