import { expect } from 'chai';
import { startCluster, type TestCluster } from '../../support/cluster.ts';
import { clientOf, PATIENCE_MS, until, withDatabase } from '../../cluster/setup.ts';

// Goal: a leader that shuts down lets another lead at once, while its own tasks still run. Method: real
// processes; each slot has a task that outlasts the drain.
describe('a leader that is told to stop', function () {
  this.timeout(PATIENCE_MS);
  let cluster: TestCluster;

  afterEach(async () => {
    await cluster.stop();
  });

  // Seen to fail with the resignation after the drain.
  it('resigns first and drains second', async () => {
    cluster = await startCluster({
      ...{ nodes: 2, slots: 1, simulate: true },
      extraFlags: ['--drain-ms', '15000'],
    });
    const first = await cluster.leader();
    const second = first === 'node-1' ? 'node-2' : 'node-1';
    const client = clientOf(cluster);
    await client.submitBatch([
      { id: 'a', type: 'long', duration_ms: 60_000 },
      { id: 'b', type: 'long', duration_ms: 60_000 },
    ]);
    // A lease that its node has not begun is handed back by a drain: only what has begun outlasts it.
    const running = 'select 1 from skein.live where node_id is not null and started_at is not null';
    await withDatabase(cluster, async (database) => {
      const count = async (): Promise<number> => (await database.query(running)).rows.length;
      await until(async () => ((await count()) === 2 ? true : undefined), 'both to run');
      cluster.node(first).process.kill('SIGTERM');
      await until(async () => {
        const { rows } = await database.query<{ name: string }>(
          'select leader_name as name from skein.term',
        );
        return rows[0]?.name === second ? true : undefined;
      }, 'the other to lead');
      expect(await count(), 'tasks that still run').to.equal(2);
    });
    await Promise.all(cluster.nodes.map(({ name }) => cluster.kill(name)));
  });
});
