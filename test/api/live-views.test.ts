import { expect } from 'chai';
import { connect, isA } from './live-support.ts';
import type { Seen } from './live-support.ts';
import { addNode, startApi } from './support.ts';
import type { Api, Body } from './support.ts';

// Goal: what a view shows beyond the lists of REST is what the database says. Method: as the other tests of
// the live protocol.
describe('views of the live protocol', () => {
  let api: Api;
  let client: Seen;
  before(async () => {
    api = await startApi();
    client = connect(api);
    await client.hear('hello', ({ type }) => type === 'hello');
  });
  after(async () => {
    client.socket.terminate();
    await api.close();
  });

  it('shows what needs attention, and the last failover', async () => {
    await addNode(api.sql, 'node-1');
    const tasks = ['paused', 'of-nobody', 'noop', 'noop', 'noop'];
    for (const [at, type] of tasks.entries())
      await api.post('/tasks', { id: `t-${String(at)}`, type });
    await api.post('/types/paused/pause', undefined);
    await api.sql.query(`update skein.live set losses = 2 where seq = $1`, [
      await api.seqOf('t-2'),
    ]);
    await api.lease('t-3', 'node-lost');
    await api.sql.query(
      `update skein.node set lease_until = now() - interval '1 s' where name = 'node-lost'`,
    );
    await api.sql.query(
      `update skein.live set expected_ms = 5, leased_at = now() - interval '2 minutes'
       where seq = $1`,
      [await api.seqOf('t-3')],
    );
    await api.end('t-4', 'FAILED');
    await api.sql.query(`update skein.task set error = '{"code":"quarantined"}' where id = 't-4'`);
    await api.put('/schedules/broken', { every_ms: 60_000, task: { type: 'noop' } });
    await api.sql.query(`update skein.schedule set problem = 'why', problem_at = now()`);
    await api.sql.query(
      `insert into skein.event (kind, node_name, term, detail) values
        ('elected', 'node-7', 1, '{}'), ('elected', 'node-1', 2, '{"after_ms": 411.4}')`,
    );
    client.say({ type: 'subscribe', sub: 'a', to: { view: 'overview' } });
    const { fields } = await client.hear('overview', isA('snapshot'));
    const { failover } = fields as Body;
    // Counts may be as old as a fraction of a second.
    const heard = await client.hear('the lease that is over', (message) =>
      JSON.stringify(message).includes('"expired_leases":[{'),
    );
    const { attention } = heard['fields'] as Body;
    expect(failover).to.include({ from: 'node-7', to: 'node-1', term: 2, after_ms: 411 });
    const found = attention as Record<string, Body[] & Body>;
    expect(found['types']).to.deep.equal([
      { type: 'of-nobody', reason: 'unhandled', queued: 1 },
      { type: 'paused', reason: 'paused', queued: 1 },
    ]);
    expect(found['oldest_ready']).to.include({ id: 't-0', type: 'paused' });
    expect(found['lost']).to.deep.equal([{ id: 't-2', losses: 2 }]);
    expect(found['overdue']?.[0]).to.include({ id: 't-3', node: 'node-lost' });
    expect(found['expired_leases']).to.deep.equal([{ node: 'node-lost', running: 1 }]);
    expect(found['quarantined']?.[0]).to.include({ id: 't-4' });
    expect(found['schedules']?.[0]).to.include({ id: 'broken', problem: 'why' });
  });

  it('shows schedules as REST does', async () => {
    await api.put('/schedules/nightly', { cron: '0 3 * * *', task: { type: 'noop' } });
    client.say({ type: 'subscribe', sub: 's', to: { view: 'schedules' } });
    const { rows } = await client.hear('schedules', isA('snapshot', 's'));
    expect(rows).to.deep.equal((await api.get('/schedules')).body);
  });
});
