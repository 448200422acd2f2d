import { expect } from 'chai';
import { systemClock } from '../../node/base/clock.ts';
import { clusterAt } from '../../scripts/readiness.ts';
import { startCluster } from './cluster.ts';

/** The timeout of the test bounds how long it looks. */
const pause = (): Promise<void> => systemClock.sleep(50);

async function leaderAt(url: string): Promise<string | null | undefined> {
  return (await clusterAt(url, AbortSignal.timeout(10_000)))?.leader;
}

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

  it('cuts a node off from its database, and restarts it in its place', async () => {
    const cluster = await startCluster({ nodes: 2, proxied: true });
    try {
      const { url, peer, database } = cluster.node('node-1');
      expect(database.connections()).to.be.greaterThan(0);
      database.pause('to-client');
      const held = fetch(`${url}/tasks`);
      const other = fetch(`${cluster.node('node-2').url}/tasks`);
      expect(await Promise.race([held, other])).to.equal(await other);
      database.heal();
      expect((await held).status).to.equal(200);
      const before = cluster.node('node-1').pid;
      const after = await cluster.restart('node-1');
      expect(after.pid).not.to.equal(before);
      expect([after.url, after.peer]).to.deep.equal([url, peer]);
      expect(cluster.nodes.map(({ name }) => name)).to.deep.equal(['node-1', 'node-2']);
      const { nodes } = await cluster.view();
      expect(nodes.filter(({ state }) => state === 'alive')).to.have.length(2);
    } finally {
      await cluster.stop();
    }
  });

  it('puts the streams of the followers through the proxy of their leader', async () => {
    const cluster = await startCluster({ nodes: 2, proxied: true });
    try {
      const leader = await cluster.leader();
      const [follower] = cluster.nodes.filter(({ name }) => name !== leader);
      // The leader is a node too, and has a stream to itself.
      expect(cluster.node(leader).peer.connections()).to.be.within(1, 2);
      expect(follower?.peer.connections()).to.equal(0);
      await cluster.freeze(leader);
      while ((await leaderAt(follower?.url ?? '')) !== follower?.name) await pause();
      await cluster.thaw(leader);
      expect(await cluster.leader()).to.equal(follower?.name);
    } finally {
      await cluster.stop();
    }
  });

  it('shows the logs of a start that failed, and leaves nothing', async () => {
    const failed = await startCluster({ nodes: 1, extraFlags: ['--log-level', 'loud'] }).catch(
      (error: unknown) => error,
    );
    expect(failed).to.be.an('error').with.property('message').that.includes('--log-level');
  });
});
