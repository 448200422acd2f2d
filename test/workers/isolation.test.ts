import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { expect } from 'chai';
import { systemClock, type Clock } from '../../node/base/clock.ts';
import { AbortReason } from '../../node/core/messages.ts';
import { isolatedHandlers } from './isolated-handlers.ts';
import { Bench, WORD_MS, type BenchOptions, type TaskSketch } from './setup.ts';

/**
 * Goal: a task that lost a lease runs in a process of its own, which its node can always end, which
 * outlives neither its node nor the node's lease, and whose deaths are its own.
 * Method: real processes that call back over TCP; the end of the line is the death of the process.
 * Seen to fail: each test names the change of the code that it caught.
 */
/** Whether a process still runs; a dead one that nobody has collected does not. */
function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

interface Caller {
  readonly pid: number;
  readonly child?: number;
  say(text: string): void;
  /** Resolves with all that it said after its first line, when the line ends. */
  readonly gone: Promise<string>;
}

class Switchboard {
  private readonly server = net.createServer((socket) => this.take(socket));
  private readonly calls: Caller[] = [];
  private waiting: (() => void)[] = [];
  port = 0;

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.port = (this.server.address() as net.AddressInfo).port;
    return this;
  }

  close(): void {
    this.server.close();
  }

  async call(number = 0): Promise<Caller> {
    for (;;) {
      const caller = this.calls[number];
      if (caller !== undefined) return caller;
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  private take(socket: net.Socket): void {
    let text = '';
    socket.on('error', () => undefined);
    const gone = new Promise<string>((resolve) => {
      socket.once('close', () => resolve(text));
    });
    let isKnown = false;
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString();
      const end = text.indexOf('\n');
      if (isKnown || end < 0) return;
      isKnown = true;
      const said = JSON.parse(text.slice(0, end)) as { pid: number; child?: number };
      text = text.slice(end + 1);
      this.calls.push({ ...said, gone, say: (word) => socket.write(word) });
      for (const wake of this.waiting.splice(0)) wake();
    });
  }
}

describe('a task in a process of its own', () => {
  let board: Switchboard;
  let bench: Bench;

  beforeEach(async () => {
    board = await new Switchboard().open();
  });
  afterEach(async () => {
    await bench.close();
    board.close();
  });

  const open = async (options: BenchOptions = {}): Promise<Bench> => {
    bench = await Bench.open({ handlers: isolatedHandlers, ...options });
    return bench;
  };
  /** Leases one task that lost a lease before. */
  const start = async (type: string, sketch: TaskSketch = {}): Promise<number> => {
    const payload = JSON.stringify({ port: board.port });
    const seqs = await bench.submit({ type, losses: 1, payload, ...sketch });
    await bench.lease(seqs);
    return seqs[0] as number;
  };
  const resultOf = async (seq: number): Promise<unknown> => {
    await bench.settled(seq);
    return JSON.parse((await bench.task(seq)).result ?? 'null');
  };
  const exists = (pid: number): boolean => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };

  // Seen to fail with `run.losses > 1` in Executor.runHandler.
  it('runs there after the first lost lease, and here before', async () => {
    await open();
    const here = await start('who', { losses: 0 });
    const there = await start('who');
    expect(await resultOf(here)).to.include({ pid: process.pid, attempt: 1, fencingToken: 1 });
    const { pid, ...rest } = (await resultOf(there)) as { pid: number };
    expect(pid).not.to.equal(process.pid);
    expect(rest).to.deep.equal({ attempt: 1, fencingToken: 1 });
  });

  // Seen to fail without `ledger.add`, and without `ledger.remove` at the exit.
  it('has its group in the row of the node while it runs, and not afterwards', async () => {
    await open();
    const seq = await start('wait');
    const caller = await board.call();
    expect(await bench.groups()).to.deep.equal([caller.pid]);
    caller.say('end');
    expect(await resultOf(seq)).to.equal('told to end');
    await caller.gone;
    await bench.shown(
      () => bench.groups(),
      (groups) => groups.length === 0,
    );
  });

  // Seen to fail with `void this.ledger.add(...)`, which begins before the row names the group.
  it('does not begin before the row names its group, and is not charged for an outage', async () => {
    await open();
    const [seq = 0] = await bench.submit({
      type: 'wait',
      losses: 1,
      payload: JSON.stringify({ port: board.port }),
    });
    await bench.admin.query('begin');
    await bench.admin.query('select from skein.node where node_id = $1 for update', [bench.nodeId]);
    await bench.lease([seq]);
    await bench.until(() => bench.slotsUsed === 1);
    bench.worker.interruptAll('lease_lost');
    await bench.settled(seq);
    await bench.admin.query('rollback');
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'released', code: 'lease_lost' }]);
    expect(await bench.live(seq)).to.include({ attempt: 0, node_id: null });
    await bench.shown(
      () => bench.groups(),
      (groups) => groups.length === 0,
    );
  });

  // Seen to fail with the timer at the begin of the wait: it ran while the database was locked.
  it('is timed from when its handler runs, and not while it waits', async () => {
    const timers: (() => void)[] = [];
    const after: Clock['after'] = (ms, action) =>
      ms === 12_345 ? (timers.push(action), () => undefined) : systemClock.after(ms, action);
    await open({ clock: { ...systemClock, after } });
    const payload = JSON.stringify({ port: board.port });
    const sketch = { timeoutMs: 12_345, maxAttempts: 1, losses: 1, payload };
    const [seq = 0] = await bench.submit({ type: 'wait', ...sketch });
    await bench.admin.query('begin');
    await bench.admin.query('select from skein.node where node_id = $1 for update', [bench.nodeId]);
    await bench.lease([seq]);
    await bench.shown(
      () => Promise.resolve(bench.groupWrites),
      (writes) => writes === 1,
    );
    expect(timers).to.have.length(0);
    await bench.admin.query('rollback');
    await board.call();
    await bench.shown(
      () => Promise.resolve(timers),
      () => timers.length === 1,
    );
    timers[0]?.();
    await bench.settled(seq);
    expect((await bench.task(seq)).error).to.include({ code: 'timeout' });
  });

  // Seen to fail without the kill of what does not begin: the task held its slot for ever.
  it('dies when it does not come up', async () => {
    const after: Clock['after'] = (ms, action) => systemClock.after(ms === 30_000 ? 0 : ms, action);
    await open({ childClock: { ...systemClock, after } });
    const seq = await start('wait');
    await bench.settled(seq);
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'failed', code: 'process_died' }]);
  });

  // Seen to fail with `await registerGroups` in the path of the answer: the result was lost.
  it('keeps its result when its group cannot be taken out of the row', async () => {
    await open();
    const seq = await start('wait');
    const caller = await board.call();
    bench.proxy.pause();
    caller.say('end');
    await caller.gone;
    bench.proxy.cutAll();
    bench.proxy.resume();
    expect(await resultOf(seq)).to.equal('told to end');
    await bench.shown(
      () => bench.groups(),
      (groups) => groups.length === 0,
    );
  });

  // Seen to fail with code 'handler_error' for a ProcessDiedError, and with DEATHS_MAX at 4.
  it('is charged for its death, and quarantined after the third', async () => {
    await open();
    const seq = await start('die', {
      maxAttempts: 10,
      backoff: { fixed: true, baseMs: 0, maxMs: 0 },
    });
    for (const deaths of [1, 2]) {
      await bench.until(() => bench.told.length === deaths);
      expect((await bench.attempts(seq)).at(-1)).to.deep.equal({
        outcome: 'failed',
        code: 'process_died',
      });
      expect(await bench.live(seq)).to.include({ attempt: deaths, node_id: null });
      await bench.lease([seq]);
    }
    await bench.until(() => bench.told.length === 3);
    const task = await bench.task(seq);
    expect(task).to.include({ status: 2, attempt: 3 });
    expect(task.error).to.include({ code: 'quarantined', retryable: false });
    expect(task.error?.message).to.include('SIGKILL');
  });

  it('has died when it leaves without an answer', async () => {
    await open();
    const seq = await start('exit');
    await bench.settled(seq);
    const { rows } = await bench.admin.query<{ message: string }>(
      `select error ->> 'message' as message from skein.attempt where seq = $1`,
      [seq],
    );
    expect(rows[0]?.message).to.equal('the process of the task ended with code 0');
  });

  // Seen to fail without the `send` of the abort: the handler did not hear it.
  it('hears why it is to stop', async () => {
    await open({ graceMs: 20_000 });
    const seq = await start('wait');
    const caller = await board.call();
    await bench.writer.cancelMany([seq]);
    bench.worker.abort({ seqs: [seq], leaseSeqs: [1], reason: AbortReason.CANCELLED });
    await bench.settled(seq);
    expect(await caller.gone).to.equal('heard\n');
    expect(await bench.task(seq)).to.include({ status: 3 });
  });

  // Seen to fail without the timer that kills the group.
  it('is killed when it does not heed the signal', async () => {
    await open({ graceMs: 20 });
    const seq = await start('spin');
    const caller = await board.call();
    bench.worker.abort({ seqs: [seq], leaseSeqs: [1], reason: AbortReason.NOT_YOURS });
    await caller.gone;
    await bench.settled(seq);
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'released', code: 'lease_lost' }]);
  });

  // Seen to fail with a kill of the process and not of its group.
  it('takes its own children along when it ends', async () => {
    await open();
    const seq = await start('parent');
    const caller = await board.call();
    expect(await resultOf(seq)).to.equal('left a child behind');
    await bench.shown(
      () => Promise.resolve(exists(caller.child as number)),
      (lives) => !lives,
    );
  });

  // Seen to fail with `liveUntil` left out of the child's reading of words; and charged as a death of
  // its own without the look at the words when it has ended.
  it('ends itself at the word of its node, even while it spins', async () => {
    let leftMs = 60_000;
    await open({ leaseLeftMs: () => leftMs });
    const seq = await start('spin');
    const caller = await board.call();
    leftMs = 0;
    await caller.gone;
    await bench.settled(seq);
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'released', code: 'lease_lost' }]);
    expect(await bench.live(seq)).to.include({ attempt: 0, node_id: null });
  });

  // Seen to fail without the timer of the dead-man thread.
  it('ends itself when the lease is over and no word comes', async () => {
    let leftMs = 60_000;
    let isSilent = false;
    const after: Clock['after'] = (ms, action) =>
      isSilent && ms === WORD_MS ? () => undefined : systemClock.after(ms, action);
    await open({ leaseLeftMs: () => leftMs, childClock: { ...systemClock, after } });
    const seq = await start('spin');
    const caller = await board.call();
    // One more word is under way: the last.
    leftMs = 300;
    isSilent = true;
    await caller.gone;
    await bench.settled(seq);
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'released', code: 'lease_lost' }]);
    expect(await bench.live(seq)).to.include({ attempt: 0, node_id: null });
  });

  // Seen to fail without the listener for the end of the pipe.
  it('ends itself, and its children, when its node is killed', async () => {
    await open();
    const parent = spawn(
      process.execPath,
      ['--import=tsx', new URL('./doomed-parent.ts', import.meta.url).pathname, String(board.port)],
      { stdio: 'ignore' },
    );
    const caller = await board.call();
    parent.kill('SIGKILL');
    await caller.gone;
  });

  // Seen to fail without the kill in ChildIsolation.stop.
  it('is killed at once when the worker is stopped', async () => {
    await open({ graceMs: 20_000 });
    await start('deaf');
    const caller = await board.call();
    expect(await bench.worker.stop()).to.equal(true);
    expect(runs(caller.pid)).to.equal(false);
    await caller.gone;
  });

  // Seen to fail with toResult left out of the child, which then died of the cycle.
  it('answers within the bounds of a result, whatever its handler does', async () => {
    await open();
    const returning = (what: string): Promise<number> =>
      start('return', { maxAttempts: 1, payload: JSON.stringify({ port: board.port, what }) });
    const largest = await returning('largest');
    const large = await returning('large');
    const cycle = await returning('cycle');
    const fatal = await returning('fatal');
    await bench.settled(largest, large, cycle, fatal);
    const nul = await returning('nul');
    const chatter = await returning('chatter');
    await bench.settled(nul, chatter);
    expect((await bench.task(largest)).result).to.have.length(256 * 1024);
    expect((await bench.task(large)).error).to.include({ code: 'result_too_large' });
    expect((await bench.task(cycle)).error).to.include({ code: 'result_not_json' });
    expect((await bench.task(fatal)).error).to.deep.equal({
      code: 'no_use',
      message: 'never again',
      retryable: false,
    });
    expect((await bench.task(nul)).error).to.include({ code: 'odd', message: 'a\ufffdb \ufffd c' });
    expect(await bench.task(chatter)).to.include({ status: 1 });
  });
});
