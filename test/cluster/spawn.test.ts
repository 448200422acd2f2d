import { expect } from 'chai';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { handlersFolder, type HandlersFolder } from '../support/handlers-folder.ts';
import { clientOf, PATIENCE_MS, until } from './setup.ts';

// Goal: a task fans out over what it finds at run time, once, also when it fails after that, and the fan
// in gets all results. Method: users' modules in threads and in processes on a cluster of real nodes.
const MODULES = {
  'list.ts': `
    import { defineHandler } from 'skein';
    export default defineHandler<{ count: number }>({
      retry: { maxAttempts: 3, backoff: { type: 'fixed', baseMs: 10 } },
      run: async ({ count }, { spawn, attempt }) => {
        const parts = await spawn(
          Array.from({ length: count }, (_, n) => ({ type: 'square', payload: n })),
        );
        const [sum] = await spawn([{ id: 'sum', type: 'sum', dependencies: parts }]);
        if (attempt === 1) throw new Error('after all was added');
        return { sum, count: parts.length };
      },
    });`,
  'square.ts': `export default (task: { payload: number }) => task.payload ** 2;`,
  'sum.ts': `
    import { defineHandler } from 'skein';
    export default defineHandler({
      isolation: 'process',
      run: async (_input, { results, spawn, task }) => {
        await spawn([{ id: 'last', type: 'noop', dependencies: [task.id] }]);
        return Object.values(await results()).reduce((sum: number, n) => sum + Number(n), 0);
      },
    });`,
  'wrong.ts': `
    import { defineHandler } from 'skein';
    export default defineHandler({
      run: async (_input, { spawn }) => spawn([{ type: 'noop', priority: 101 }]),
    });`,
};

describe('tasks that add tasks', function () {
  this.timeout(PATIENCE_MS);
  let folder: HandlersFolder;
  let cluster: TestCluster;

  before(async () => {
    folder = await handlersFolder(MODULES);
    cluster = await startCluster({ nodes: 2, slots: 4, extraFlags: ['--handlers', folder.path] });
  });
  after(async () => {
    await cluster.stop();
    await folder.remove();
  });

  it('fan out once over what they find, however often they are tried, and fan in', async () => {
    const client = clientOf(cluster);
    await client.submitWorkflow({
      id: 'fan',
      tasks: [{ id: 'list', type: 'list', payload: { count: 40 } }],
    });
    await until(async () => {
      const { status } = await client.getWorkflow('fan');
      return status === 'RUNNING' ? undefined : status;
    }, 'the end of the workflow');
    const list = await client.getTask('fan/list');
    expect(list).to.deep.include({ attempt: 2, result: { sum: 'fan/list/sum', count: 40 } });
    const sum = await client.getTask('fan/list/sum');
    expect(sum).to.include({ status: 'COMPLETED', result: (39 * 40 * 79) / 6 });
    expect((await client.getTask('fan/list/sum/last')).status).to.equal('COMPLETED');
    const { counts, status } = await client.getWorkflow('fan');
    expect([status, counts.COMPLETED]).to.deep.equal(['COMPLETED', 43]);
  });

  it('fail with the faults of what they cannot add', async () => {
    const client = clientOf(cluster);
    await client.submitTask({ id: 'wrong', type: 'wrong', max_attempts: 1 });
    const { status, error } = await client.getTask('wrong', { waitMs: 30_000 });
    expect(status).to.equal('FAILED');
    expect(error?.message).to.include('#/0/priority');
  });
});
