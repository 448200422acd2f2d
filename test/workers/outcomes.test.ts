import { expect } from 'chai';
import { FatalError, type Handler } from '../../node/core/handler.ts';
import { AbortReason, SettledAs } from '../../node/core/messages.ts';
import { handlerOf, Held, nested } from './fakes.ts';
import { Bench, type BenchOptions, type TaskSketch } from './setup.ts';

/**
 * Goal: whatever a handler does becomes the right outcome, and the row says what a user needs.
 * Method: handlers that throw, hang, or return what no database takes, on a real PostgreSQL.
 * Seen to fail: each test names the change of the code that it caught.
 */
describe('an outcome', () => {
  let bench: Bench;
  const open = async (options: BenchOptions = {}): Promise<Bench> => {
    bench = await Bench.open(options);
    return bench;
  };
  afterEach(() => bench.close());

  /** Runs one task of this handler once, and answers its number. */
  const run = async (
    handler: Handler['run'],
    sketch: TaskSketch = {},
    options: BenchOptions = {},
  ): Promise<number> => {
    await open({ handlers: [handlerOf('odd', handler)], ...options });
    const [seq = 0] = await bench.runAll({ type: 'odd', ...sketch });
    return seq;
  };
  const failing = (): Promise<never> =>
    Promise.reject(Object.assign(new Error('not today'), { code: 'no_luck' }));

  // Seen to fail with a delay of 0 for a fixed backoff, and without `attempt + charged`.
  it('of a failure is charged and tried again after a fixed backoff', async () => {
    const seq = await run(failing, { backoff: { fixed: true, baseMs: 60_000, maxMs: 90_000 } });
    const live = await bench.live(seq);
    expect(live).to.include({ attempt: 1, lease_seq: 2, node_id: null });
    expect(live?.due_in_ms).to.be.within(1, 60_000);
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'failed', code: 'no_luck' }]);
    const [told] = bench.told;
    expect(told).to.include({ settledAs: SettledAs.RETRY, leaseSeq: 1, nextLeaseSeq: 2 });
    expect(told).to.include({ attempt: 1 });
    expect((told?.runAtMs ?? 0) - (await bench.now())).to.be.within(1, 60_000);
    expect(await bench.task(seq)).to.include({ status: null, started: null });
  });

  // Seen to fail with the pause of the backoff alone.
  it('waits as long as the error asks for, where that is longer, an hour at most', async () => {
    const throwing = (retryAfterMs: number) => () => {
      throw Object.assign(new Error('not now'), { retryAfterMs });
    };
    const handlers = [
      { type: 'soon', run: throwing(1) },
      { type: 'later', run: throwing(600_000) },
      { type: 'never', run: throwing(Infinity) },
    ];
    bench = await Bench.open({ handlers });
    const backoff = { fixed: true, baseMs: 60_000, maxMs: 60_000 };
    const types = ['soon', 'later', 'never'];
    const seqs = await bench.runAll(...types.map((type) => ({ type, backoff })));
    const due: number[] = [];
    for (const seq of seqs) due.push((await bench.live(seq))?.due_in_ms ?? 0);
    expect(due[0]).to.be.within(1, 60_000);
    expect(due[1]).to.be.within(60_001, 600_000);
    expect(due[2]).to.be.within(600_001, 3_600_000);
  });

  // Seen to fail with `2 ** failures` in base/backoff.ts, and without the draw.
  it('of a failure waits a draw from a range that doubles up to its limit', async () => {
    const draws = [0.5, 0.5, 0.5, 0];
    const rng = { random: (): number => draws.shift() ?? 0 };
    const seq = await run(
      failing,
      { maxAttempts: 9, backoff: { fixed: false, baseMs: 200_000, maxMs: 500_000 } },
      { rng },
    );
    const due: (number | null)[] = [];
    for (let attempt = 1; attempt <= 4; attempt++) {
      if (attempt > 1) await bench.lease([seq]);
      await bench.until(() => bench.told.length === attempt);
      due.push((await bench.live(seq))?.due_in_ms ?? null);
      await bench.admin.query('update skein.live set run_at = null where seq = $1', [seq]);
    }
    expect(due[0]).to.be.within(90_000, 100_000);
    expect(due[1]).to.be.within(190_000, 200_000);
    expect(due[2]).to.be.within(240_000, 250_000);
    expect(due[3]).to.equal(null);
  });

  // Seen to fail with `attempt > work.maxAttempts` in Executor.classify.
  it('of the last attempt is the end, and carries its error', async () => {
    const seq = await run(failing, {
      maxAttempts: 2,
      backoff: { fixed: true, baseMs: 0, maxMs: 0 },
    });
    await bench.lease([seq]);
    await bench.until(() => bench.told.length === 2);
    const task = await bench.task(seq);
    expect(task).to.include({ status: 2, attempt: 2, lease_seq: 3, result: null });
    expect(task.error).to.deep.equal({ code: 'no_luck', message: 'not today', retryable: true });
    expect(task.started).to.be.at.most(task.finished as number);
    expect(await bench.live(seq)).to.equal(undefined);
    const { rows } = await bench.admin.query('select status from skein.not_completed');
    expect(rows).to.deep.equal([{ status: 2 }]);
    expect(bench.told.at(-1)).to.include({ settledAs: SettledAs.FAILED, attempt: 2 });
    expect(bench.finished.at(-1)).to.include({ type: 'odd', status: 'FAILED' });
  });

  // Seen to fail without `isFatal ||` in Executor.classify.
  it('of a fatal error is the end at once', async () => {
    const seq = await run(() => {
      throw new FatalError('bad_input', 'this will never do');
    });
    const task = await bench.task(seq);
    expect(task).to.include({ status: 2, attempt: 1 });
    expect(task.error).to.deep.equal({
      code: 'bad_input',
      message: 'this will never do',
      retryable: false,
    });
  });

  // Seen to fail without the timer in Executor.execute.
  it('of a task that runs longer than its timeout is charged as one', async () => {
    const seq = await run((_task, context) => context.sleep(60_000), {
      timeoutMs: 20,
      maxAttempts: 1,
    });
    expect((await bench.task(seq)).error).to.deep.equal({
      code: 'timeout',
      message: 'the task ran longer than its timeout_ms',
      retryable: true,
    });
  });

  // Seen to fail with 'lease_lost' for AbortReason.CANCELLED, and without `l.cancel` in settleMany.
  it('of a cancelled task is that, whether it runs, waits for a slot, or was begun', async () => {
    const held = new Held();
    await open({ handlers: [held], slots: 1 });
    const [running = 0, queued = 0] = await bench.submit({ type: 'held' }, { type: 'held' });
    await bench.lease([running, queued]);
    await held.hasBegun(1);
    const cancelled = await bench.writer.cancelMany([running, queued]);
    expect(cancelled.markedSeqs).to.have.members([running, queued]);
    bench.worker.abort({
      seqs: [running, queued],
      leaseSeqs: [1, 1],
      reason: AbortReason.CANCELLED,
    });
    await bench.settled(running, queued);
    expect(held.begun).to.have.length(1);
    expect(held.begun[0]?.signal.reason).to.include({ code: 'cancelled' });
    for (const seq of [running, queued]) {
      expect(await bench.task(seq)).to.include({ status: 3, attempt: 0, error: null });
      expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'cancelled', code: null }]);
      expect(await bench.live(seq)).to.equal(undefined);
    }
    expect((await bench.task(queued)).started).to.equal(null);
    expect(bench.told.map(({ settledAs }) => settledAs)).to.deep.equal([
      SettledAs.CANCELLED,
      SettledAs.CANCELLED,
    ]);
  });

  // Seen to fail without the case of `l.cancel` in settleMany (rule 12).
  it('of a failure under the mark of a cancel ends the task', async () => {
    const held = new Held();
    await open({ handlers: [held] });
    const [seq = 0] = await bench.submit({ type: 'held' });
    await bench.lease([seq]);
    await held.hasBegun(1);
    await bench.writer.cancelMany([seq]);
    held.begun[0]?.fail(new Error('too late'));
    await bench.settled(seq);
    expect(await bench.task(seq)).to.include({ status: 3, attempt: 1 });
  });

  it('of a success that comes before the abort stands', async () => {
    const held = new Held();
    await open({ handlers: [held] });
    const [seq = 0] = await bench.submit({ type: 'held' });
    await bench.lease([seq]);
    await held.hasBegun(1);
    await bench.writer.cancelMany([seq]);
    held.begun[0]?.end('in time');
    await bench.settled(seq);
    expect(await bench.task(seq)).to.include({ status: 1, result: '"in time"' });
  });

  const strange: readonly (readonly [string, () => unknown, string])[] = [
    ['a cycle', cycle, 'result_not_json'],
    ['a bigint', () => 1n, 'result_not_json'],
    ['a function', () => cycle, 'result_not_json'],
    ['a depth beyond the stack', () => nested(100_000), 'result_not_json'],
    ['too much', () => 'x'.repeat(256 * 1024), 'result_too_large'],
    ['too much in bytes', () => 'é'.repeat(128 * 1024), 'result_too_large'],
  ];
  // Seen to fail without the try in toResult (charged, tried again), and with json.length.
  it('of a result that is none ends the task, and says why', async () => {
    const handler = handlerOf('odd', ({ payload }) =>
      Promise.resolve(strange[payload as number]?.[1]()),
    );
    await open({ handlers: [handler] });
    const seqs = await bench.runAll(
      ...strange.map((_, at) => ({ type: 'odd', payload: String(at) })),
    );
    for (const [at, [what, , code]] of strange.entries()) {
      const task = await bench.task(seqs[at] as number);
      expect(task.error, what).to.include({ code, retryable: false });
    }
  });

  const texts = [
    '\0',
    'a\0b',
    '\ud800',
    '\udc00\ud800',
    '\u{1f600}',
    '"\\\n\u2028',
    '{"a":"\\u0000"}',
  ];
  // Seen to fail with jsonb in lease-store.completeMany.
  it('keeps every text of a result as it is', async () => {
    const handler = handlerOf('odd', ({ payload }) =>
      Promise.resolve({ text: texts[payload as number], [texts[payload as number] ?? '']: 1 }),
    );
    await open({ handlers: [handler] });
    const seqs = await bench.runAll(
      ...texts.map((_, at) => ({ type: 'odd', payload: String(at) })),
    );
    for (const [at, text] of texts.entries()) {
      const { status, result } = await bench.task(seqs[at] as number);
      expect(status).to.equal(1);
      expect(JSON.parse(result ?? '')).to.deep.equal({ text, [text]: 1 });
    }
  });

  // Seen to fail without the replacement in messageOf: `->>` refuses the whole column.
  it('has an error that PostgreSQL can look into, whatever is thrown', async () => {
    const odd = new Error('hidden');
    Object.defineProperty(odd, 'message', {
      get: () => {
        throw new Error('not this either');
      },
    });
    const thrown: readonly (readonly [unknown, string, string])[] = [
      [new Error('a\0b\ud800c'), 'handler_error', 'a\ufffdb\ufffdc'],
      [new Error(`${'x'.repeat(3999)}\u{1f600}`), 'handler_error', `${'x'.repeat(3999)}\ufffd`],
      ['text', 'handler_error', 'text'],
      [undefined, 'handler_error', 'undefined'],
      [Object.create(null), 'handler_error', 'something was thrown that has no text'],
      [odd, 'handler_error', 'an error without a message'],
      [Object.assign(new Error('a'), { code: 'ENOENT' }), 'handler_error', 'a'],
      [Object.assign(new Error('b'), { code: 'process_died' }), 'handler_error', 'b'],
      [
        Object.assign(new Error('c'), { message: 7 }),
        'handler_error',
        'an error without a message',
      ],
    ];
    const handler = handlerOf('odd', ({ payload }) => {
      throw thrown[payload as number]?.[0];
    });
    await open({ handlers: [handler] });
    const seqs = await bench.runAll(
      ...thrown.map((_, at) => ({ type: 'odd', payload: String(at), maxAttempts: 1 })),
    );
    for (const [at, [, code, message]] of thrown.entries()) {
      const { rows } = await bench.admin.query<{ code: string; message: string }>(
        `select error ->> 'code' as code, error ->> 'message' as message
         from skein.task where seq = $1`,
        [seqs[at]],
      );
      expect(rows[0]).to.deep.equal({ code, message });
    }
  });

  // Seen to fail where the executor awaits every answer, and where it awaits none.
  it('of a handler that returns no promise is its result', async () => {
    const seq = await run(() => 42);
    expect(await bench.task(seq)).to.include({ status: 1, result: '42' });
  });

  // Seen to fail with `simulates` left out of canSimulate, and with isTypeHandled left out.
  it('of a type without a handler is simulated only where that may be', async () => {
    await open({ simulates: true });
    await bench.admin.query(`insert into skein.type (name, handled) values ('real', true)`);
    const [foreign = 0, real = 0, endless = 0] = await bench.runAll(
      { type: 'foreign', durationMs: 1 },
      { type: 'real', durationMs: 1 },
      { type: 'foreign' },
    );
    expect(await bench.task(foreign)).to.include({ status: 1, result: '{"simulated":true}' });
    for (const seq of [real, endless]) {
      expect(await bench.live(seq)).to.include({ attempt: 0, node_id: null });
      expect(await bench.attempts(seq)).to.deep.equal([
        { outcome: 'released', code: 'no_handler' },
      ]);
    }
  });

  it('of a type without a handler is not simulated on a node that does not', async () => {
    await open();
    const [seq = 0] = await bench.runAll({ type: 'foreign', durationMs: 1 });
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'released', code: 'no_handler' }]);
  });
});

function cycle(): unknown {
  const one: Record<string, unknown> = {};
  one['one'] = one;
  return one;
}
