import { execFileSync } from 'node:child_process';
import { expect } from 'chai';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import { ceilingMs, fullJitterMs } from '../../node/base/backoff.ts';
import { Waker } from '../../node/base/waker.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** Goal: time that can be waited for, taken back and shared. Method: the real clock, and a fake one. */
describe('the clock of the system', () => {
  // Seen to fail with performance.now, which counts from the start of each process.
  it('counts from an instant that the processes of a machine share', () => {
    const script = `
      const { systemClock } = await import('./node/base/clock.ts');
      process.stdout.write(String(systemClock.monotonicMs()));`;
    const beforeMs = systemClock.monotonicMs();
    const args = ['--import=tsx', '--input-type=module', '-e', script];
    const otherMs = Number(execFileSync(process.execPath, args, { encoding: 'utf8' }));
    expect(otherMs).to.be.within(beforeMs, systemClock.monotonicMs());
  });

  it('never runs backwards, and tells fractions of a millisecond', () => {
    let lastMs = systemClock.monotonicMs();
    let hasFraction = false;
    for (let i = 0; i < 1000; i++) {
      const nowMs = systemClock.monotonicMs();
      expect(nowMs).to.be.at.least(lastMs);
      hasFraction ||= nowMs % 1 !== 0;
      lastMs = nowMs;
    }
    expect(hasFraction).to.equal(true);
  });

  // Seen to fail without clearTimeout in `after`.
  it('calls an action once, and not when it was taken back', async () => {
    const calls: string[] = [];
    systemClock.after(1, () => calls.push('kept'));
    systemClock.after(0, () => calls.push('taken back'))();
    await systemClock.sleep(5);
    expect(calls).to.deep.equal(['kept']);
  });

  // Seen to fail without the look at `aborted`, and without clearTimeout: the process lived on.
  it('ends a sleep as soon as its signal aborts, or at once where it had', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const asleep = systemClock
      .sleep(3_600_000, controller.signal)
      .catch((thrown: unknown) => thrown);
    controller.abort(reason);
    expect(await asleep).to.equal(reason);
    expect(
      await systemClock.sleep(3_600_000, controller.signal).catch((thrown: unknown) => thrown),
    ).to.equal(reason);
    const odd = AbortSignal.abort('a text');
    const thrown = await systemClock.sleep(1, odd).catch((error: unknown) => error);
    expect(thrown).to.be.instanceOf(Error);
    expect((thrown as Error).cause).to.equal('a text');
  });

  // Seen to fail without removeEventListener in the timer's end.
  it('leaves no listener behind', async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    signal.addEventListener = () => (listeners += 1);
    signal.removeEventListener = () => (listeners -= 1);
    await systemClock.sleep(1, signal);
    expect(listeners).to.equal(0);
  });
});

describe('a backoff', () => {
  // Seen to fail with an exponent of `failures`.
  it('doubles its ceiling with each failure, up to its limit, however many there are', () => {
    const settings = { baseMs: 100, maxMs: 1000 };
    const ceilings = [0, 1, 2, 3, 4, 5, 1e9].map((failures) => ceilingMs(settings, failures));
    expect(ceilings).to.deep.equal([100, 100, 200, 400, 800, 1000, 1000]);
    expect(ceilingMs({ baseMs: 1, maxMs: Infinity }, 1e9)).to.equal(2 ** 30);
  });

  it('is drawn from all of the range below the ceiling', () => {
    const settings = { baseMs: 100, maxMs: 1000 };
    for (const draw of [0, 0.25, 0.999]) {
      expect(fullJitterMs(settings, 3, { random: () => draw })).to.equal(400 * draw);
    }
    for (let i = 0; i < 100; i++) {
      expect(fullJitterMs(settings, 9, systemRng)).to.be.within(0, 1000);
    }
  });
});

describe('a waker', () => {
  const setup = () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    return { clock, controller, waker: new Waker(clock), signal: controller.signal };
  };

  // Seen to fail with `hasNews` set only while somebody waits: the wake-up was lost.
  it('keeps news that come while its loop is awake, once', async () => {
    const { waker, clock, signal } = setup();
    waker.wake();
    waker.wake();
    expect(await waker.wait(1000, signal)).to.equal(true);
    const waiting = waker.wait(1000, signal);
    await clock.advance(1000);
    expect(await waiting).to.equal(false);
  });

  it('ends a wait at news, in time, or by the signal', async () => {
    const { waker, clock, controller, signal } = setup();
    const first = waker.wait(1000, signal);
    waker.wake();
    expect(await first).to.equal(true);
    const second = waker.wait(1000, signal);
    await clock.advance(999);
    controller.abort();
    expect(await second).to.equal(false);
    expect(await waker.wait(1000, signal)).to.equal(false);
    waker.wake();
    expect(await waker.wait(1000, signal)).to.equal(true);
  });

  // Seen to fail without `cancel()` in `end`.
  it('leaves neither a timer nor a listener behind', async () => {
    const { waker, clock, signal } = setup();
    let listeners = 0;
    signal.addEventListener = () => (listeners += 1);
    signal.removeEventListener = () => (listeners -= 1);
    const waiting = waker.wait(1000, signal);
    waker.wake();
    await waiting;
    expect(clock.pending).to.equal(0);
    expect(listeners).to.equal(0);
  });
});
