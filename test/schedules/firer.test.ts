import { expect } from 'chai';
import { runIdOf } from '../../node/core/schedule.ts';
import { DeposedError } from '../../node/store/term-writer.ts';
import { SECOND, Setup, TERM } from './setup.ts';

/**
 * Goal: each fire is submitted once, by the transaction that moves its schedule on, and by no leader
 * whose term is over. Method: leaders on a real PostgreSQL, interleaved by hand with takeovers, users
 * and each other.
 * Seen to fail: without the fence (a deposed leader's fire goes through), without the comparison of
 * next_fire_at or of the revision, and where an id that exists rolls back the whole portion for ever.
 */
describe('the fires of schedules in the database', () => {
  let setup: Setup;
  beforeEach(async () => {
    setup = await Setup.open();
  });
  afterEach(() => setup.close());

  it('store the task as a submit does, and move the schedule on, in one transaction', async () => {
    const at = await setup.add('s', { body: '{"type":"noop","priority":7,"tags":["x"]}' });
    const [fired] = await setup.fire(setup.leader(), at);
    expect(fired).to.deep.equal({ hasMoved: true, runs: 1, tasks: 1, problem: null });
    expect(await setup.tasks()).to.deep.equal([runIdOf('s', at)]);
    const { rows } = await setup.sql.query(
      `select t.priority, t.tags, l.priority as live, i.kind
       from skein.task t join skein.live l using (seq)
       join skein.inbox i on t.seq between i.first_seq and i.last_seq`,
    );
    expect(rows).to.deep.equal([{ priority: 7, tags: ['x'], live: 7, kind: 'submitted' }]);
    const found = await setup.schedules.find('s');
    expect(found).to.include({ nextMs: at + SECOND, lastFireMs: at, fired: 1 });
    expect(found).to.include({ lastRunId: runIdOf('s', at), lastTaskStatus: 'QUEUED' });
  });

  it('store a workflow with its tasks, named by the schedule', async () => {
    const body =
      '{"tasks":[{"id":"a","type":"noop"},{"id":"b","type":"noop","dependencies":["a"]}]}';
    const at = await setup.add('w', { kind: 'workflow', body });
    const [fired] = await setup.fire(setup.leader(), at);
    expect(fired).to.include({ runs: 1, tasks: 2 });
    const run = runIdOf('w', at);
    expect(await setup.tasks()).to.deep.equal([`${run}/a`, `${run}/b`]);
    const { rows } = await setup.sql.query('select id, name, total from skein.workflow');
    expect(rows).to.deep.equal([{ id: run, name: 'w', total: 2 }]);
  });

  it('of a leader that waits for a takeover are refused, and are the next leader’s', async () => {
    const at = await setup.add('s');
    const [old, next, takeover] = [setup.leader(), setup.leader(), await setup.session()];
    const firings = await setup.due(old, at);
    await takeover.query('begin');
    await takeover.query('update skein.term set term = term + 1');
    const refused = old.fireMany(TERM, firings).catch((error: unknown) => error);
    await setup.waits();
    await takeover.query('commit');
    expect(await refused).to.be.instanceOf(DeposedError);
    expect(await setup.tasks()).to.deep.equal([]);
    expect(await setup.schedules.find('s')).to.include({ nextMs: at, fired: 0 });
    expect((await setup.fire(next, at, TERM + 1))[0]).to.include({ hasMoved: true, runs: 1 });
    expect(await setup.tasks()).to.have.length(1);
  });

  it('of a leader go through where the takeover is rolled back', async () => {
    const at = await setup.add('s');
    const [leader, takeover] = [setup.leader(), await setup.session()];
    const firings = await setup.due(leader, at);
    await takeover.query('begin');
    await takeover.query('update skein.term set term = term + 1');
    const fired = leader.fireMany(TERM, firings);
    await setup.waits();
    await takeover.query('rollback');
    expect((await fired)[0]).to.include({ hasMoved: true, runs: 1 });
  });

  it('that two leaders have both read are submitted by one, whoever comes first', async () => {
    const at = await setup.add('s');
    const [old, next, takeover] = [setup.leader(), setup.leader(), await setup.session()];
    const [ofOld, ofNext] = [await setup.due(old, at), await setup.due(next, at)];
    await takeover.query('begin');
    await takeover.query('update skein.term set term = term + 1');
    const refused = old.fireMany(TERM, ofOld).catch((error: unknown) => error);
    await setup.waits();
    // The old leader holds the schedule; the new one waits for that, and is not kept from anything.
    const fired = next.fireMany(TERM + 1, ofNext);
    await takeover.query('commit');
    expect(await refused).to.be.instanceOf(DeposedError);
    expect((await fired)[0]).to.include({ hasMoved: true, runs: 1 });
    expect(await refusalOf(() => old.fireMany(TERM, ofOld))).to.be.instanceOf(DeposedError);
    expect(await setup.tasks()).to.deep.equal([runIdOf('s', at)]);
    expect(await setup.schedules.find('s')).to.include({ nextMs: at + SECOND, fired: 1 });
  });

  it('of one reading are submitted once, however often they are sent', async () => {
    const at = await setup.add('s');
    const [one, two] = [setup.leader(), setup.leader()];
    const firings = await setup.due(one, at);
    const fired = await Promise.all([one, two].map((leader) => leader.fireMany(TERM, firings)));
    expect(fired.flat().map(({ hasMoved }) => hasMoved)).to.have.members([true, false]);
    expect(await setup.tasks()).to.have.length(1);
  });

  it('are void where a user has changed, paused or removed the schedule since', async () => {
    const leader = setup.leader();
    for (const change of [
      () => setup.add('s', { body: '{"type":"sleep"}' }),
      () => setup.schedules.setPaused('s', true, null),
      () => setup.schedules.delete('s'),
    ]) {
      const at = await setup.add('s');
      const firings = await setup.due(leader, at);
      await change();
      expect((await leader.fireMany(TERM, firings))[0]).to.include({ hasMoved: false });
    }
    expect(await setup.tasks()).to.deep.equal([]);
  });

  it('whose id is taken are done, and hold nobody else up', async () => {
    const at = await setup.add('s');
    await setup.add('t');
    await setup.sql.query(
      `insert into skein.task (seq, id, type_id, priority, max_attempts, trigger_rule,
         backoff_base_ms, backoff_max_ms, status) values (-1, $1, 1, 50, 1, 0, 1, 1, 1)`,
      [runIdOf('s', at)],
    );
    const fired = await setup.fire(setup.leader(), at);
    expect(fired.map(({ hasMoved, runs }) => [hasMoved, runs])).to.deep.equal([
      [true, 1],
      [true, 1],
    ]);
    expect(await setup.tasks()).to.deep.equal([runIdOf('s', at), runIdOf('t', at)]);
    expect(await setup.schedules.find('s')).to.include({ nextMs: at + SECOND, problem: null });
  });

  it('that cannot be submitted are a problem of their schedule, which goes on', async () => {
    const at = await setup.add('s', { body: '{"type":"noop","dependencies":["gone"]}' });
    await setup.add('bad', { body: '{"type":"noop","priority":1000}' });
    const tasks = '{"tasks":[{"id":"a","type":"noop","dependencies":["gone"]}]}';
    await setup.add('w', { kind: 'workflow', body: tasks });
    await setup.add('well');
    const fired = await setup.fire(setup.leader(), at);
    expect(fired.map(({ problem }) => problem)).to.have.members([
      'the task gone does not exist',
      'the task gone does not exist',
      null,
      '#/task/priority: must be 100 at most',
    ]);
    expect(await setup.tasks()).to.deep.equal([runIdOf('well', at)]);
    const found = await setup.schedules.find('s');
    expect(found).to.include({ nextMs: at + SECOND, fired: 0, refused: 1, lastRunId: null });
    expect(found?.problem?.message).to.equal('the task gone does not exist');
  });
});

describe('schedules whose runs overlap', () => {
  let setup: Setup;
  beforeEach(async () => {
    setup = await Setup.open();
  });
  afterEach(() => setup.close());

  const WORKFLOW = { kind: 'workflow', body: '{"tasks":[{"id":"a","type":"noop"}]}' } as const;

  for (const [what, change] of [
    ['a task', {}],
    ['a workflow', WORKFLOW],
  ] as const) {
    it(`skip what comes while ${what} of theirs runs, and no more when it has ended`, async () => {
      const leader = setup.leader();
      const at = await setup.add('s', { ...change, overlap: 'skip' }, 2 * SECOND);
      await setup.fire(leader, at);
      await setup.fire(leader, at + SECOND);
      expect(await setup.tasks()).to.have.length(1);
      expect(await setup.schedules.find('s')).to.include({ fired: 1, skipped: 1 });
      await setup.endAll();
      await setup.fire(leader, at + 2 * SECOND);
      expect(await setup.tasks()).to.have.length(2);
    });

    it(`cancel ${what} that runs, and submit the next`, async () => {
      const leader = setup.leader();
      const at = await setup.add('s', { ...change, overlap: 'cancel_running' }, SECOND);
      await setup.fire(leader, at);
      await setup.fire(leader, at + SECOND);
      expect(await setup.tasks()).to.have.length(2);
      const { rows } = await setup.sql.query<{ id: string }>(
        `select t.id from skein.inbox i join skein.task t on t.seq = any (i.seqs)
         where i.kind = 'cancel'`,
      );
      const [first] = await setup.tasks();
      expect(rows).to.deep.equal([{ id: first }]);
    });
  }

  it('hold one back until the run has ended', async () => {
    const leader = setup.leader();
    const at = await setup.add('s', { overlap: 'buffer_one' }, 2 * SECOND);
    await setup.fire(leader, at);
    await setup.fire(leader, at + 2 * SECOND);
    expect(await setup.tasks()).to.have.length(1);
    expect(await setup.schedules.find('s')).to.include({ heldMs: at + SECOND, skipped: 1 });
    expect((await leader.due(10, [])).hasHeld).to.equal(true);
    await setup.endAll();
    await setup.fire(leader, at + 2 * SECOND);
    expect(await setup.tasks()).to.deep.equal([runIdOf('s', at), runIdOf('s', at + SECOND)]);
    expect(await setup.schedules.find('s')).to.include({ heldMs: null, fired: 2 });
  });

  it('count the run that a user asked for', async () => {
    const at = await setup.add('s', { overlap: 'skip' });
    await setup.add('manual');
    const leader = setup.leader();
    const asked = (await setup.due(leader, at)).filter(({ schedule }) => schedule.id === 'manual');
    await leader.fireMany(TERM, asked);
    await setup.schedules.addRun('s', runIdOf('manual', at));
    await setup.fire(leader, at);
    expect(await setup.schedules.find('s')).to.include({ fired: 0, skipped: 1 });
  });
});

describe('what is due', () => {
  let setup: Setup;
  beforeEach(async () => {
    setup = await Setup.open();
  });
  afterEach(() => setup.close());

  it('is told with the next fire of all, by the clock of the database', async () => {
    const leader = setup.leader();
    expect(await leader.due(10, [])).to.deep.include({
      schedules: [],
      nextMs: null,
      hasHeld: false,
    });
    const at = await setup.add('due', {}, SECOND);
    await setup.add('later', {}, -3_600_000);
    await setup.add('paused');
    await setup.schedules.setPaused('paused', true, null);
    const { schedules, nowMs, nextMs } = await leader.due(10, []);
    expect(schedules.map(({ id }) => id)).to.deep.equal(['due']);
    expect(nextMs).to.be.closeTo(at + 3_600_000, 10 * SECOND);
    expect(nowMs).to.be.closeTo(await setup.schedules.nowMs(), 60_000);
  });

  it('comes in portions, the earliest first, without those that are to be left out', async () => {
    for (let at = 1; at <= 5; at++) await setup.add(`s${String(at)}`, {}, (10 - at) * SECOND);
    const leader = setup.leader();
    const { schedules } = await leader.due(3, []);
    expect(schedules.map(({ id }) => id)).to.deep.equal(['s1', 's2', 's3']);
    const others = await leader.due(3, [schedules[0]?.scheduleSeq ?? 0]);
    expect(others.schedules.map(({ id }) => id)).to.deep.equal(['s2', 's3', 's4']);
  });

  it('is bounded by the size of the bodies', async () => {
    const payload = 'x'.repeat(200_000);
    for (let at = 1; at <= 30; at++) {
      await setup.add(`s${String(at)}`, { body: JSON.stringify({ type: 'noop', payload }) });
    }
    const { schedules } = await setup.leader().due(30, []);
    expect(schedules).to.have.length.within(10, 25);
  });
});

async function refusalOf(run: () => Promise<unknown>): Promise<unknown> {
  try {
    return await run();
  } catch (thrown) {
    return thrown;
  }
}
