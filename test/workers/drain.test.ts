import { expect } from 'chai';
import { systemClock, type Clock } from '../../node/base/clock.ts';
import { handlerOf, Held } from './fakes.ts';
import { Bench, type BenchOptions } from './setup.ts';

/**
 * Goal: a node that leaves charges nobody, loses nothing and always gets away.
 * Method: the real worker, drained with handlers that end, heed their signal, or do neither.
 * Seen to fail: each test names the change of the code that it caught.
 */
describe('a drain', () => {
  let bench: Bench;
  const open = async (options: BenchOptions = {}): Promise<Bench> => {
    bench = await Bench.open(options);
    return bench;
  };
  const never = new AbortController().signal;
  const LONG_MS = 60_000;
  afterEach(() => bench.close());

  // Seen to fail with interruptAll at the begin of the drain.
  it('lets what runs finish, hands back what has not begun, and takes nothing more', async () => {
    const held = new Held();
    await open({ handlers: [held], slots: 1 });
    const [running = 0, queued = 0, late = 0] = await bench.submit(
      { type: 'held' },
      { type: 'held' },
      { type: 'held' },
    );
    await bench.lease([running, queued]);
    await held.hasBegun(1);
    const drained = bench.worker.drain(LONG_MS, never);
    await bench.settled(queued);
    await bench.lease([late]);
    await bench.settled(late);
    expect(held.begun[0]?.signal.aborted).to.equal(false);
    held.begun[0]?.end('done');
    await drained;
    expect(await bench.task(running)).to.include({ status: 1, result: '"done"' });
    for (const seq of [queued, late]) {
      expect(await bench.live(seq)).to.include({ attempt: 0, lease_seq: 2, node_id: null });
      expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'released', code: 'draining' }]);
    }
    expect(held.begun).to.have.length(1);
  });

  // Seen to fail without `cancelGrace`, and with a charge for RELEASED in lease-store.settleMany.
  it('interrupts what is left after the grace, and charges no attempt for it', async () => {
    const held = new Held();
    await open({ handlers: [held] });
    const [seq = 0] = await bench.submit({ type: 'held' });
    await bench.lease([seq]);
    await held.hasBegun(1);
    await bench.worker.drain(10, never);
    expect(held.begun[0]?.signal.reason).to.include({ code: 'draining' });
    expect(await bench.live(seq)).to.include({ attempt: 0, losses: 0, node_id: null });
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'released', code: 'draining' }]);
  });

  it('ends at once where nothing is held', async () => {
    await open();
    await bench.worker.drain(LONG_MS, never);
  });

  // Seen to fail with a signal that ends the drain: the lease was lost, and not handed back.
  it('hands back what runs, uncharged, when it is told to hurry', async () => {
    const held = new Held();
    await open({ handlers: [held] });
    const [seq = 0] = await bench.submit({ type: 'held' });
    await bench.lease([seq]);
    await held.hasBegun(1);
    const hurry = new AbortController();
    const drained = bench.worker.drain(LONG_MS, hurry.signal);
    hurry.abort();
    await drained;
    expect(await bench.live(seq)).to.include({ attempt: 0, losses: 0, node_id: null });
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'released', code: 'draining' }]);
  });

  // Seen to fail without removeEventListener: the count was 1.
  it('ends when its signal says so, and listens no longer', async () => {
    const held = new Held();
    await open({ handlers: [held] });
    const [seq = 0] = await bench.submit({ type: 'held' });
    await bench.lease([seq]);
    await held.hasBegun(1);
    const { signal, listeners } = countedSignal();
    const hurry = signal();
    const drained = bench.worker.drain(LONG_MS, hurry);
    expect(listeners()).to.equal(1);
    held.begun[0]?.end(null);
    await drained;
    expect(listeners()).to.equal(0);
    await bench.worker.drain(LONG_MS, AbortSignal.abort());
  });

  // Seen to fail without `heeded` in the executor: the drain never ended.
  it('leaves a handler behind that does not heed its signal', async () => {
    const deaf = handlerOf('deaf', () => new Promise(() => undefined));
    await open({ handlers: [deaf], clock: HASTY });
    const [seq = 0] = await bench.submit({ type: 'deaf' });
    await bench.lease([seq]);
    await bench.until(() => bench.slotsUsed === 1);
    await bench.worker.drain(0, never);
    expect(bench.slotsUsed).to.equal(0);
    expect(bench.lines.map(({ message }) => message)).to.include(
      'A handler does not heed its signal; it is left behind.',
    );
    // On this clock the drain may be over before the commit; the settler goes on.
    const attempts = await bench.shown(
      () => bench.attempts(seq),
      (found) => found.length > 0,
    );
    expect(attempts).to.deep.equal([{ outcome: 'released', code: 'draining' }]);
  });

  // Seen to fail without `onIdle` in stop.
  it('ends when the worker is stopped', async () => {
    const held = new Held();
    await open({ handlers: [held] });
    const [seq = 0] = await bench.submit({ type: 'held' });
    await bench.lease([seq]);
    await held.hasBegun(1);
    const drained = bench.worker.drain(LONG_MS, never);
    await bench.worker.stop();
    await drained;
    expect(held.begun[0]?.signal.aborted).to.equal(true);
  });

  // Seen to fail without `cancelLast`.
  it('ends though the database is away, and says what it left', async () => {
    const held = new Held();
    await open({ handlers: [held], clock: HASTY });
    const [seq = 0] = await bench.submit({ type: 'held' });
    await bench.lease([seq]);
    await held.hasBegun(1);
    await bench.proxy.close();
    await bench.worker.drain(0, never);
    expect(bench.lines.at(-1)).to.deep.include({
      message: 'Leases were left unsettled.',
      fields: { count: 1 },
    });
  });
});

/** A second is 25 ms. */
const HASTY: Clock = {
  ...systemClock,
  after: (ms, action) => systemClock.after(ms / 40, action),
};

/** A signal of which the listeners can be counted. */
function countedSignal(): { signal: () => AbortSignal; listeners: () => number } {
  const { signal } = new AbortController();
  let count = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    count += 1;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    count -= 1;
    remove(...args);
  };
  return { signal: () => signal, listeners: () => count };
}
