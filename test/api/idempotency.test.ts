import { expect } from 'chai';
import { eventually, request, startApi } from './support.ts';
import type { Answer, Api } from './support.ts';

/**
 * Goal: a submit with an Idempotency-Key is stored once, and answered alike however often it is sent.
 * Method: real HTTP and PostgreSQL, a transaction that is held open by hand, and a clock that is set by
 * hand in the rows.
 */
describe('a submit with an Idempotency-Key', () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(async () => {
    await api.close();
  });

  const send = (path: string, key: string, body: unknown, type = 'json'): Promise<Answer> =>
    request(api.url + path, {
      method: 'POST',
      headers: { 'content-type': `application/${type}`, 'idempotency-key': key },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const countOf = async (table: string): Promise<number> =>
    Number((await api.rows<{ n: string }>(`select count(*) as n from skein.${table}`))[0]?.n);

  const BODIES: readonly [string, string, unknown, string][] = [
    ['a task', '/tasks', { type: 'noop' }, 'json'],
    ['a task of a given id', '/tasks', { id: 'mine', type: 'noop', tags: ['a'] }, 'json'],
    ['a batch', '/tasks/batch', [{ type: 'noop' }, { type: 'noop' }], 'json'],
    ['lines', '/tasks/batch', '{"type":"noop"}\n{"type":"noop"}\n', 'x-ndjson'],
    ['a workflow', '/workflows', { tasks: [{ id: 'a', type: 'noop' }] }, 'json'],
  ];
  for (const [what, path, body, type] of BODIES) {
    it(`gives the first answer again: ${what}`, async () => {
      const first = await send(path, 'key-1', body, type);
      expect(first.status).to.equal(201);
      expect(first.headers.get('idempotent-replayed')).to.equal(null);
      const stored = await api.rowCounts();
      for (let again = 0; again < 2; again++) {
        const answer = await send(path, 'key-1', body, type);
        expect([answer.status, answer.text]).to.deep.equal([201, first.text]);
        expect(answer.headers.get('location')).to.equal(first.headers.get('location'));
        expect(answer.headers.get('idempotent-replayed')).to.equal('true');
      }
      expect(await api.rowCounts()).to.deep.equal(stored);
      expect((await send(path, 'key-2', body, type)).status).to.equal(
        what.includes('id') ? 409 : 201,
      );
    });
  }

  it('refuses the key of another request', async () => {
    expect((await send('/tasks', '"k"', { type: 'noop' })).status).to.equal(201);
    const before = await api.rowCounts();
    const others: readonly [string, unknown][] = [
      ['/tasks', { type: 'other' }],
      ['/tasks/batch', [{ type: 'noop' }]],
    ];
    for (const [path, body] of others) {
      const answer = await send(path, 'k', body);
      expect([answer.status, answer.body['code']]).to.deep.equal([409, 'idempotency_key_reused']);
    }
    expect(await api.rowCounts()).to.deep.equal(before);
    expect((await send('/tasks', '', { type: 'noop' })).status).to.equal(400);
  });

  it('remembers no refusal', async () => {
    const body = { id: 'child', type: 'noop', dependencies: ['parent'] };
    expect((await send('/tasks', 'k', body)).status).to.equal(400);
    expect(await countOf('idempotency_key')).to.equal(0);
    await api.post('/tasks', { id: 'parent', type: 'noop' });
    expect((await send('/tasks', 'k', body)).status).to.equal(201);
    const conflict = await send('/tasks', 'other', body);
    expect(conflict.status).to.equal(409);
    expect(conflict.body['existing']).to.deep.equal({
      ...{ id: 'child', status: 'QUEUED', same_body: true },
    });
  });

  it('waits for another that is under way, and gives its answer', async () => {
    const other = await api.session();
    await other.query('begin');
    await other.query(
      `insert into skein.idempotency_key (key, fingerprint, answer, location)
       values ('k', 'another', '{}', null)`,
    );
    const answer = send('/tasks', 'k', { type: 'noop' });
    await eventually(async () => {
      const waiting = await api.rows(
        `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%idempotency%'`,
      );
      return waiting.length === 1;
    });
    await other.query('rollback');
    expect((await answer).status).to.equal(201);
    const two = [send('/tasks', 'two', { type: 'noop' }), send('/tasks', 'two', { type: 'noop' })];
    const texts = (await Promise.all(two)).map(({ text }) => text);
    expect(new Set(texts).size).to.equal(1);
    expect(await countOf('task')).to.equal(2);
  });

  it('is new after a day, and what is older is removed', async () => {
    await api.sql.query(
      `insert into skein.idempotency_key (key, fingerprint, answer, created_at)
       select 'old' || n, '', '{}', clock_timestamp() - interval '3 days' from generate_series(1, 9) n`,
    );
    const first = await send('/tasks', 'k', { type: 'noop' });
    expect(await countOf('idempotency_key'), 'the old are gone').to.equal(1);
    await api.sql.query(
      `update skein.idempotency_key set created_at = clock_timestamp() - interval '25 hours'`,
    );
    const second = await send('/tasks', 'k', { type: 'other' });
    expect(second.status).to.equal(201);
    expect(second.text).to.not.equal(first.text);
    expect((await send('/tasks', 'k', { type: 'other' })).text).to.equal(second.text);
  });

  it('costs nothing to who sends none', async () => {
    await api.post('/tasks', { type: 'noop' });
    await api.post('/tasks/batch', [{ type: 'noop' }]);
    expect(await countOf('idempotency_key')).to.equal(0);
  });
});
