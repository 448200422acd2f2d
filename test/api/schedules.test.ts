import { expect } from 'chai';
import { pointersOf, startApi } from './support.ts';
import type { Api, Body } from './support.ts';

/**
 * Goal: a schedule is stored as it was given or refused with every fault, and whoever changes one can
 * see when it fires. Method: real HTTP and PostgreSQL, without a leader: what fires is test/schedules.
 */
const HOURLY = { cron: '@hourly', task: { type: 'noop' } };

describe('schedules over REST', () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(async () => {
    await api.close();
  });

  const firesOf = ({ next_fires: fires }: Body): readonly string[] => fires as string[];

  it('are stored with every default, and answered with their next five fires', async () => {
    const answer = await api.put('/schedules/a%2Fb', HOURLY);
    expect(answer.status).to.equal(201);
    expect(answer.headers.get('location')).to.equal('/schedules/a%2Fb');
    expect(answer.body).to.deep.include({
      ...{ id: 'a/b', cron: '@hourly', timezone: 'UTC', catch_up: 'last', overlap: 'allow' },
      ...{ paused: false, starts_at: null, ends_at: null, last_fire_at: null, last_run: null },
      ...{
        counts: { fired: 0, skipped: 0, missed: 0, refused: 0 },
        problem: null,
        task: { type: 'noop' },
      },
    });
    const fires = firesOf(answer.body);
    expect(fires).to.have.length(5);
    for (const fire of fires) expect(fire).to.match(/:00:00\.000Z$/);
    expect((await api.get('/schedules/a%2Fb')).body).to.deep.equal(answer.body);
    expect(api.looks()).to.equal(1);
    expect(await api.rows('select kind from skein.inbox')).to.deep.equal([{ kind: 'schedule' }]);
  });

  it('may be intervals, with an anchor, within a period', async () => {
    const { body } = await api.put('/schedules/s', {
      ...{ every_ms: 60_000, anchor: '2026-01-01T00:00:10Z', task: { type: 'noop' } },
      ...{ starts_at: '2099-01-01T00:00:00Z', ends_at: '2099-01-01T00:02:00Z' },
    });
    expect(body).to.include({ every_ms: 60_000, anchor: '2026-01-01T00:00:10.000Z' });
    expect(body).to.not.have.property('cron');
    expect(body['next_fires']).to.deep.equal([
      '2099-01-01T00:00:10.000Z',
      '2099-01-01T00:01:10.000Z',
    ]);
  });

  it('take the place of one another, and keep the next fire where their times stay', async () => {
    await api.put('/schedules/s', HOURLY);
    await api.rows(
      `update skein.schedule set next_fire_at = '2026-01-01T00:00:00Z', problem = 'x'`,
    );
    const again = await api.put('/schedules/s', { ...HOURLY, task: { type: 'sleep' } });
    expect(again.status).to.equal(200);
    expect(again.body).to.deep.include({ task: { type: 'sleep' }, problem: null });
    expect(firesOf(again.body)[0]).to.equal('2026-01-01T00:00:00.000Z');
    const other = await api.put('/schedules/s', { ...HOURLY, cron: '@daily' });
    expect(Date.parse(firesOf(other.body)[0] ?? '')).to.be.above(Date.now() - 60_000);
  });

  it('fire not while they are paused, and what fell into the pause is gone', async () => {
    await api.put('/schedules/s', HOURLY);
    const paused = await api.post('/schedules/s/pause', undefined);
    expect(paused.status).to.equal(200);
    expect(paused.body).to.deep.include({ paused: true, next_fires: [] });
    await api.rows(`update skein.schedule set updated_at = updated_at - interval '1 year'`);
    const resumed = await api.post('/schedules/s/resume', undefined);
    expect(resumed.body).to.deep.include({ paused: false });
    expect(Date.parse(firesOf(resumed.body)[0] ?? '')).to.be.above(Date.now() - 60_000);
    expect((await api.post('/schedules/s/resume', undefined)).status).to.equal(200);
    expect(await api.rows('select kind from skein.inbox')).to.have.length(3);
  });

  it('are run at once where a user says so, as a submit under the time of now', async () => {
    await api.put('/schedules/s', { ...HOURLY, task: { type: 'noop', priority: 3 } });
    const run = await api.post('/schedules/s/run', undefined);
    expect(run.status).to.equal(201);
    const id = String(run.body['id']);
    expect(id).to.match(/^s@\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(run.body).to.deep.equal({ id, status: 'QUEUED', schedule: 's' });
    expect(run.headers.get('location')).to.equal(`/tasks/${encodeURIComponent(id)}`);
    expect((await api.get(`/tasks/${encodeURIComponent(id)}`)).body).to.include({ priority: 3 });
    await api.end(id, 'COMPLETED');
    const { body } = await api.get('/schedules/s');
    expect(body).to.deep.include({ last_run: { id, status: 'COMPLETED' }, last_fire_at: null });
  });

  it('are run for a fire that a user names, once', async () => {
    await api.put('/schedules/s', HOURLY);
    const path = '/schedules/s/run?at=2026-03-01T00:00:00%2B01:00';
    expect((await api.post(path, undefined)).body).to.include({ id: 's@2026-02-28T23:00:00.000Z' });
    const again = await api.post(path, undefined);
    expect(again.status).to.equal(409);
    expect(again.body['existing']).to.deep.equal({ id: 's@2026-02-28T23:00:00.000Z' });
    for (const at of ['yesterday', '2026-02-31', '1969-01-01T00:00:00Z', '2026-13-01T00:00:00Z']) {
      expect((await api.post(`/schedules/s/run?at=${at}`, undefined)).status, at).to.equal(400);
    }
  });

  it('run workflows too, and say how the last one stands', async () => {
    const workflow = { name: 'Night', tasks: [{ id: 'a', type: 'noop' }] };
    await api.put('/schedules/s', { cron: '@hourly', workflow });
    const { body, headers } = await api.post('/schedules/s/run', undefined);
    const id = String(body['id']);
    expect(body).to.include({ status: 'RUNNING' });
    expect(headers.get('location')).to.equal(`/workflows/${encodeURIComponent(id)}`);
    await api.end(`${id}/a`, 'FAILED');
    expect((await api.get('/schedules/s')).body).to.deep.include({
      last_run: { id, status: 'FAILED' },
      workflow,
    });
  });

  it('cannot be run where a dependency is gone', async () => {
    await api.put('/schedules/s', { ...HOURLY, task: { type: 'noop', dependencies: ['gone'] } });
    const answer = await api.post('/schedules/s/run', undefined);
    expect(answer.status).to.equal(409);
    expect(answer.body['detail']).to.equal('s cannot be run: the task gone does not exist');
  });

  it('are listed newest first, page by page, and removed', async () => {
    for (const id of ['a', 'b', 'c']) await api.put(`/schedules/${id}`, HOURLY);
    const ids = (text: string): unknown[] => (JSON.parse(text) as Body[]).map(({ id }) => id);
    const page = await api.get('/schedules?limit=2');
    expect(ids(page.text)).to.deep.equal(['c', 'b']);
    const next = /<([^>]+)>/.exec(page.headers.get('link') ?? '')?.[1] ?? '';
    expect(ids((await api.get(next)).text)).to.deep.equal(['a']);
    expect((await api.delete('/schedules/b')).body).to.deep.equal({ id: 'b', deleted: true });
    expect((await api.delete('/schedules/b')).status).to.equal(404);
    expect(ids((await api.get('/schedules')).text)).to.deep.equal(['c', 'a']);
  });

  it('that do not exist are 404 to every call, and a method that is not there is 405', async () => {
    const answers = await Promise.all([
      api.get('/schedules/no'),
      api.delete('/schedules/no'),
      api.get('/schedules/%00'),
      ...['pause', 'resume', 'run'].map((what) => api.post(`/schedules/no/${what}`, undefined)),
    ]);
    expect(new Set(answers.map(({ status }) => status))).to.deep.equal(new Set([404]));
    const wrong = await api.patch('/schedules/no', {});
    expect(wrong.status).to.equal(405);
    expect(wrong.headers.get('allow')).to.equal('DELETE, GET, HEAD, PUT');
  });

  const faults: readonly [string, Body, readonly string[]][] = [
    ['nothing', {}, ['#', '#']],
    ['both kinds of time', { ...HOURLY, every_ms: 5000 }, ['#/every_ms']],
    [
      'a bad expression and zone',
      { ...HOURLY, cron: '* *', timezone: 'X' },
      ['#/cron', '#/timezone'],
    ],
    ['an interval below a second', { every_ms: 999, task: { type: 'noop' } }, ['#/every_ms']],
    [
      'a zone beside an interval',
      { every_ms: 1000, timezone: 'UTC', task: { type: 'noop' } },
      ['#/timezone'],
    ],
    ['an anchor beside cron', { ...HOURLY, anchor: '2026-01-01T00:00:00Z' }, ['#/anchor']],
    [
      'an unknown policy',
      { ...HOURLY, overlap: 'queue', catch_up: 'some' },
      ['#/catch_up', '#/overlap'],
    ],
    ['a field that is not known', { ...HOURLY, crom: 1 }, ['#/crom']],
    ['a task and a workflow', { ...HOURLY, workflow: { tasks: [] } }, ['#/workflow']],
    [
      'a task with an id and a time',
      { ...HOURLY, task: { type: 'noop', id: 'x', run_at: '2026-01-01T00:00:00Z' } },
      ['#/task/id', '#/task/run_at'],
    ],
    ['a bad task', { ...HOURLY, task: { type: '', prio: 1 } }, ['#/task/type', '#/task/prio']],
    [
      'a bad graph',
      {
        cron: '@daily',
        workflow: {
          tasks: [
            { id: 'a', type: 'noop', dependencies: ['b'] },
            { id: 'b', type: 'noop', dependencies: ['a'] },
          ],
        },
      },
      ['#/workflow/tasks/1/dependencies/0'],
    ],
    [
      'an end before its start',
      { ...HOURLY, starts_at: '2099-01-02T00:00:00Z', ends_at: '2099-01-01T00:00:00Z' },
      ['#/ends_at'],
    ],
    [
      'an end that is past',
      { every_ms: 1000, task: { type: 'noop' }, ends_at: '2020-01-01T00:00:00Z' },
      ['#/ends_at'],
    ],
    ['a day that never comes', { ...HOURLY, cron: '0 0 30 2 *' }, ['#/cron']],
  ];
  for (const [what, body, pointers] of faults) {
    it(`refuse ${what}, by name, and store nothing`, async () => {
      const answer = await api.put('/schedules/s', body);
      expect(answer.status, answer.text).to.equal(400);
      expect(pointersOf(answer)).to.have.members(pointers);
      expect(await api.rows('select 1 from skein.schedule')).to.deep.equal([]);
    });
  }

  it('refuse an id that leaves no room for the time, and a body above 1 MiB', async () => {
    const long = await api.put(`/schedules/${'x'.repeat(231)}`, HOURLY);
    expect(long.status).to.equal(400);
    expect(pointersOf(long)).to.deep.equal(['{id}']);
    expect((await api.put(`/schedules/${'x'.repeat(230)}`, HOURLY)).status).to.equal(201);
    const tasks = Array.from({ length: 5 }, () => ({ type: 'noop', payload: 'x'.repeat(250_000) }));
    const large = await api.put('/schedules/s', { cron: '@daily', workflow: { tasks } });
    expect(large.status).to.equal(413);
  });
});
