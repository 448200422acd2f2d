import { expect } from 'chai';
import { Cancel, Snooze, type Handler } from '../../node/core/handler.ts';
import { SettledAs } from '../../node/core/messages.ts';
import { handlerOf } from './fakes.ts';
import { isolatedHandlers } from './isolated-handlers.ts';
import { Bench, type TaskSketch } from './setup.ts';

/**
 * Goal: a handler steers its task, says what it does, and sees the results of its dependencies, in the
 * node and in a process of its own. Method: real processes and a real PostgreSQL.
 * Seen to fail: each test names the change of the code that it caught.
 */
describe('what a handler has at hand', () => {
  let bench: Bench;
  afterEach(() => bench.close());

  const run = async (handler: Handler['run'], sketch: TaskSketch = {}): Promise<number> => {
    bench = await Bench.open({ handlers: [handlerOf('odd', handler)] });
    const [seq = 0] = await bench.runAll({ type: 'odd', ...sketch });
    return seq;
  };
  /** The same in a process of its own. */
  const runAlone = async (payload: unknown): Promise<number> => {
    bench = await Bench.open({ handlers: isolatedHandlers });
    const [seq = 0] = await bench.submit({
      type: 'steer',
      losses: 1,
      payload: JSON.stringify(payload),
    });
    return seq;
  };
  const throwing = (error: Error) => (): never => {
    throw error;
  };

  // Seen to fail with `given-up` settled as RELEASED.
  it('ends its task as CANCELLED where it says so, which is charged', async () => {
    const seq = await run(throwing(new Cancel('nobody needs it')));
    const { status, attempt, error } = await bench.task(seq);
    expect({ status, attempt }).to.deep.equal({ status: 3, attempt: 1 });
    expect(error).to.deep.equal({
      ...{ code: 'cancelled_by_handler', message: 'nobody needs it', retryable: false },
    });
    expect(bench.told[0]?.settledAs).to.equal(SettledAs.CANCELLED);
  });

  // Seen to fail without the delay of the release.
  it('goes back to the queue for as long as it snoozes, which is not charged', async () => {
    const seq = await run(throwing(new Snooze(60_000)), { maxAttempts: 1 });
    const live = await bench.live(seq);
    expect(live).to.include({ attempt: 0, node_id: null });
    expect(live?.due_in_ms).to.be.within(1, 60_000);
    expect(await bench.attempts(seq)).to.deep.equal([{ outcome: 'released', code: 'snoozed' }]);
  });

  // Seen to fail where only a FatalError is fatal.
  it('fails for good by an error that is not retryable', async () => {
    const seq = await run(throwing(Object.assign(new Error('no'), { retryable: false })));
    expect((await bench.task(seq)).status).to.equal(2);
  });

  for (const [how, status, code] of [
    ['cancel', 3, 'cancelled_by_handler'],
    ['not-retryable', 2, 'no_use'],
  ] as const) {
    // Seen to fail where the child tells every error as one that may be tried again.
    it(`steers from a process of its own: ${how}`, async () => {
      const seq = await runAlone({ how });
      await bench.lease([seq]);
      await bench.settled(seq);
      const task = await bench.task(seq);
      expect(task.status).to.equal(status);
      expect(task.error).to.include({ code });
    });
  }

  it('snoozes from a process of its own', async () => {
    const seq = await runAlone({ how: 'snooze' });
    await bench.lease([seq]);
    await bench.until(() => bench.told.length === 1);
    expect(await bench.live(seq)).to.include({ attempt: 0, node_id: null });
  });

  // Seen to fail where the second answer of `results` is asked for and never comes.
  it('has the results of the dependencies that completed, also in a process of its own', async () => {
    const seq = await runAlone({ how: 'results' });
    await bench.admin.query(
      `with w as (
         insert into skein.workflow (id, name, priority, total) values ('wf', 'wf', 50, 4)
         returning workflow_seq
       ), parents as (
         insert into skein.task (seq, id, type_id, priority, max_attempts, trigger_rule,
           backoff_base_ms, backoff_max_ms, status, result)
         select nextval('skein.task_seq'), p.id, 1, 50, 1, 0, 0, 0, p.status, p.result::json
         from (values ('wf/a', 1, '{"n":1}'), ('wf/b', 2, null), ('other', 1, 'null')) p
           (id, status, result)
       )
       update skein.task t set workflow_seq = w.workflow_seq, dependencies = '{wf/a,wf/b,other}'
       from w where t.seq = $1`,
      [seq],
    );
    await bench.lease([seq]);
    await bench.settled(seq);
    const { result } = await bench.task(seq);
    const expected = { a: { n: 1 }, other: null };
    expect(JSON.parse(result ?? '')).to.deep.equal([expected, expected]);
  });

  // Seen to fail without the bound in the statement.
  it('refuses results that are too much together', async () => {
    const seq = await run(async (_task, context) => Object.keys(await context.results()).length, {
      maxAttempts: 2,
    });
    expect((await bench.task(seq)).result).to.equal('0');
    await bench.admin.query(
      `with parents as (
         insert into skein.task (seq, id, type_id, priority, max_attempts, trigger_rule,
           backoff_base_ms, backoff_max_ms, status, result)
         select nextval('skein.task_seq'), 'p' || n, 1, 50, 1, 0, 0, 0, 1,
           to_json(repeat('x', 250000))
         from generate_series(1, 70) n returning id
       ), child as (
         update skein.task set dependencies = array(select id from parents) where seq = $1
       )
       select`,
      [seq],
    );
    const failure = await bench.leases.results(seq).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).to.include({ code: 'results_too_large', retryable: false });
  });

  // Seen to fail where the child tells no lines, and where the fields are not cut.
  it('says what it does, cut to what can be kept', async () => {
    const seq = await runAlone({ how: 'report' });
    await bench.lease([seq]);
    await bench.settled(seq);
    const said = bench.lines.filter(({ message }) => message === 'A handler says something.');
    expect(said.map(({ fields }) => [fields['level'], fields['said'], fields['fields']])).to.eql([
      ['info', 'half way', '{"n":1}'],
      ['error', 'x'.repeat(8192), '{"dropped":"the fields of this line are larger than 8 KiB"}'],
    ]);
    const [progress] = bench.lines.filter(({ message }) => message.includes('come this far'));
    expect(progress?.fields).to.include({ fraction: 0.5, note: 'half', attempt: 1, lease_seq: 1 });
  });

  // Seen to fail without the bound of the attempt.
  it('keeps 1 MiB of lines of an attempt, and says that there were more', async () => {
    await run((_task, { log }) => {
      for (let n = 0; n < 1000; n++) log.debug('y'.repeat(8000));
      return null;
    });
    const said = bench.lines.filter(({ message }) => message === 'A handler says something.');
    expect(said.length).to.be.within(125, 135);
    expect(said.at(-1)?.fields['said']).to.match(/no more are kept/);
  });
});
