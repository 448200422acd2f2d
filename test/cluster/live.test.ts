import { isDeepStrictEqual } from 'node:util';
import { expect } from 'chai';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { Watcher } from './live-watcher.ts';
import { clientOf, PATIENCE_MS, submitRecorded, until, untilWorkflowEnds } from './setup.ts';

// Goal: whoever watches sees what REST says, from any node, whichever node dies meanwhile. Method: a recorded
// workflow on real nodes, watched at each of them; nodes are killed while it runs.
describe('views that are watched while nodes die', function () {
  this.timeout(2 * PATIENCE_MS);
  let cluster: TestCluster;
  let watchers: Watcher[];

  beforeEach(async () => {
    cluster = await startCluster({ slots: 4, simulate: true });
    const urls = cluster.nodes.map(({ url }) => url);
    watchers = urls.map((_, at) => new Watcher([...urls.slice(at), ...urls.slice(0, at)]));
    for (const watcher of watchers) {
      watcher.watch('graph', { view: 'workflow', id: 'flow' });
      watcher.watch('tasks', { view: 'tasks', limit: 300 });
      watcher.watch('failed', { view: 'tasks', status: 'FAILED' });
      watcher.watch('overview', { view: 'overview' });
      watcher.watch('nodes', { view: 'nodes' });
    }
  });

  afterEach(async () => {
    for (const watcher of watchers) watcher.close();
    await cluster.stop();
  });

  const listed = async (url: string): Promise<unknown> =>
    (await fetch(`${url}/tasks?limit=300`)).json();

  /** Each watcher comes to show what REST says, and was never told nonsense on the way. */
  const expectTruth = async (): Promise<void> => {
    for (const [at, watcher] of watchers.entries()) {
      // Asked anew for each look: counts may be some time old where counting takes long.
      await until(
        async () => {
          const client = clientOf(cluster);
          const { url } = cluster.nodes.find((node) => !node.hasEnded()) ?? { url: '' };
          const { nodes } = await client.getWorkflowGraph('flow');
          const tasks = await listed(url);
          const { counts, leader } = await client.cluster();
          const { fields = {} } = watcher.views.get('overview') ?? {};
          const graph = new Map(watcher.rowsOf('graph').map((row) => [row.id, row['status']]));
          const isTrue =
            isDeepStrictEqual(graph, new Map(nodes.map(({ id, status }) => [id, status]))) &&
            isDeepStrictEqual(watcher.rowsOf('tasks'), tasks) &&
            watcher.rowsOf('failed').length === counts.FAILED &&
            isDeepStrictEqual(fields['counts'], counts) &&
            fields['leader'] === leader;
          return isTrue ? true : undefined;
        },
        `the truth at watcher ${String(at)}`,
      );
      expect(watcher.faults).to.deep.equal([]);
    }
  };

  const untilHalfDone = (): Promise<true> =>
    until(() => {
      const done = watchers.map(
        (watcher) => watcher.rowsOf('graph').filter((row) => row['status'] === 'COMPLETED').length,
      );
      return Promise.resolve(done.every((count) => count > 20) ? true : undefined);
    }, 'progress at every watcher');

  const run = async (): Promise<void> => {
    await submitRecorded(clientOf(cluster), 'montage-chameleon-2mass-01d-001.json', 'flow', 0.05);
    await untilHalfDone();
  };

  it('go on when the leader dies, and come to what REST says', async () => {
    await run();
    const leader = await cluster.leader();
    await cluster.kill(leader, 'SIGKILL');
    expect(await untilWorkflowEnds(clientOf(cluster), 'flow')).to.equal('COMPLETED');
    await expectTruth();
    await until(() => {
      const failover = watchers.map(({ views }) => views.get('overview')?.fields['failover']);
      const isTold = failover.every((one) => (one as { from?: string } | null)?.from === leader);
      return Promise.resolve(isTold ? true : undefined);
    }, 'the failover in every overview');
  });

  it('go on at another node when that which serves them dies', async () => {
    await run();
    const leader = await cluster.leader();
    const served = cluster.nodes.find(({ name }) => name !== leader);
    await cluster.kill(served?.name ?? '', 'SIGKILL');
    expect(await untilWorkflowEnds(clientOf(cluster), 'flow')).to.equal('COMPLETED');
    await expectTruth();
    expect(watchers.map(({ url }) => url)).not.to.include(served?.url);
  });
});
