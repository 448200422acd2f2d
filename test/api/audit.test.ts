import { expect } from 'chai';
import { newKeyOrThrow } from '../../node/api/access/keys.ts';
import { KeyStore } from '../../node/store/key-store.ts';
import { AuditLog } from '../../node/store/audit-log.ts';
import { contract, eventually, request, startApi } from './support.ts';
import type { Api, Body } from './support.ts';

/**
 * Goal: nothing changes without the audit log saying who, what, when and from where; once a call, however
 * many tasks it is about. Method: real calls, with the key of a person, and then the log.
 */
describe('the audit log', () => {
  let api: Api;
  let headers: Record<string, string>;
  before(async () => {
    api = await startApi();
    const spec = { role: 'admin', name: 'alice' };
    const { key, text } = newKeyOrThrow(spec, 'a test');
    await new KeyStore(api.database).tryCreate(key);
    headers = { authorization: `Bearer ${text}`, 'content-type': 'application/json' };
  });
  after(() => api.close());

  const call = async (method: string, path: string, body?: unknown, more = {}): Promise<Body> => {
    const answer = await request(api.url + path, {
      ...{ method, headers: { ...headers, ...more } },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return answer.body;
  };
  const logged = async (query = ''): Promise<readonly Body[]> =>
    (await api.get(`/audit?limit=500${query}`)).body as unknown as Body[];

  it('has one row for each submit, written with its tasks', async () => {
    await call('POST', '/tasks', { id: 'one', type: 'noop' });
    await call('POST', '/tasks', { id: 'once', type: 'noop' }, { 'idempotency-key': 'k' });
    await call('POST', '/tasks', { id: 'once', type: 'noop' }, { 'idempotency-key': 'k' });
    const many = Array.from({ length: 3000 }, (_, i) => ({ id: `m${String(i)}`, type: 'noop' }));
    await call('POST', '/tasks/batch', many);
    await call('POST', '/workflows', { id: 'w', tasks: [{ id: 'x', type: 'noop' }] });
    // Refused, so that nothing has changed.
    await call('POST', '/tasks', { id: 'one', type: 'noop' });
    await call('POST', '/tasks/batch', [
      { id: 'new', type: 'noop' },
      { id: 'one', type: 'noop' },
    ]);
    const rows = (await logged('&actor=alice')).toReversed();
    expect(rows.map(({ action, target, status }) => [action, target, status])).to.deep.equal([
      ['POST /tasks', 'one', 201],
      ['POST /tasks', 'once', 201],
      ['POST /tasks/batch', null, 201],
      ['POST /workflows', 'w', 201],
    ]);
    expect(rows[2]?.['detail']).to.include({ count: 3000 });
    expect(rows[0]).to.include({ address: '127.0.0.1' });
    expect(rows[0]?.['key_id']).to.match(/^[0-9a-f]{12}$/);
  });

  it('has a row for every other call that may change something, also one that was refused', async () => {
    const calls = api.server.endpoints.filter(
      ({ method, isSubmit }) => method !== 'GET' && !isSubmit,
    );
    expect(calls.length).to.be.greaterThan(15);
    const before = new Set((await logged()).map(({ id }) => id));
    const expected: string[] = [];
    for (const { method, path, isBodiless } of calls) {
      const [, parameter] = /:(\w+)/.exec(path) ?? [];
      const url = path.replace(/:\w+/, 'nobody');
      await call(method, url, isBodiless === true ? undefined : {});
      const target = parameter === undefined ? 'null' : 'nobody';
      expected.push(`${method} ${path.replace(/:(\w+)/g, '{$1}')} ${target}`);
    }
    const rows = (await logged()).filter(({ id }) => !before.has(id));
    const seen = rows.map(({ action, target }) => `${String(action)} ${String(target)}`);
    expect(seen.toReversed()).to.deep.equal(expected);
    for (const { status, actor } of rows) {
      expect(actor).to.equal('alice');
      expect(status).to.be.a('number');
    }
  });

  it('says what was changed, and no payload and no key', async () => {
    await call('PATCH', '/types/noop', { max_running: 3 });
    await call('PATCH', '/tasks/one', { priority: 7, payload: { password: 'hunter2' } });
    await call('POST', '/tasks/cancel', { ids: ['one', 'once'] });
    const made = await call('POST', '/keys', { role: 'read', name: 'bob' });
    const [key, cancel, patch, gate] = await logged('&actor=alice');
    expect(gate?.['detail']).to.deep.equal({ maxRunning: 3 });
    expect(patch?.['detail']).to.deep.equal({ priority: 7, payload: 'changed' });
    expect(cancel?.['detail']).to.include({ named: 2, count: 2 });
    expect(key?.['detail']).to.deep.equal({ id: made['id'], name: 'bob', role: 'read' });
    const secret = String(made['key']).split('_').slice(2).join('_');
    const text = JSON.stringify(await api.rows('select a::text from skein.audit a'));
    expect(text).not.to.include(secret).and.not.to.include('hunter2');
  });

  it('names who needed no key `local`, and finds rows by what was done and to what', async () => {
    await api.post('/types/noop/pause', {});
    const [row] = await logged('&action=POST%20/types/%7Btype%7D/pause&target=noop');
    expect(row).to.include({ actor: 'local', key_id: null, status: 200 });
    const { headers: first } = await api.get('/audit?limit=1');
    expect(first.get('link')).to.match(/^<\/audit\?limit=1&cursor=\d+>; rel="next"$/);
  });

  it('changes nothing that it cannot write down', async () => {
    await api.rows('alter table skein.audit rename to hidden');
    contract.seen.clear();
    try {
      const { status } = await request(`${api.url}/types/noop/resume`, { method: 'POST' });
      expect(status).to.equal(500);
    } finally {
      await api.rows('alter table skein.hidden rename to audit');
    }
    const { body } = await api.get('/types/noop');
    expect(body['paused']).to.equal(true);
  });

  it('keeps what people did for its days, and submits for a week', async () => {
    const log = new AuditLog(api.database);
    await api.rows(`update skein.audit set at = now() - interval '8 days'`);
    const count = async (): Promise<Record<string, number>> => {
      const rows = await api.rows<{ is_submit: boolean; n: string }>(
        'select is_submit, count(*) as n from skein.audit group by 1',
      );
      return Object.fromEntries(rows.map((row) => [String(row.is_submit), Number(row.n)]));
    };
    const before = await count();
    await log.sweep({ changes: 90, submits: 7 });
    await eventually(async () => (await count())['true'] === undefined);
    expect(await count()).to.deep.equal({ false: before['false'] });
    await log.sweep({ changes: 7, submits: 7 });
    expect(await count()).to.deep.equal({});
  });
});
