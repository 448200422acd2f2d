import { expect } from 'chai';
import { pointersOf, startApi } from './support.ts';
import type { Api } from './support.ts';

/**
 * Goal: a workflow is stored as a whole or not at all, and its status follows from its tasks.
 * Method: real HTTP and PostgreSQL; tasks are ended by hand.
 */
const NOTHING = [0, 0, 0, 0, 0, 0, 0];

describe('submitting a workflow', () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(async () => {
    await api.close();
  });

  it('prefixes its local names, and looks for dependencies among them first', async () => {
    await api.post('/tasks', { id: 'load', type: 'noop' });
    await api.post('/tasks', { id: 'outside', type: 'noop' });
    const answer = await api.post('/workflows', {
      id: 'wf',
      name: 'Nightly',
      priority: 10,
      tasks: [
        { id: 'load', type: 'noop' },
        { id: 'join', type: 'noop', dependencies: ['load', 'outside'], priority: 3 },
      ],
    });
    expect(answer.status).to.equal(201);
    expect(answer.headers.get('location')).to.equal('/workflows/wf');
    expect(answer.body).to.deep.equal({
      id: 'wf',
      name: 'Nightly',
      status: 'RUNNING',
      count: 2,
      ids: ['wf/load', 'wf/join'],
    });
    const { body } = await api.get('/tasks/wf%2Fjoin');
    expect(body).to.deep.include({
      workflow: 'wf',
      priority: 3,
      dependencies: ['wf/load', 'outside'],
    });
    expect((await api.get('/tasks/wf%2Fload')).body).to.include({ priority: 10 });
  });

  it('takes the same graph under another id, and refuses the same id', async () => {
    const tasks = [
      { id: 'a', type: 'noop' },
      { id: 'b', type: 'noop', dependencies: ['a'] },
    ];
    expect((await api.post('/workflows', { id: 'one', tasks })).status).to.equal(201);
    expect((await api.post('/workflows', { id: 'two', tasks })).status).to.equal(201);
    const before = await api.rowCounts();
    const again = await api.post('/workflows', { id: 'one', tasks });
    expect(again.status).to.equal(409);
    expect(again.body['existing']).to.deep.equal({ id: 'one' });
    const unnamed = await api.post('/workflows', { tasks: [{ type: 'noop' }] });
    expect(unnamed.status).to.equal(201);
    expect(unnamed.body['name']).to.equal(unnamed.body['id']);
    expect(await api.rowCounts()).to.deep.equal({
      ...before,
      task: 5,
      live: 5,
      inbox: 3,
      workflow: 3,
    });
  });

  it('refuses a task id that another task took, and then leaves no workflow behind', async () => {
    await api.post('/tasks', { id: 'wf/a', type: 'noop' });
    const before = await api.rowCounts();
    const answer = await api.post('/workflows', { id: 'wf', tasks: [{ id: 'a', type: 'noop' }] });
    expect(answer.status).to.equal(409);
    expect(answer.body['existing']).to.deep.equal([{ id: 'wf/a' }]);
    expect(await api.rowCounts()).to.deep.equal(before);
  });

  it('refuses what is wrong in it, by pointers into its list', async () => {
    const answer = await api.post('/workflows', {
      id: 'w',
      nam: 1,
      tasks: [{ type: 'noop' }],
    });
    expect(pointersOf(answer)).to.deep.equal(['#/nam']);
    expect(pointersOf(await api.post('/workflows', { tasks: [] }))).to.deep.equal(['#/tasks']);
    const tasks = await api.post('/workflows', {
      id: 'w'.repeat(250),
      tasks: [
        { id: 'abcde', type: 'noop', dependencies: ['gone'] },
        { id: 'a', type: 'noop', priority: -1 },
      ],
    });
    expect(pointersOf(tasks)).to.deep.equal(['#/tasks/0/id', '#/tasks/1/priority']);
    const missing = await api.post('/workflows', {
      tasks: [{ id: 'a', type: 'noop', dependencies: ['gone'] }],
    });
    expect(pointersOf(missing)).to.deep.equal(['#/tasks/0/dependencies/0']);
    expect(Object.values(await api.rowCounts())).to.deep.equal(NOTHING);
  });

  it('counts its tasks, and is done when all of them are', async () => {
    const tasks = ['a', 'b', 'c', 'd'].map((id) => ({ id, type: 'noop' }));
    await api.post('/workflows', { id: 'w', name: 'W', tasks });
    await api.lease('w/a');
    const running = await api.get('/workflows/w');
    expect(running.body).to.deep.include({
      id: 'w',
      name: 'W',
      status: 'RUNNING',
      finished_at: null,
    });
    expect(running.body['counts']).to.include({ QUEUED: 3, RUNNING: 1, COMPLETED: 0 });
    await api.end('w/a', 'COMPLETED');
    await api.end('w/b', 'SKIPPED');
    await api.end('w/c', 'COMPLETED');
    await api.end('w/d', 'COMPLETED');
    const done = await api.get('/workflows/w');
    expect(done.body).to.include({ status: 'COMPLETED' });
    expect(done.body['finished_at']).to.match(/^\d{4}-.*Z$/);
    expect(done.body['counts']).to.include({ COMPLETED: 3, SKIPPED: 1 });
  });

  it('is FAILED by a failed task, and CANCELLED by a cancelled one where none failed', async () => {
    for (const id of ['f', 'c']) {
      await api.post('/workflows', {
        id,
        tasks: [
          { id: '1', type: 'noop' },
          { id: '2', type: 'noop' },
        ],
      });
      await api.end(`${id}/1`, 'CANCELLED');
    }
    await api.end('f/2', 'FAILED');
    await api.end('c/2', 'COMPLETED');
    expect((await api.get('/workflows/f')).body).to.include({ status: 'FAILED' });
    expect((await api.get('/workflows/c')).body).to.include({ status: 'CANCELLED' });
    expect((await api.get('/workflows/none')).status).to.equal(404);
  });

  it('lists workflows newest first, page by page', async () => {
    for (const id of ['1', '2', '3']) {
      await api.post('/workflows', { id, tasks: [{ type: 'noop' }] });
    }
    const first = await api.get('/workflows?limit=2');
    expect((first.body as unknown as { id: string }[]).map(({ id }) => id)).to.deep.equal([
      '3',
      '2',
    ]);
    const link = /^<([^>]+)>; rel="next"$/.exec(first.headers.get('link') ?? '')?.[1];
    const second = await api.get(link ?? '');
    expect((second.body as unknown as { id: string }[]).map(({ id }) => id)).to.deep.equal(['1']);
    expect(second.headers.get('link')).to.equal(null);
  });

  it('shows its graph, edges from dependency to dependent', async () => {
    await api.post('/tasks', { id: 'outside', type: 'noop' });
    await api.post('/workflows', {
      id: 'g',
      tasks: [
        { id: 'a', type: 'noop', duration_ms: 5, expected_ms: 7 },
        { id: 'b', type: 'sleep', dependencies: ['a', 'outside'] },
      ],
    });
    const { body } = await api.get('/workflows/g/graph');
    expect(body['edges']).to.deep.equal([['g/a', 'g/b']]);
    expect(body['nodes']).to.deep.equal([
      {
        id: 'g/a',
        name: 'a',
        type: 'noop',
        status: 'QUEUED',
        duration_ms: 5,
        expected_ms: 7,
        started_at: null,
        finished_at: null,
        priority: 50,
      },
      {
        id: 'g/b',
        name: 'b',
        type: 'sleep',
        status: 'QUEUED',
        duration_ms: null,
        expected_ms: null,
        started_at: null,
        finished_at: null,
        priority: 50,
      },
    ]);
    expect((await api.get('/workflows/none/graph')).status).to.equal(404);
  });

  it('asks to cancel what is unfinished of it, a thousand tasks an inbox row', async () => {
    const tasks = Array.from({ length: 1501 }, (_, i) => ({ id: `t${String(i)}`, type: 'noop' }));
    await api.post('/workflows', { id: 'big', tasks });
    await api.end('big/t0', 'COMPLETED');
    const answer = await api.post('/workflows/big/cancel', {});
    expect(answer.status).to.equal(202);
    expect(answer.body).to.include({ id: 'big', count: 1500 });
    const inbox = await api.rows(
      `select cardinality(seqs) as n from skein.inbox where kind = 'cancel' order by inbox_id`,
    );
    expect(inbox).to.deep.equal([{ n: 1000 }, { n: 500 }]);
    await api.sql.query('delete from skein.live');
    await api.sql.query('update skein.task set status = 1, finished_at = now()');
    expect((await api.post('/workflows/big/cancel', {})).status).to.equal(409);
    expect((await api.post('/workflows/none/cancel', {})).status).to.equal(404);
  });
});
