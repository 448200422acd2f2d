import { expect } from 'chai';
import { pointersOf, startApi } from './support.ts';
import type { Api } from './support.ts';

/**
 * Goal: a submit stores what it acknowledges, with its inbox row, and a refused one stores nothing.
 * Method: real HTTP against a real PostgreSQL, rows counted in every table after each refusal.
 */
describe('submitting one task', () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(async () => {
    await api.close();
  });

  it('stores the task, its unfinished side and one inbox row, and answers where it is', async () => {
    const answer = await api.post('/tasks', {
      id: 'task-A',
      type: 'data_processing',
      duration_ms: 5000,
      dependencies: [],
    });
    expect(answer.status).to.equal(201);
    expect(answer.body).to.deep.equal({ id: 'task-A', status: 'QUEUED' });
    expect(answer.headers.get('location')).to.equal('/tasks/task-A');
    const seq = await api.seqOf('task-A');
    const [live] = await api.rows(
      'select expected_ms, has_duration, deps, priority from skein.live',
    );
    expect(live).to.deep.equal({ expected_ms: 5000, has_duration: true, deps: [], priority: 50 });
    const inbox = await api.rows('select kind, first_seq, last_seq, seqs from skein.inbox');
    expect(inbox).to.deep.equal([
      { kind: 'submitted', first_seq: String(seq), last_seq: String(seq), seqs: null },
    ]);
    expect(api.looks()).to.equal(1);
  });

  it('gives a rising id to a task that names none', async () => {
    const first = await api.post('/tasks', { type: 'noop' });
    const second = await api.post('/tasks', { type: 'noop' });
    expect(first.body['id']).to.match(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-/);
    expect(String(second.body['id']) > String(first.body['id'])).to.equal(true);
  });

  it('keeps every field that the contract names', async () => {
    const body = {
      id: 'whole / ünïcode 😀',
      type: 'noop',
      payload: { text: 'zero \u0000 and half \ud800 of a pair', list: [1, null, true] },
      duration_ms: 1,
      priority: 1,
      max_attempts: 100,
      backoff: { type: 'fixed', base_ms: 5, max_ms: 10 },
      timeout_ms: 1000,
      run_at: '2031-02-03T04:05:06.789+02:00',
      trigger_rule: 'all_done',
      tags: ['a', 'b "quoted" \\ {}'],
      expected_ms: 77,
    };
    expect((await api.post('/tasks', body)).status).to.equal(201);
    const { body: stored } = await api.get(`/tasks/${encodeURIComponent(body.id)}`);
    expect(stored).to.deep.include({ ...body, run_at: '2031-02-03T02:05:06.789Z' });
  });

  it('counts a delay from the clock of the database', async () => {
    await api.post('/tasks', { id: 'later', type: 'noop', delay_ms: 3_600_000 });
    const [row] = await api.rows(
      `select l.run_at = t.run_at as agree,
        round(extract(epoch from t.run_at - t.created_at) / 60) as minutes
      from skein.task t join skein.live l using (seq)`,
    );
    expect(row).to.deep.equal({ agree: true, minutes: '60' });
  });

  it('resolves dependencies to the tasks that are stored, the ended ones too, each once', async () => {
    await api.post('/tasks', { id: 'p1', type: 'noop' });
    await api.post('/tasks', { id: 'p2', type: 'noop' });
    await api.end('p1', 'COMPLETED');
    const answer = await api.post('/tasks', {
      id: 'child',
      type: 'noop',
      dependencies: ['p2', 'p1', 'p2'],
    });
    expect(answer.status).to.equal(201);
    const [live] = await api.rows('select deps from skein.live where seq = $1', [
      await api.seqOf('child'),
    ]);
    expect(live).to.deep.equal({
      deps: [String(await api.seqOf('p2')), String(await api.seqOf('p1'))],
    });
    expect((await api.get('/tasks/child')).body['dependencies']).to.deep.equal(['p2', 'p1']);
  });

  it('answers 409 to an id that exists, and says whether it is the same task', async () => {
    const body = { id: 'twice', type: 'noop', payload: { a: 1, b: 2 }, priority: 7 };
    await api.post('/tasks', body);
    const before = await api.rowCounts();
    const same = await api.post('/tasks', { ...body, payload: { b: 2, a: 1 } });
    expect(same.status).to.equal(409);
    expect(same.body).to.deep.include({
      code: 'conflict',
      existing: { id: 'twice', status: 'QUEUED', same_body: true },
    });
    const other = await api.post('/tasks', { ...body, type: 'a-new-type', priority: 8 });
    expect(other.body['existing']).to.deep.include({ same_body: false });
    expect(await api.rowCounts()).to.deep.equal(before);
  });

  it('accepts exactly one of many concurrent submits of one id', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        api.post('/tasks', { id: 'one', type: 'noop', priority: 1 + i }),
      ),
    );
    const statuses = answers.map((answer) => answer.status).sort();
    expect(statuses).to.deep.equal([201, ...Array.from({ length: 49 }, () => 409)]);
    expect(await api.rowCounts()).to.include({ task: 1, live: 1, inbox: 1 });
  });

  it('commits concurrent submits in groups, each with an answer of its own', async () => {
    await api.post('/tasks', { id: 'parent', type: 'noop' });
    const bodies = Array.from({ length: 300 }, (_, i) => ({
      id: `t-${String(i % 290)}`,
      type: 'noop',
      dependencies: i % 100 === 7 ? ['nowhere'] : i % 2 === 0 ? ['parent'] : [],
    }));
    const answers = await Promise.all(bodies.map((body) => api.post('/tasks', body)));
    const count = (status: number): number =>
      answers.filter((answer) => answer.status === status).length;
    expect([count(201), count(400), count(409)]).to.deep.equal([288, 3, 9]);
    const { task, live, inbox } = await api.rowCounts();
    expect([task, live]).to.deep.equal([289, 289]);
    expect(inbox).to.be.below(100);
    const [uncovered] = await api.rows(
      `select count(*)::int as n from skein.live l where not exists (
        select from skein.inbox i where l.seq between i.first_seq and i.last_seq)`,
    );
    expect(uncovered).to.deep.equal({ n: 0 });
  });

  const refusals: readonly (readonly [string, unknown, readonly string[]])[] = [
    ['no type', { id: 'x' }, ['#/type']],
    ['a body that is no object', [], ['#']],
    [
      'unknown fields',
      { type: 'noop', lifetime_ms: 1, 'a/b~c': 2 },
      ['#/lifetime_ms', '#/a~1b~0c'],
    ],
    [
      'every field wrong at once',
      {
        id: '',
        type: 'a\u0000b',
        duration_ms: -1,
        dependencies: ['ok', 5],
        priority: 101,
        max_attempts: 0,
        backoff: { type: 'linear', base_ms: 1.5 },
        timeout_ms: 0,
        run_at: 'tomorrow',
        trigger_rule: 'some',
        tags: [''],
        expected_ms: '5',
      },
      [
        '#/id',
        '#/type',
        '#/duration_ms',
        '#/dependencies/1',
        '#/priority',
        '#/max_attempts',
        '#/backoff/type',
        '#/backoff/base_ms',
        '#/timeout_ms',
        '#/run_at',
        '#/trigger_rule',
        '#/tags/0',
        '#/expected_ms',
      ],
    ],
    ['priority 0', { type: 'noop', priority: 0 }, ['#/priority']],
    ['a fractional priority', { type: 'noop', priority: 1.5 }, ['#/priority']],
    [
      'run_at beside delay_ms',
      { type: 'noop', run_at: '2031-01-01T00:00:00Z', delay_ms: 5 },
      ['#/delay_ms'],
    ],
    [
      'a backoff that shrinks',
      { type: 'noop', backoff: { base_ms: 9, max_ms: 3 } },
      ['#/backoff/base_ms'],
    ],
    ['an unpaired surrogate in an id', { id: 'a\ud800b', type: 'noop' }, ['#/id']],
    ['a control character in a tag', { type: 'noop', tags: ['a\nb'] }, ['#/tags/0']],
    ['an id of 256 characters', { id: 'x'.repeat(256), type: 'noop' }, ['#/id']],
    ['an id that no path can carry', { id: '..', type: 'noop' }, ['#/id']],
    [
      'a dependency on itself',
      { id: 'me', type: 'noop', dependencies: ['me'] },
      ['#/dependencies/0'],
    ],
    [
      'dependencies that are missing',
      { id: 'x', type: 'new', dependencies: ['no', 'neither', 'no'] },
      ['#/dependencies/0', '#/dependencies/1', '#/dependencies/2'],
    ],
  ];
  for (const [name, body, pointers] of refusals) {
    it(`refuses ${name} with 400 and stores nothing`, async () => {
      const answer = await api.post('/tasks', body);
      expect(answer.status).to.equal(400);
      expect(answer.headers.get('content-type')).to.equal('application/problem+json');
      expect([...pointersOf(answer)].sort()).to.deep.equal([...pointers].sort());
      expect(answer.body).to.deep.include({ status: 400, code: 'invalid' });
      expect(Object.values(await api.rowCounts())).to.deep.equal([0, 0, 0, 0, 0, 0, 0]);
    });
  }

  it('refuses what would not survive being stored in a payload', async () => {
    const proto = await api.postRaw('/tasks', '{"type":"noop","payload":{"a":{"__proto__":{}}}}');
    expect(pointersOf(proto)).to.deep.equal(['#/payload/a/__proto__']);
    const huge = await api.postRaw('/tasks', '{"type":"noop","payload":[1e400]}');
    expect(pointersOf(huge)).to.deep.equal(['#/payload/0']);
    const field = await api.postRaw('/tasks', '{"type":"noop","__proto__":{"priority":1}}');
    expect(pointersOf(field)).to.deep.equal(['#/__proto__']);
    const deep = await api.postRaw('/tasks', `{"type":"noop","payload":${'['.repeat(100_000)}`);
    expect(deep.body).to.include({ status: 400, code: 'malformed' });
    expect((await api.rowCounts())['task']).to.equal(0);
  });

  it('accepts the deepest payload that it does not refuse', async () => {
    const depth = 63;
    const payload = '['.repeat(depth) + ']'.repeat(depth);
    const answer = await api.postRaw('/tasks', `{"id":"deep","type":"noop","payload":${payload}}`);
    expect(answer.status).to.equal(201);
    expect((await api.get('/tasks/deep')).text).to.include(payload);
  });

  it('refuses a payload above 256 KiB with 413 that names the limit', async () => {
    const fits = await api.post('/tasks', { type: 'noop', payload: 'x'.repeat(262_142) });
    expect(fits.status).to.equal(201);
    const answer = await api.post('/tasks', { type: 'noop', payload: 'é'.repeat(131_072) });
    expect(answer.status).to.equal(413);
    expect(answer.body['detail']).to.include('262144');
    expect((await api.rowCounts())['task']).to.equal(1);
  });

  it('refuses a body above 16 MiB with 413, announced or not', async () => {
    const body = `{"type":"noop","payload":"${'x'.repeat(17 * 1024 * 1024)}"}`;
    expect((await api.postRaw('/tasks', body)).status).to.equal(413);
    const stream = new Blob([body]).stream();
    const unannounced = await fetch(`${api.url}/tasks`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: stream,
      duplex: 'half',
    });
    expect(unannounced.status).to.equal(413);
    expect(await unannounced.json()).to.deep.include({ code: 'too_large' });
  });

  it('refuses what is not JSON, not UTF-8, or of another type', async () => {
    expect((await api.postRaw('/tasks', '{"type":')).body).to.include({ code: 'malformed' });
    expect((await api.postRaw('/tasks', '')).body).to.include({ status: 400 });
    const bytes = new Uint8Array([0x22, 0xff, 0xfe, 0x22]);
    expect((await api.postRaw('/tasks', bytes)).body).to.include({ status: 400 });
    expect((await api.postRaw('/tasks', '{}', 'text/plain')).status).to.equal(415);
    const zipped = await fetch(`${api.url}/tasks`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      body: '{}',
    });
    expect(zipped.status).to.equal(415);
    expect(Object.values(await api.rowCounts())).to.deep.equal([0, 0, 0, 0, 0, 0, 0]);
  });
});
