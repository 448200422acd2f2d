import { expect } from 'chai';
import { systemClock } from '../../node/base/clock.ts';
import { AppError } from '../../node/base/errors.ts';
import { Spawner } from '../../node/api/submit/spawner.ts';
import { Submissions } from '../../node/store/submissions.ts';
import { eventually, startApi } from './support.ts';
import type { Api } from './support.ts';

/**
 * Goal: what a task adds while it runs is added whole, once, and only while it holds its lease.
 * Method: the spawner of a node on PostgreSQL; leases, reclaims and other sessions by hand.
 */
describe('tasks that a task adds', () => {
  let api: Api;
  let submissions: Submissions;
  let spawner: Spawner;
  let looks = 0;
  let parent: { seq: number; id: string; leaseSeq: number; nodeId: number };

  beforeEach(async () => {
    api = await startApi();
    submissions = new Submissions({ database: api.database, clock: systemClock });
    spawner = new Spawner({
      ...{ clock: systemClock, submissions },
      leader: {
        look: () => (looks += 1),
        isLeader: () => false,
        nodesChanged: () => undefined,
        ask: () => Promise.resolve(undefined),
      },
      metrics: {
        tasksSubmitted: () => undefined,
        httpRequest: () => undefined,
        render: () => Promise.reject(new Error('nobody asks')),
      },
    });
    await api.post('/workflows', {
      ...{ id: 'w', priority: 7 },
      tasks: [
        { id: 'list', type: 'noop' },
        { id: 'after', type: 'noop', dependencies: ['list'] },
      ],
    });
    const nodeId = await api.lease('w/list');
    parent = { seq: await api.seqOf('w/list'), id: 'w/list', leaseSeq: 1, nodeId };
    await api.sql.query('delete from skein.inbox');
  });
  afterEach(async () => {
    await submissions.stop();
    await api.close();
  });

  const refusalOf = async (work: Promise<unknown>): Promise<AppError> => {
    const thrown = await work.then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(thrown).to.be.instanceOf(AppError);
    return thrown as AppError;
  };

  it('belong to its workflow, have its priority, and depend on each other and on others', async () => {
    const tasks = [
      { type: 'noop', payload: 1 },
      { id: 'x', type: 'noop', priority: 3, dependencies: ['w/after'] },
      { id: 'join', type: 'noop', dependencies: ['x', '0', 'w/list'] },
    ];
    const ids = await spawner.spawn(parent, tasks, 0);
    expect(ids).to.deep.equal(['w/list/0', 'w/list/x', 'w/list/join']);
    const { body: first } = await api.get('/tasks/w%2Flist%2F0');
    expect(first).to.include({ workflow: 'w', priority: 7, payload: 1, status: 'QUEUED' });
    expect((await api.get('/tasks/w%2Flist%2Fx')).body['priority']).to.equal(3);
    const { body: join } = await api.get('/tasks/w%2Flist%2Fjoin');
    expect(join['dependencies']).to.deep.equal(['w/list/x', 'w/list/0', 'w/list']);
    expect((await api.get('/workflows/w')).body['counts']).to.include({ QUEUED: 4, RUNNING: 1 });
    expect(await api.rows('select total from skein.workflow')).to.deep.equal([{ total: 5 }]);
    const [inbox] = await api.rows('select kind, last_seq - first_seq as more from skein.inbox');
    expect(inbox).to.deep.equal({ kind: 'submitted', more: '2' });
    expect(looks).to.equal(1);
  });

  // Seen to fail where existing ids were not looked for, and where they were taken for refusals.
  it('are there once, however often an attempt adds them, and what is new is added', async () => {
    const tasks = [{ type: 'noop' }, { id: 'b', type: 'noop', dependencies: ['0'] }];
    const ids = await spawner.spawn(parent, tasks, 0);
    await api.end('w/list/0', 'COMPLETED');
    expect(await spawner.spawn(parent, tasks, 0)).to.deep.equal(ids);
    const more = [...tasks, { id: 'c', type: 'noop', dependencies: ['b'] }];
    expect(await spawner.spawn(parent, more, 0)).to.deep.equal([...ids, 'w/list/c']);
    const { body } = await api.get('/tasks/w%2Flist%2Fc');
    expect(body['dependencies']).to.deep.equal(['w/list/b']);
    expect(await api.rows('select count(*)::int as n from skein.task')).to.deep.equal([{ n: 5 }]);
    expect(await spawner.spawn(parent, [{ type: 'noop' }], 2)).to.deep.equal(['w/list/2']);
  });

  it('are added all or not at all, with every fault named', async () => {
    const before = await api.rowCounts();
    const faulty = [{ type: 'noop' }, { type: 'noop', priority: 0 }, { typo: 1 }];
    const refused = await refusalOf(spawner.spawn(parent, faulty, 0));
    expect(refused.message).to.include('#/1/priority').and.to.include('#/2');
    const cycle = [
      { id: 'a', type: 'noop', dependencies: ['b'] },
      { id: 'b', type: 'noop', dependencies: ['a'] },
    ];
    expect((await refusalOf(spawner.spawn(parent, cycle, 0))).message).to.include('→');
    const missing = [{ type: 'noop' }, { type: 'noop', dependencies: ['nobody'] }];
    expect((await refusalOf(spawner.spawn(parent, missing, 0))).message).to.include('nobody');
    expect((await refusalOf(spawner.spawn(parent, 'no', 0))).message).to.include('array');
    await api.post('/tasks', { id: 'w/list/taken', type: 'noop' });
    const taken = [{ type: 'noop' }, { id: 'taken', type: 'noop' }];
    expect((await refusalOf(spawner.spawn(parent, taken, 0))).code).to.equal('conflict');
    const { task = 0, inbox = 0 } = before;
    const after = { ...before, task: task + 1, live: task + 1, inbox: inbox + 1 };
    expect(await api.rowCounts()).to.deep.equal(after);
  });

  // Seen to fail without the look at the parent.
  it('are refused where it does not hold the lease, or is being cancelled', async () => {
    const before = await api.rowCounts();
    for (const stolen of [{ leaseSeq: 2 }, { nodeId: parent.nodeId + 1 }]) {
      const refused = await refusalOf(
        spawner.spawn({ ...parent, ...stolen }, [{ type: 'noop' }], 0),
      );
      expect(refused.code).to.equal('lease_lost');
    }
    await api.sql.query('update skein.live set cancel = true where seq = $1', [parent.seq]);
    const refused = await refusalOf(spawner.spawn(parent, [{ type: 'noop' }], 0));
    expect(refused.code).to.equal('lease_lost');
    expect(await api.rowCounts()).to.deep.equal(before);
  });

  // Seen to fail with a look at the parent at the beginning alone.
  it('are rolled back where the lease is taken back before they are committed', async () => {
    const before = await api.rowCounts();
    const other = await api.session();
    // The insert waits for this id; meanwhile the lease ends.
    await other.query('begin');
    await other.query(`insert into skein.task (seq, id, type_id, priority, max_attempts, trigger_rule,
      backoff_base_ms, backoff_max_ms) values (999, 'w/list/0', 1, 50, 1, 0, 0, 0)`);
    const spawned = refusalOf(spawner.spawn(parent, [{ type: 'noop' }], 0));
    const waits = `select 1 from pg_stat_activity where datname = current_database()
      and wait_event_type = 'Lock'`;
    await eventually(async () => (await api.rows(waits)).length > 0);
    await api.sql.query(
      'update skein.live set node_id = null, lease_seq = lease_seq + 1 where seq = $1',
      [parent.seq],
    );
    await other.query('rollback');
    expect((await spawned).code).to.equal('lease_lost');
    expect(await api.rowCounts()).to.deep.equal(before);
  });

  // Seen to fail where the ids of the other attempt were taken for a refusal.
  it('are there once when two attempts add them at the same time', async () => {
    const tasks = Array.from({ length: 50 }, (_, at) => ({
      ...{ type: 'noop', dependencies: at === 0 ? [] : [String(at - 1)] },
    }));
    const both = await Promise.all([1, 2, 3].map(() => spawner.spawn(parent, tasks, 0)));
    expect(both[1]).to.deep.equal(both[0]);
    expect(both[2]).to.deep.equal(both[0]);
    expect(await api.rows('select total from skein.workflow')).to.deep.equal([{ total: 52 }]);
    expect((await api.rowCounts())['live']).to.equal(52);
  });
});
