import { expect } from 'chai';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import { ChildIsolation } from '../../node/worker/isolate.ts';
import { loneRun } from './lone-run.ts';

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
  // Seen to fail where the task is sent while its group is still being written down.
  it('are written down before a task begins in one of them', async () => {
    const waiting: (() => void)[] = [];
    const slow = isolationWith(() => new Promise((resolve) => waiting.push(resolve)));
    const quick = isolationWith(() => Promise.resolve());
    const [run, context] = loneRun({ id: 'a', type: 'who', payload: null });
    const none = (): void => undefined;
    let hasEnded = false;
    const held = slow.run(run, context, none).finally(() => (hasEnded = true));
    // Two that began after it, one after the other, have had all the time that they need.
    await quick.run(run, context, none);
    await quick.run(run, context, none);
    expect(hasEnded).to.equal(false);
    for (const resolve of waiting.splice(0)) resolve();
    expect(JSON.parse(await held)).to.include({ attempt: 1 });
  });
});
