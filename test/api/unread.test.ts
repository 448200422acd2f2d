import { expect } from 'chai';
import { pointersOf, startApi } from './support.ts';
import type { Api } from './support.ts';

// Goal: what a client says is read or refused, never passed over. Method: real HTTP and PostgreSQL.
describe('a call', () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(async () => {
    await api.close();
  });

  // Seen to fail where a call that reads no query, or no body, did not look at them.
  it('refuses what nobody would read: unknown parameters, and bodies of calls that take none', async () => {
    await api.post('/tasks', { id: 'kept', type: 'later' });
    const dry = await api.post('/tasks/cancel?dry_run=true', { ids: ['kept'] });
    expect([dry.status, dry.body['detail']]).to.deep.equal([
      ...[400, '?dry_run: is not a known parameter'],
    ]);
    expect((await api.post('/tasks/kept/cancel', { reason: 'none' })).status).to.equal(400);
    const broken = await api.postRaw('/types/later/pause', '{bad', 'text/plain');
    expect([broken.status, pointersOf(broken)]).to.deep.equal([400, ['#']]);
    expect((await api.get('/cluster?x=1')).status).to.equal(400);
    expect((await api.get('/healthz?x=1')).status).to.equal(200);
    const { body } = await api.get('/tasks/kept');
    expect(body).to.include({ status: 'QUEUED' });
    expect(await api.rows("select 1 from skein.inbox where kind <> 'submitted'")).to.deep.equal([]);
    expect((await api.post('/tasks/kept/cancel', {})).status).to.equal(202);
  });
});
