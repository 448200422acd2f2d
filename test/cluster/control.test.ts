import { expect } from 'chai';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { clientOf, PATIENCE_MS, until } from './setup.ts';

// Goal: what users ask of tasks that wait, run and have ended, through a cluster as it is. Method: real
// nodes, REST alone, no clock but that of the database.
describe('users control tasks', function () {
  this.timeout(PATIENCE_MS);
  let cluster: TestCluster;

  before(async () => {
    cluster = await startCluster({ slots: 4, simulate: true });
  });

  after(async () => {
    await cluster.stop();
  });

  it('ends a task that nobody began within ttl_ms, and its dependents follow their rules', async () => {
    const client = clientOf(cluster);
    await client.submitWorkflow({
      id: 'patience',
      tasks: [
        { id: 'nobody', type: 'of-no-node', ttl_ms: 200 },
        { id: 'after', type: 'noop', dependencies: ['nobody'] },
        { id: 'instead', type: 'noop', dependencies: ['nobody'], trigger_rule: 'one_failed' },
        { id: 'in-time', type: 'sleep', duration_ms: 600, ttl_ms: 10_000 },
      ],
    });
    const expired = await client.getTask('patience/nobody', { waitMs: PATIENCE_MS });
    expect(expired).to.include({ status: 'FAILED', ttl_ms: 200, attempt: 0, node: null });
    expect(expired.error).to.deep.equal({
      code: 'expired',
      message: 'the task was not begun within 200 ms',
      retryable: false,
    });
    const ageMs = Date.parse(expired.finished_at ?? '') - Date.parse(expired.created_at);
    expect(ageMs).to.be.at.least(200);
    const statusOf = async (id: string): Promise<string> =>
      (await client.getTask(`patience/${id}`, { waitMs: PATIENCE_MS })).status;
    expect(await Promise.all(['after', 'instead', 'in-time'].map(statusOf))).to.deep.equal([
      ...['SKIPPED', 'COMPLETED', 'COMPLETED'],
    ]);
  });

  it('ends it also where the leader that knew of it has died', async () => {
    const client = clientOf(cluster);
    await client.submitTask({ id: 'heir', type: 'of-no-node', ttl_ms: 3000 });
    await cluster.kill(await cluster.leader(), 'SIGKILL');
    const survivors = clientOf(cluster);
    const { status, error } = await survivors.getTask('heir', { waitMs: PATIENCE_MS });
    expect([status, error?.code]).to.deep.equal(['FAILED', 'expired']);
    await until(async () => ((await cluster.view()).leader === null ? undefined : true), 'leader');
  });
});
