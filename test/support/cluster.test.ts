import { expect } from 'chai';
import { startCluster } from './cluster.ts';

/** Goal: tests may kill, freeze and add nodes, and nothing is left of them afterwards. */
describe('a cluster for tests', function () {
  this.timeout(120_000);

  it('starts real nodes, names the leader, loses one, gains one, and stops them all', async () => {
    const cluster = await startCluster({ nodes: 2, slots: 5, simulate: true });
    try {
      expect(cluster.nodes.map((node) => node.name)).to.deep.equal(['node-1', 'node-2']);
      const first = await cluster.leader();
      await cluster.kill(first);
      expect(cluster.node(first).hasEnded()).to.equal(true);
      const second = await cluster.leader();
      expect(second).not.to.equal(first);
      const added = await cluster.add();
      expect(added.name).to.equal('node-3');
      expect(await added.log()).to.include('node-3');
      await cluster.kill(second, 'SIGSTOP');
    } finally {
      await cluster.stop();
    }
    for (const node of cluster.nodes) expect(node.hasEnded(), node.name).to.equal(true);
  });

  it('shows the logs of a start that failed, and leaves nothing', async () => {
    const failed = await startCluster({ nodes: 1, extraFlags: ['--log-level', 'loud'] }).catch(
      (error: unknown) => error,
    );
    expect(failed).to.be.an('error').with.property('message').that.includes('--log-level');
  });
});
