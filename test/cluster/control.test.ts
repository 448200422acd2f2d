import { isDeepStrictEqual } from 'node:util';
import { expect } from 'chai';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { clientOf, PATIENCE_MS, until } from './setup.ts';

/** Polls until it is so. */
async function untilEqual<T>(look: () => Promise<T>, expected: T): Promise<void> {
  let last: T | undefined;
  await until(async () => {
    last = await look();
    return isDeepStrictEqual(last, expected) ? true : undefined;
  }, JSON.stringify(expected)).catch((thrown: unknown) => {
    expect(last, String(thrown)).to.deep.equal(expected);
  });
}

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

  it('retries what did not complete in a workflow, and only that', async () => {
    const client = clientOf(cluster);
    await client.submitWorkflow({
      id: 'again',
      tasks: [
        { id: 'good', type: 'noop' },
        { id: 'slow', type: 'sleep', duration_ms: 60_000, dependencies: ['good'] },
        { id: 'never', type: 'noop', dependencies: ['slow'] },
        { id: 'clean', type: 'noop', dependencies: ['slow'], trigger_rule: 'all_done' },
        { id: 'last', type: 'noop', dependencies: ['never', 'clean'] },
      ],
    });
    const statuses = async (): Promise<readonly string[]> => {
      const { nodes } = await client.getWorkflowGraph('again');
      return nodes.map(({ status }) => status);
    };
    await untilEqual(statuses, ['COMPLETED', 'RUNNING', 'QUEUED', 'QUEUED', 'QUEUED']);
    await client.cancelWorkflow('again');
    await untilEqual(statuses, ['COMPLETED', ...Array<string>(4).fill('CANCELLED')]);
    expect(await client.retryWorkflow('again')).to.deep.include({ id: 'again', count: 4 });
    await untilEqual(statuses, ['COMPLETED', 'RUNNING', 'QUEUED', 'QUEUED', 'QUEUED']);
    await client.cancelTask('again/slow');
    await untilEqual(statuses, ['COMPLETED', 'CANCELLED', 'SKIPPED', 'COMPLETED', 'SKIPPED']);
    expect((await client.getTask('again/good')).attempt).to.equal(1);
    // The one that was cancelled, and what was SKIPPED below it; what completed stays.
    expect(await client.retryWorkflow('again')).to.deep.include({ count: 3 });
    await untilEqual(statuses, ['COMPLETED', 'RUNNING', 'QUEUED', 'COMPLETED', 'QUEUED']);
    await client.cancelWorkflow('again');
  });

  it('cancels and retries what a filter names, thousands at once', async () => {
    const client = clientOf(cluster);
    const tasks = Array.from({ length: 3000 }, () => ({ type: 'of-no-node', tags: ['crowd'] }));
    await client.submitBatch(tasks);
    const crowd = async (): Promise<Readonly<Record<string, number>>> => {
      const counts: Record<string, number> = {};
      for await (const { status, tags } of client.listTasks({ tag: 'crowd' })) {
        if (tags.includes('crowd')) counts[status] = (counts[status] ?? 0) + 1;
      }
      return counts;
    };
    expect(await client.cancelTasks({ tag: 'crowd', dry_run: true })).to.include({ count: 3000 });
    expect(await crowd()).to.deep.equal({ QUEUED: 3000 });
    expect(await client.cancelTasks({ tag: 'crowd' })).to.deep.equal({ count: 3000 });
    await untilEqual(crowd, { CANCELLED: 3000 });
    expect(await client.retryTasks({ type: 'of-no-node', tag: 'crowd' })).to.include({
      count: 3000,
    });
    await untilEqual(crowd, { QUEUED: 3000 });
    expect(await client.cancelTasks({ tag: 'crowd', status: 'QUEUED' })).to.include({
      count: 3000,
    });
    await untilEqual(crowd, { CANCELLED: 3000 });
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
