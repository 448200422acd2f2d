import { expect } from 'chai';
import { addNode, eventually, pointersOf, startApi } from './support.ts';
import type { Answer, Api } from './support.ts';

/**
 * Goal: reads tell what the tables say, waits end with the task, and changes are guarded.
 * Method: real HTTP and PostgreSQL; what a leader and a worker would write is written by hand.
 */
describe('stored tasks', () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(async () => {
    await api.close();
  });

  const idsOf = (answer: Answer): readonly string[] =>
    (answer.body as unknown as readonly { id: string }[]).map(({ id }) => id);
  const nextOf = (answer: Answer): string | null =>
    /^<([^>]+)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1] ?? null;

  describe('GET /tasks/{id}', () => {
    it('shows a queued, a running and an ended task', async () => {
      await api.post('/tasks', { id: 'a', type: 'noop', duration_ms: 5000 });
      const queued = (await api.get('/tasks/a')).body;
      expect(queued).to.deep.include({
        id: 'a',
        type: 'noop',
        duration_ms: 5000,
        dependencies: [],
        status: 'QUEUED',
        priority: 50,
        attempt: 0,
        max_attempts: 3,
        payload: null,
        result: null,
        error: null,
        node: null,
        tags: [],
        trigger_rule: 'all_success',
        started_at: null,
        finished_at: null,
      });
      expect(queued['created_at']).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      await api.lease('a', 'node-7');
      const running = (await api.get('/tasks/a')).body;
      expect(running).to.include({ status: 'RUNNING', attempt: 1, node: 'node-7' });
      expect(running['started_at']).to.be.a('string');
      expect(running).not.to.have.property('waiting_for');
      await api.sql.query(
        `update skein.task set result = '{"big": 12345678901234567890}', attempt = 1, node_id = 1`,
      );
      await api.end('a', 'COMPLETED');
      const ended = await api.get('/tasks/a');
      expect(ended.body).to.include({ status: 'COMPLETED', attempt: 1, node: 'node-7' });
      expect(ended.text).to.include('12345678901234567890');
    });

    it('answers 404 to an id that no task has, also one that no task can have', async () => {
      for (const path of [
        '/tasks/none',
        '/tasks/%00',
        '/tasks/a%2Fb',
        `/tasks/${'x'.repeat(900)}`,
      ]) {
        const answer = await api.get(path);
        expect(answer.status).to.equal(404);
        expect(answer.body).to.include({ code: 'not_found' });
      }
      expect((await api.get('/tasks/%ff')).status).to.equal(400);
    });

    it('says what a queued task waits for', async () => {
      const waiting = async (id: string): Promise<unknown> =>
        (await api.get(`/tasks/${id}`)).body['waiting_for'];
      await api.post('/tasks/batch', [
        { id: 'p1', type: 'noop' },
        { id: 'p2', type: 'noop' },
        { id: 'child', type: 'noop', dependencies: ['p1', 'p2'] },
        { id: 'later', type: 'noop', run_at: '2091-01-01T00:00:00Z' },
      ]);
      expect(await waiting('p1')).to.deep.equal({ reason: 'type', type: 'noop' });
      await addNode(api.sql, 'node-1');
      expect(await waiting('p1')).to.deep.equal({ reason: 'slot' });
      expect(await waiting('child')).to.deep.equal({
        reason: 'dependencies',
        dependencies: ['p1', 'p2'],
        count: 2,
      });
      await api.end('p1', 'COMPLETED');
      expect(await waiting('child')).to.deep.include({ dependencies: ['p2'], count: 1 });
      expect(await waiting('later')).to.deep.equal({
        reason: 'time',
        run_at: '2091-01-01T00:00:00.000Z',
      });
      await api.sql.query('update skein.type set max_running = 4');
      expect(await waiting('p2')).to.deep.equal({ reason: 'slot', max_running: 4 });
      await api.sql.query('update skein.type set paused = true');
      expect(await waiting('p2')).to.deep.equal({ reason: 'paused', type: 'noop' });
    });

    it('says how the latest attempt failed while the next one is to come', async () => {
      await api.post('/tasks', { id: 'again', type: 'noop', run_at: '2091-01-01T00:00:00Z' });
      expect((await api.get('/tasks/again')).body).not.to.have.property('last_error');
      await api.sql.query(`
        with tried as (update skein.live set attempt = 2, lease_seq = 3 returning seq)
        insert into skein.attempt (seq, lease_seq, attempt, outcome, error)
        select seq, number, number, outcome, error::json from tried, (values
          (1, 'failed', '{"code":"thrown","message":"first"}'),
          (2, 'failed', '{"code":"thrown","message":"no such file.","retryable":true}'),
          (3, 'lost', null)
        ) as tries (number, outcome, error)`);
      const { body } = await api.get('/tasks/again');
      expect(body).to.deep.include({
        ...{ status: 'QUEUED', attempt: 2, error: null },
        last_error: { code: 'thrown', message: 'no such file.', retryable: true },
      });
      const explained = await api.get('/tasks/again/explain');
      expect(explained.body['sentence']).to.match(
        /^Attempt 2 of 3 failed, thrown: no such file\. It is not to start before 2091-/,
      );
    });
  });

  describe('GET /tasks', () => {
    it('lists them newest first, page by page, until there is no next', async () => {
      const tasks = Array.from({ length: 7 }, (_, i) => ({ id: `t${String(i)}`, type: 'noop' }));
      await api.post('/tasks/batch', tasks);
      const first = await api.get('/tasks?limit=3');
      expect(idsOf(first)).to.deep.equal(['t6', 't5', 't4']);
      const second = await api.get(nextOf(first) ?? '');
      expect(idsOf(second)).to.deep.equal(['t3', 't2', 't1']);
      const third = await api.get(nextOf(second) ?? '');
      expect(idsOf(third)).to.deep.equal(['t0']);
      expect(nextOf(third)).to.equal(null);
      expect((first.body as unknown as object[])[0]).to.deep.include({
        id: 't6',
        status: 'QUEUED',
        type: 'noop',
        priority: 50,
      });
    });

    it('filters by status, type, workflow and tag', async () => {
      await api.post('/tasks/batch', [
        { id: 'a', type: 'noop', tags: ['x', 'y'] },
        { id: 'b', type: 'sleep', tags: ['x'] },
        { id: 'c', type: 'noop' },
        { id: 'd', type: 'noop' },
        { id: 'e', type: 'noop' },
        { id: 'f', type: 'noop' },
      ]);
      await api.post('/workflows', {
        id: 'w',
        tasks: [
          { id: '1', type: 'noop' },
          { id: '2', type: 'sleep' },
        ],
      });
      await api.lease('a');
      await api.end('c', 'COMPLETED');
      await api.end('d', 'FAILED');
      await api.end('e', 'CANCELLED');
      await api.end('f', 'SKIPPED');
      const list = async (query: string): Promise<readonly string[]> =>
        idsOf(await api.get(`/tasks?${query}`));
      expect(await list('status=QUEUED')).to.deep.equal(['w/2', 'w/1', 'b']);
      expect(await list('status=running')).to.deep.equal(['a']);
      expect(await list('status=COMPLETED')).to.deep.equal(['c']);
      expect(await list('status=FAILED')).to.deep.equal(['d']);
      expect(await list('status=CANCELLED')).to.deep.equal(['e']);
      expect(await list('status=SKIPPED')).to.deep.equal(['f']);
      expect(await list('type=sleep')).to.deep.equal(['w/2', 'b']);
      expect(await list('workflow=w')).to.deep.equal(['w/2', 'w/1']);
      expect(await list('workflow=w&type=noop&status=QUEUED')).to.deep.equal(['w/1']);
      expect(await list('tag=x')).to.deep.equal(['b', 'a']);
      expect(await list('tag=x&status=RUNNING')).to.deep.equal(['a']);
      expect(await list(`type=${encodeURIComponent("' or 1=1 --")}`)).to.deep.equal([]);
      expect(await list('workflow=none')).to.deep.equal([]);
    });

    it('walks a bounded way for a page, which may then be short and still have a next', async () => {
      const tasks = Array.from({ length: 4100 }, (_, i) => ({
        id: `t${String(i)}`,
        type: i === 5 ? 'rare' : 'noop',
      }));
      await api.post('/tasks/batch', tasks);
      let pages = 0;
      const found: string[] = [];
      for (let path: string | null = '/tasks?type=rare'; path !== null; pages++) {
        const page: Answer = await api.get(path);
        found.push(...idsOf(page));
        path = nextOf(page);
      }
      expect(found).to.deep.equal(['t5']);
      expect(pages).to.equal(3);
    });

    it('refuses parameters that it does not know, or that are out of range', async () => {
      const answer = await api.get('/tasks?statsu=QUEUED&status=DONE&limit=501&cursor=x&tag=');
      expect(answer.status).to.equal(400);
      expect([...pointersOf(answer)].sort()).to.deep.equal(
        ['?statsu', '?status', '?limit', '?cursor', '?tag'].sort(),
      );
      expect(pointersOf(await api.get('/tasks?limit=0'))).to.deep.equal(['?limit']);
      expect(pointersOf(await api.get('/tasks?tag=a&tag=b'))).to.deep.equal(['?tag']);
    });
  });

  describe('PATCH /tasks/{id}', () => {
    it('writes the task, its unfinished side and one inbox row', async () => {
      await api.post('/tasks', { id: 'a', type: 'noop', payload: { old: true } });
      const looks = api.looks();
      const answer = await api.patch('/tasks/a', {
        priority: 3,
        payload: { fresh: true },
        run_at: '2091-01-01T00:00:00Z',
      });
      expect(answer.status).to.equal(200);
      expect(answer.body).to.deep.include({
        priority: 3,
        payload: { fresh: true },
        run_at: '2091-01-01T00:00:00.000Z',
      });
      const [live] = await api.rows('select priority, run_at from skein.live');
      expect(live).to.deep.equal({ priority: 3, run_at: new Date('2091-01-01T00:00:00Z') });
      const seq = String(await api.seqOf('a'));
      const inbox = await api.rows(
        `select first_seq, last_seq, seqs from skein.inbox where kind = 'patched'`,
      );
      expect(inbox).to.deep.equal([{ first_seq: seq, last_seq: seq, seqs: [seq] }]);
      expect(api.looks()).to.equal(looks + 1);
    });

    it('leaves alone what it does not name, and takes null for none', async () => {
      await api.post('/tasks', {
        id: 'a',
        type: 'noop',
        payload: 1,
        delay_ms: 60_000,
        priority: 9,
      });
      const one = await api.patch('/tasks/a', { run_at: null });
      expect(one.body).to.deep.include({ payload: 1, run_at: null, priority: 9 });
      const two = await api.patch('/tasks/a', { payload: null });
      expect(two.body).to.deep.include({ payload: null, run_at: null, priority: 9 });
    });

    it('refuses a leased, a cancelled and an ended task with 409, and changes nothing', async () => {
      await api.post(
        '/tasks/batch',
        ['a', 'b', 'c'].map((id) => ({ id, type: 'noop' })),
      );
      await api.lease('a');
      await api.sql.query('update skein.live set cancel = true where seq = $1', [
        await api.seqOf('b'),
      ]);
      await api.end('c', 'COMPLETED');
      for (const [id, status] of [
        ['a', 'RUNNING'],
        ['b', 'QUEUED'],
        ['c', 'COMPLETED'],
      ] as const) {
        const answer = await api.patch(`/tasks/${id}`, { priority: 1 });
        expect(answer.status).to.equal(409);
        expect(answer.body['existing']).to.deep.equal({ id, status });
        expect((await api.get(`/tasks/${id}`)).body['priority']).to.equal(50);
      }
      expect((await api.rowCounts())['inbox']).to.equal(1);
    });

    it('is refused where a lease commits while it waits for the row', async () => {
      await api.post('/tasks', { id: 'a', type: 'noop' });
      const leader = await api.session();
      await leader.query('begin');
      await leader.query('update skein.live set node_id = 1, lease_seq = 1');
      const patched = api.patch('/tasks/a', { priority: 1 });
      await eventually(
        async () =>
          (await api.rows(`select 1 from pg_stat_activity where wait_event = 'transactionid'`))
            .length > 0,
      );
      await leader.query('commit');
      expect((await patched).status).to.equal(409);
      const [row] = await api.rows('select priority from skein.task');
      expect(row).to.deep.equal({ priority: 50 });
    });

    it('refuses other fields, wrong values, an empty body and an unknown task', async () => {
      await api.post('/tasks', { id: 'a', type: 'noop' });
      const answer = await api.patch('/tasks/a', { priority: 0, run_at: 5, type: 'x' });
      expect(answer.status).to.equal(400);
      expect([...pointersOf(answer)].sort()).to.deep.equal(['#/priority', '#/run_at', '#/type']);
      expect((await api.patch('/tasks/a', {})).status).to.equal(400);
      expect((await api.patch('/tasks/a', { payload: 'x'.repeat(300_000) })).status).to.equal(413);
      expect((await api.patch('/tasks/none', { priority: 1 })).status).to.equal(404);
    });
  });

  describe('POST /tasks/{id}/cancel and /retry', () => {
    it('leave a row in the inbox for the leader and answer 202', async () => {
      await api.post(
        '/tasks/batch',
        ['a', 'b'].map((id) => ({ id, type: 'noop' })),
      );
      await api.lease('a');
      const cancelled = await api.post('/tasks/a/cancel', {});
      expect(cancelled.status).to.equal(202);
      expect(cancelled.body).to.deep.equal({ id: 'a', status: 'RUNNING' });
      await api.end('b', 'SKIPPED');
      const retried = await api.post('/tasks/b/retry', {});
      expect(retried.status).to.equal(202);
      expect(retried.body).to.deep.equal({ id: 'b', status: 'SKIPPED' });
      const inbox = await api.rows(
        `select kind, first_seq, last_seq, seqs from skein.inbox
         where kind <> 'submitted' order by inbox_id`,
      );
      const [a, b] = [String(await api.seqOf('a')), String(await api.seqOf('b'))];
      expect(inbox).to.deep.equal([
        { kind: 'cancel', first_seq: a, last_seq: a, seqs: [a] },
        { kind: 'retry', first_seq: b, last_seq: b, seqs: [b] },
      ]);
      expect(api.looks()).to.equal(3);
    });

    it('refuse with 409 what cannot be cancelled or retried, with 404 what is not there', async () => {
      await api.post(
        '/tasks/batch',
        ['a', 'b'].map((id) => ({ id, type: 'noop' })),
      );
      await api.end('a', 'COMPLETED');
      const ended = await api.post('/tasks/a/cancel', {});
      expect(ended.status).to.equal(409);
      expect(ended.body['existing']).to.deep.equal({ id: 'a', status: 'COMPLETED' });
      expect((await api.post('/tasks/a/retry', {})).status).to.equal(409);
      expect((await api.post('/tasks/b/retry', {})).status).to.equal(409);
      expect((await api.post('/tasks/none/cancel', {})).status).to.equal(404);
      expect((await api.post('/tasks/none/retry', {})).status).to.equal(404);
      expect((await api.rowCounts())['inbox']).to.equal(1);
    });
  });

  it('lists the attempts of a task, lost leases and the accepted one among them', async () => {
    await api.post('/tasks', { id: 'a', type: 'noop' });
    const seq = await api.seqOf('a');
    expect((await api.get('/tasks/a/attempts')).body).to.deep.equal([]);
    const node = await api.lease('a', 'node-7');
    await api.sql.query(
      `insert into skein.attempt (seq, lease_seq, attempt, outcome, node_id, error)
       values ($1, 0, 1, 'failed', $2, '{"code":"boom","message":"it broke"}')`,
      [seq, node],
    );
    const running = (await api.get('/tasks/a/attempts')).body as unknown as object[];
    expect(running.map((attempt) => (attempt as { outcome: string }).outcome)).to.deep.equal([
      'failed',
      'running',
    ]);
    const error = { code: 'boom', message: 'it broke' };
    expect(running[0]).to.deep.include({ attempt: 1, node: 'node-7', error });
    await api.sql.query('update skein.task set attempt = 2, lease_seq = 1, node_id = $1', [node]);
    await api.end('a', 'COMPLETED');
    const ended = (await api.get('/tasks/a/attempts')).body as unknown as object[];
    expect(ended[1]).to.deep.include({ attempt: 2, outcome: 'completed', node: 'node-7' });
    expect((await api.get('/tasks/none/attempts')).status).to.equal(404);
  });
});
