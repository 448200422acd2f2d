import { expect } from 'chai';
import { systemClock } from '../../node/base/clock.ts';
import { AbortReason, SettledAs } from '../../node/core/messages.ts';
import { noop } from '../../node/handlers/noop.ts';
import type { LeaseStorePort, Work } from '../../node/worker/ports.ts';
import { handlerOf, Held, NO_STORE } from './fakes.ts';
import { Bench, type BenchOptions } from './setup.ts';

/**
 * Goal: what a node does between a grant and its outcome, in order and without losing a slot.
 * Method: the real worker on a real PostgreSQL, with handlers that end when the test says so.
 * Seen to fail: each test names the change of the code that it caught.
 */
describe('a worker', () => {
  let bench: Bench;
  const open = async (options: BenchOptions = {}): Promise<Bench> => {
    bench = await Bench.open(options);
    return bench;
  };
  afterEach(() => bench.close());

  // Seen to fail with `status = 2` in lease-store.completeMany.
  it('completes a leased task, ends its lease in the same commit, and says so', async () => {
    await open({ handlers: [noop, handlerOf('sum', () => Promise.resolve({ sum: [1, 2] }))] });
    const beganMs = await bench.now();
    const [first = 0, second = 0] = await bench.runAll({}, { type: 'sum' });
    const task = await bench.task(first);
    expect(task).to.include({ status: 1, result: 'null', error: null, attempt: 1, lease_seq: 1 });
    expect((await bench.task(second)).result).to.equal('{"sum":[1,2]}');
    expect(task.started).to.be.within(beganMs, task.finished as number);
    expect(task.finished).to.be.at.most(await bench.now());
    expect(await bench.live(first)).to.equal(undefined);
    expect(await bench.attempts(first)).to.deep.equal([]);
    const { runMs, ...told } = bench.told.find(({ seq }) => seq === first) ?? { runMs: NaN };
    expect(runMs).to.be.within(0, (await bench.now()) - beganMs);
    expect(told).to.deep.equal({
      seq: first,
      leaseSeq: 1,
      settledAs: SettledAs.COMPLETED,
      nextLeaseSeq: 0,
      attempt: 0,
      runAtMs: 0,
    });
    expect(bench.worker.inventory).to.deep.equal({ seqs: [], leaseSeqs: [] });
    expect(bench.finished.map(({ type, status }) => `${type} ${status}`)).to.have.members([
      'noop COMPLETED',
      'sum COMPLETED',
    ]);
  });

  // Seen to fail with `this.held.set` moved behind the fetch.
  it('enters a grant in the inventory in the tick in which it comes', async () => {
    await open();
    const [seq = 0] = await bench.submit({});
    const leaseSeqs = await bench.lease([seq], false);
    bench.worker.accept({ seqs: [seq], leaseSeqs, attempts: [0], losses: [0] });
    expect(bench.worker.inventory).to.deep.equal({ seqs: [seq], leaseSeqs: [1] });
    await bench.settled(seq);
  });

  // Seen to fail with `this.running <= this.deps.slots` in begin, and without takeSlots(-1).
  it('queues what it has no slot for, in order, and gives every slot back', async () => {
    const held = new Held();
    await open({ handlers: [held], slots: 2 });
    const sketch = { type: 'held' };
    const seqs = await bench.submit(sketch, sketch, sketch, sketch, sketch);
    await bench.lease(seqs);
    for (const count of [2, 3, 4, 5]) {
      await held.hasBegun(count);
      expect(held.begun).to.have.length(count);
      held.begun[count - 2]?.end(null);
    }
    held.begun[4]?.end(null);
    await bench.settled(...seqs);
    expect(held.begun.map(({ id }) => id)).to.deep.equal(seqs.map((seq) => `task-${String(seq)}`));
    expect(bench.slotsUsedMax).to.equal(2);
    expect(bench.slotsUsed).to.equal(0);
  });

  // Seen to fail with a payload that readWork does not read after the lease (rule 10).
  it('hands the task the last edit of its payload before the lease', async () => {
    await open({ handlers: [handlerOf('echo', ({ payload }) => Promise.resolve(payload))] });
    const [seq = 0] = await bench.submit({ type: 'echo', payload: '{"edit":1}' });
    await bench.admin.query(`update skein.task set payload = '{"edit": 2}' where seq = $1`, [seq]);
    await bench.lease([seq]);
    await bench.settled(seq);
    expect((await bench.task(seq)).result).to.equal('{"edit":2}');
  });

  // Seen to fail with MARK_AFTER_MS at 600,000.
  it('shows the start of what has run for a while, and keeps to it', async () => {
    const held = new Held();
    await open({ handlers: [held] });
    const [seq = 0] = await bench.submit({ type: 'held' });
    await bench.lease([seq]);
    await held.hasBegun(1);
    await bench.worker.markStarted();
    expect((await bench.live(seq))?.started_at).to.equal(null);
    const shown = await bench.shown(
      async () => {
        await bench.worker.markStarted();
        return (await bench.live(seq))?.started_at ?? null;
      },
      (startedAt) => startedAt !== null,
    );
    held.begun[0]?.end(null);
    await bench.settled(seq);
    const { rows } = await bench.admin.query<{ started_at: Date }>(
      'select started_at from skein.task where seq = $1',
      [seq],
    );
    expect(rows[0]?.started_at.getTime()).to.equal(shown?.getTime());
  });

  // Seen to fail with `known.leaseSeq > leaseSeq` in accept.
  it('runs a lease once, however often it is granted', async () => {
    const held = new Held();
    await open({ handlers: [held] });
    const [seq = 0] = await bench.submit({ type: 'held' });
    await bench.lease([seq]);
    await held.hasBegun(1);
    for (const leaseSeq of [1, 0]) {
      bench.worker.accept({ seqs: [seq], leaseSeqs: [leaseSeq], attempts: [0], losses: [0] });
    }
    held.begun[0]?.end('once');
    await bench.settled(seq);
    expect(held.begun).to.have.length(1);
    expect(held.begun[0]?.signal.aborted).to.equal(false);
  });

  // Seen to fail without the interruption of the known lease in accept, and with a stale outcome that
  // takes whatever lease of its task is held out of the inventory.
  it('stops a lease for one of a higher number, and drops what it leaves', async () => {
    const held = new Held();
    await open({ handlers: [held] });
    const [seq = 0] = await bench.submit({ type: 'held' });
    await bench.lease([seq]);
    await held.hasBegun(1);
    await bench.supersede(seq);
    await bench.lease([seq]);
    await held.hasBegun(2);
    expect(held.begun[0]?.signal.reason).to.include({ code: 'lease_lost' });
    expect(bench.worker.inventory).to.deep.equal({ seqs: [seq], leaseSeqs: [3] });
    await bench.until(() => bench.stale === 1);
    expect(bench.worker.inventory).to.deep.equal({ seqs: [seq], leaseSeqs: [3] });
    held.begun[1]?.end('second');
    await bench.settled(seq);
    expect(await bench.task(seq)).to.include({ status: 1, result: '"second"', lease_seq: 3 });
  });

  // Seen to fail where neither accept, begin nor the executor asks the halt.
  it('never begins a superseded lease that waits for a slot', async () => {
    const held = new Held();
    await open({ handlers: [held], slots: 1 });
    const [first = 0, second = 0] = await bench.submit({ type: 'held' }, { type: 'held' });
    await bench.lease([first, second]);
    await held.hasBegun(1);
    await bench.supersede(second);
    await bench.lease([second]);
    await bench.until(() => bench.stale === 1);
    held.begun[0]?.end(null);
    await held.hasBegun(2);
    held.begun[1]?.end(null);
    await bench.settled(first, second);
    expect(held.begun).to.have.length(2);
    expect(await bench.task(second)).to.include({ status: 1, lease_seq: 3 });
  });

  // Seen to fail with an abort that looks at the number of the task alone.
  it('stops a task for the very lease it holds only', async () => {
    const held = new Held();
    await open({ handlers: [held] });
    const [seq = 0] = await bench.submit({ type: 'held' });
    await bench.lease([seq]);
    await held.hasBegun(1);
    const reason = AbortReason.NOT_YOURS;
    bench.worker.abort({ seqs: [seq], leaseSeqs: [2], reason });
    expect(held.begun[0]?.signal.aborted).to.equal(false);
    bench.worker.abort({ seqs: [seq, 99], leaseSeqs: [1, 1], reason });
    expect(held.begun[0]?.signal.reason).to.include({ code: 'lease_lost' });
    await bench.settled(seq);
  });

  // Seen to fail with a recall that interrupts what runs, and with one that looks at the task alone.
  it('hands back what waits when it is asked to, under the very lease, and lets the rest run', async () => {
    const held = new Held();
    await open({ handlers: [held], slots: 1 });
    const sketch = { type: 'held' };
    const [running = 0, asked = 0, other = 0] = await bench.submit(sketch, sketch, sketch);
    await bench.lease([running, asked, other]);
    await held.hasBegun(1);
    bench.worker.recall({ seqs: [running, asked, other, 99], leaseSeqs: [1, 1, 2, 1] });
    await bench.settled(asked);
    expect(await bench.live(asked)).to.include({ lease_seq: 2, node_id: null, attempt: 0 });
    expect(held.begun[0]?.signal.aborted).to.equal(false);
    held.begun[0]?.end(null);
    await held.hasBegun(2);
    held.begun[1]?.end(null);
    await bench.settled(running, other);
    expect(await bench.task(other)).to.include({ status: 1, lease_seq: 1 });
  });

  // Seen to fail without `isLeaseSafe` in begin.
  it('begins nothing while the node cannot renew its lease', async () => {
    const held = new Held();
    await open({ handlers: [held] });
    const [seq = 0] = await bench.submit({ type: 'held' });
    bench.isLeaseSafe = false;
    await bench.lease([seq]);
    await Promise.race([bench.settled(seq), held.hasBegun(1)]);
    expect(held.begun).to.have.length(0);
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'released', code: 'lease_lost' }]);
    expect(await bench.live(seq)).to.include({ attempt: 0, lease_seq: 2, node_id: null });
  });

  // Seen to fail with a free slot for the first of the queue alone: the second waited for ever.
  it('leaves nothing in the queue for a slot when the lease is in doubt as one becomes free', async () => {
    const held = new Held();
    await open({ handlers: [held], slots: 1 });
    const sketch = { type: 'held' };
    const [first = 0, ...others] = await bench.submit(sketch, sketch, sketch);
    await bench.lease([first, ...others]);
    await held.hasBegun(1);
    bench.isLeaseSafe = false;
    held.begun[0]?.end(null);
    await bench.settled(first, ...others);
    expect(held.begun).to.have.length(1);
    expect(bench.worker.inventory.seqs).to.deep.equal([]);
  });

  // Seen to fail where neither the executor nor the isolation asks the halt.
  it('starts no process for what is interrupted while it is being looked into', async () => {
    await open({
      handlers: [new Held()],
      store: (real) =>
        Object.assign(Object.create(real) as typeof real, {
          deaths: (seq: number): Promise<number> => {
            bench.worker.interruptAll('lease_lost');
            return real.deaths(seq);
          },
        }),
    });
    const [seq = 0] = await bench.submit({ type: 'held', losses: 1 });
    await bench.lease([seq]);
    await bench.settled(seq);
    expect(bench.groupWrites).to.equal(0);
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'released', code: 'lease_lost' }]);
  });

  // Seen to fail with `isFetching = false` in a `finally` of the promise, a microtask too late.
  it('reads what is granted at whatever moment of the read before', async () => {
    const store: LeaseStorePort = {
      ...NO_STORE,
      work: (seqs) => Promise.resolve(seqs.map((seq) => ({ ...WORK, seq }))),
      completeMany: ({ seqs }) => Promise.resolve(seqs),
    };
    await open({ store: () => store });
    for (let ticks = 0; ticks < 40; ticks++) {
      const first = 2 * ticks + 1;
      const grant = (seq: number): void => {
        bench.worker.accept({ seqs: [seq], leaseSeqs: [1], attempts: [0], losses: [0] });
      };
      grant(first);
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
      grant(first + 1);
      await systemClock.sleep(0);
      expect(bench.told, `${String(ticks)} microtasks later`).to.have.length(first + 1);
    }
  });
});

const WORK: Work = {
  seq: 0,
  id: 'task',
  type: 'noop',
  payload: null,
  durationMs: null,
  maxAttempts: 1,
  timeoutMs: null,
  backoff: { isFixed: true, baseMs: 0, maxMs: 0 },
  isTypeHandled: true,
};
