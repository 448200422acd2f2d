import { expect } from 'chai';
import { pointersOf, startApi } from './support.ts';
import type { Api } from './support.ts';

/**
 * Goal: a filter asks for exactly the tasks that it names, in portions that the leader can take, and an
 * empty one for nothing. Method: real HTTP and PostgreSQL; what is asked is read from the inbox.
 */
describe('cancels and retries by a filter', () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(async () => {
    await api.close();
  });

  interface Asked {
    readonly kind: string;
    readonly bulk: boolean;
    readonly ids: readonly string[];
  }

  const asked = (): Promise<readonly Asked[]> =>
    api.rows<{ kind: string; bulk: boolean; ids: string[] }>(
      `select kind, bulk, array(select t.id from skein.task t where t.seq = any (i.seqs)
         order by t.seq) as ids
       from skein.inbox i where kind in ('cancel', 'retry') order by inbox_id`,
    );

  /** In the order of their numbers: q1 q2 wf/w1 are queued, r1 runs, the others have ended. */
  const prepare = async (): Promise<void> => {
    await api.post('/tasks', { id: 'q1', type: 'noop', tags: ['red'] });
    await api.post('/tasks', { id: 'q2', type: 'other', tags: ['red', 'old'] });
    const tasks = [
      { id: 'w1', type: 'noop' },
      { id: 'w2', type: 'other' },
      { id: 'w3', type: 'noop' },
    ];
    await api.post('/workflows', { id: 'wf', tasks });
    for (const id of ['r1', 'f1', 'f2', 'c1', 's1', 'd1']) {
      await api.post('/tasks', { id, type: id === 'f2' ? 'other' : 'noop', tags: ['late'] });
    }
    await api.lease('r1');
    await api.end('wf/w2', 'FAILED');
    await api.end('wf/w3', 'SKIPPED');
    await api.end('f1', 'FAILED');
    await api.end('f2', 'FAILED');
    await api.end('c1', 'CANCELLED');
    await api.end('s1', 'SKIPPED');
    await api.end('d1', 'COMPLETED');
  };

  const CASES: readonly [string, string, object, readonly string[]][] = [
    ['cancel', 'all', { all: true }, ['q1', 'q2', 'wf/w1', 'r1']],
    ['cancel', 'a type', { type: 'other' }, ['q2']],
    ['cancel', 'a tag', { tag: 'red' }, ['q1', 'q2']],
    ['cancel', 'a status', { status: 'RUNNING' }, ['r1']],
    ['cancel', 'a workflow', { workflow: 'wf' }, ['wf/w1']],
    ['cancel', 'ids', { ids: ['r1', 'd1', 'q2', 'none'] }, ['q2', 'r1']],
    ['cancel', 'several at once', { tag: 'red', type: 'noop' }, ['q1']],
    ['cancel', 'ids within a workflow', { ids: ['q1', 'wf/w1'], workflow: 'wf' }, ['wf/w1']],
    ['cancel', 'a type that does not exist', { type: 'none' }, []],
    ['retry', 'all', { all: true }, ['wf/w2', 'wf/w3', 'f1', 'f2', 'c1', 's1']],
    ['retry', 'a status', { status: 'FAILED' }, ['wf/w2', 'f1', 'f2']],
    ['retry', 'a workflow', { workflow: 'wf' }, ['wf/w2', 'wf/w3']],
    ['retry', 'a type and a tag', { type: 'other', tag: 'late' }, ['f2']],
    ['retry', 'ids', { ids: ['d1', 'c1', 'q1'] }, ['c1']],
  ];

  it('ask for what the filter names, and for nothing else', async () => {
    await prepare();
    for (const [kind, what, body, ids] of CASES) {
      await api.sql.query('delete from skein.inbox');
      const dry = await api.post(`/tasks/${kind}`, { ...body, dry_run: true });
      expect([what, dry.status, dry.body]).to.deep.equal([
        ...[what, 200, { count: ids.length, dry_run: true }],
      ]);
      expect(await asked(), 'a dry run asks for nothing').to.deep.equal([]);
      const answer = await api.post(`/tasks/${kind}`, body);
      expect([what, answer.status, answer.body]).to.deep.equal([what, 202, { count: ids.length }]);
      const row = { kind, bulk: false, ids };
      expect([kind, what, await asked()]).to.deep.equal([kind, what, ids.length > 0 ? [row] : []]);
    }
  });

  it('go in rows of a thousand, and more than that are marked for the leader', async () => {
    const tasks = Array.from({ length: 12_500 }, (_, at) => ({
      ...{ id: `t${String(at)}`, type: 'noop', tags: [at < 1000 ? 'few' : 'many'] },
    }));
    await api.post('/tasks/batch', tasks);
    expect((await api.post('/tasks/cancel', { tag: 'few' })).body).to.deep.equal({ count: 1000 });
    const few = await asked();
    expect(few.map(({ bulk, ids }) => [bulk, ids.length])).to.deep.equal([[false, 1000]]);
    await api.sql.query('delete from skein.inbox');
    expect((await api.post('/tasks/cancel', { all: true })).body).to.deep.equal({ count: 12_500 });
    const many = await asked();
    expect(new Set(many.map(({ bulk }) => bulk))).to.deep.equal(new Set([true]));
    expect(Math.max(...many.map(({ ids }) => ids.length))).to.equal(1000);
    expect(new Set(many.flatMap(({ ids }) => ids)).size).to.equal(12_500);
  });

  it('refuse a filter that names nothing, or what can have no such task', async () => {
    const refused: readonly [string, object, readonly string[]][] = [
      ['cancel', {}, ['#']],
      ['retry', { all: false }, ['#']],
      ['cancel', { all: true, type: 'noop' }, ['#/all']],
      ['cancel', { status: 'FAILED' }, ['#/status']],
      ['retry', { status: 'QUEUED' }, ['#/status']],
      ['retry', { ids: [] }, ['#/ids']],
      ['cancel', { typ: 'noop' }, ['#/typ']],
    ];
    for (const [kind, body, pointers] of refused) {
      const answer = await api.post(`/tasks/${kind}`, body);
      expect([kind, body, answer.status]).to.deep.equal([kind, body, 400]);
      expect([kind, body, pointersOf(answer)]).to.deep.equal([kind, body, pointers]);
    }
    expect(await asked()).to.deep.equal([]);
  });

  it('of a workflow retry what did not complete', async () => {
    await prepare();
    const answer = await api.post('/workflows/wf/retry', {});
    expect([answer.status, answer.body]).to.deep.equal([
      ...[202, { id: 'wf', status: 'RUNNING', count: 2 }],
    ]);
    expect(await asked()).to.deep.equal([{ kind: 'retry', bulk: false, ids: ['wf/w2', 'wf/w3'] }]);
    await api.post('/workflows', { id: 'young', tasks: [{ id: 'a', type: 'noop' }] });
    expect((await api.post('/workflows/young/retry', {})).status).to.equal(409);
    expect((await api.post('/workflows/none/retry', {})).status).to.equal(404);
  });
});

describe('GET /tasks/{id}/dependents', () => {
  let api: Api;
  before(async () => {
    api = await startApi();
  });
  after(async () => {
    await api.close();
  });

  const idsOf = (body: unknown): readonly string[] =>
    (body as readonly { id: string }[]).map(({ id }) => id);

  it('names those that depend on it, whether they came with it or later', async () => {
    const tasks = [
      { id: 'child', type: 'noop', dependencies: ['top'] },
      { id: 'top', type: 'noop' },
      { id: 'grandchild', type: 'noop', dependencies: ['child'] },
    ];
    await api.post('/tasks/batch', tasks);
    await api.post('/tasks', { id: 'late', type: 'noop', dependencies: ['child', 'top'] });
    await api.end('child', 'SKIPPED');
    const answer = await api.get('/tasks/top/dependents');
    expect(answer.status).to.equal(200);
    const bodies = answer.body as unknown as readonly Record<string, unknown>[];
    const found = new Map(bodies.map((body) => [body['id'], body['status']]));
    expect(found).to.deep.equal(
      new Map([...[['child', 'SKIPPED'] as const, ['late', 'QUEUED'] as const]]),
    );
    expect(idsOf((await api.get('/tasks/late/dependents')).body)).to.deep.equal([]);
    expect((await api.get('/tasks/none/dependents')).status).to.equal(404);
  });

  it('names them across a workflow and beyond, page by page', async () => {
    const fan = Array.from({ length: 7 }, (_, at) => ({
      ...{ id: `leaf${String(at)}`, type: 'noop', dependencies: ['root'] },
    }));
    await api.post('/workflows', { id: 'fan', tasks: [...fan, { id: 'root', type: 'noop' }] });
    await api.post('/tasks', { id: 'beyond', type: 'noop', dependencies: ['fan/root'] });
    const found: string[] = [];
    let next: string | undefined = '/tasks/fan%2Froot/dependents?limit=3';
    for (let pages = 0; next !== undefined && pages < 10; pages++) {
      const answer: Awaited<ReturnType<Api['get']>> = await api.get(next);
      found.push(...idsOf(answer.body));
      next = /<([^>]+)>/.exec(answer.headers.get('link') ?? '')?.[1];
    }
    expect(found).to.have.members([...fan.map(({ id }) => `fan/${id}`), 'beyond']);
  });
});
