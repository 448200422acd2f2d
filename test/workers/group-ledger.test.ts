import { expect } from 'chai';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import { ChildIsolation } from '../../node/worker/isolate.ts';

/** Goal: nothing runs in a process that nobody could find (rule 7). Method: real processes. */
describe('the process groups of a node', () => {
  const isolations: ChildIsolation[] = [];
  const isolationWith = (registerGroups: () => Promise<void>): ChildIsolation => {
    const quiet = (): void => undefined;
    const isolation = new ChildIsolation({
      ...{ clock: systemClock, rng: systemRng, graceMs: 100, wordMs: 1000, registerGroups },
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      childEntry: new URL('./child-entry.mjs', import.meta.url),
      leaseLeftMs: () => 60_000,
    });
    isolations.push(isolation);
    return isolation;
  };
  afterEach(async () => {
    await Promise.all(isolations.splice(0).map((isolation) => isolation.stop()));
  });
  const work = {
    ...{ seq: 1, id: 'a', type: 'who', payload: null, durationMs: null, maxAttempts: 3 },
    ...{ timeoutMs: null, backoff: { isFixed: true, baseMs: 1, maxMs: 1 }, isTypeHandled: true },
  };

  // Seen to fail where the task is sent while its group is still being written down.
  it('are written down before a task begins in one of them', async () => {
    const waiting: (() => void)[] = [];
    const slow = isolationWith(() => new Promise((resolve) => waiting.push(resolve)));
    const quick = isolationWith(() => Promise.resolve());
    const { signal } = new AbortController();
    const none = (): void => undefined;
    let hasEnded = false;
    const held = slow.run(work, 1, 1, none, signal).finally(() => (hasEnded = true));
    // Two that began after it, one after the other, have had all the time that they need.
    await quick.run(work, 1, 1, none, signal);
    await quick.run(work, 1, 1, none, signal);
    expect(hasEnded).to.equal(false);
    for (const resolve of waiting.splice(0)) resolve();
    expect(JSON.parse(await held)).to.include({ attempt: 1 });
  });
});
