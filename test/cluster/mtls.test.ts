import { expect } from 'chai';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { clusterFiles } from '../../node/cluster-files.ts';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { clientOf, PATIENCE_MS, until } from './setup.ts';

/**
 * Goal: a cluster works over mTLS, and a node of another authority gets no task, even though it has the
 * password of the database; the leader says that it was refused.
 * Method: real nodes, of which one has the files of another cluster.
 */
describe('a cluster over mTLS', function () {
  this.timeout(PATIENCE_MS);
  let folder: string;
  let cluster: TestCluster;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'skein-mtls-'));
    await clusterFiles.init(path.join(folder, 'own'), 30);
    await clusterFiles.init(path.join(folder, 'foreign'), 30);
    const filesOf = (name: string): string => (name === 'node-3' ? 'foreign' : 'own');
    cluster = await startCluster({
      ...{ nodes: 2, slots: 2 },
      flagsOf: (name) => ['--cluster-dir', path.join(folder, filesOf(name))],
    });
  });
  after(async () => {
    await cluster.stop();
    await rm(folder, { recursive: true });
  });

  it('runs tasks, and leaves out a node that it does not know', async () => {
    const client = clientOf(cluster);
    await client.submitTask({ id: 'first', type: 'noop' });
    expect(await client.waitFor('first')).to.include({ status: 'COMPLETED' });
    await cluster.add();
    const leader = cluster.node(await cluster.leader());
    await until(
      async () => ((await leader.log()).includes('without a certificate') ? true : undefined),
      'the refusal of the third node',
    );
    const tasks = Array.from({ length: 40 }, () => ({ type: 'sleep', duration_ms: 20 }));
    const { ids } = await client.submitBatch(tasks);
    const nodes = new Set<string | null>();
    for (const id of ids) nodes.add((await client.waitFor(id)).node);
    expect([...nodes].sort()).to.deep.equal(['node-1', 'node-2']);
  });
});
