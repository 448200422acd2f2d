import { expect } from 'chai';
import { skein } from '../cli/support.ts';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { clientOf, PATIENCE_MS, until, withDatabase } from './setup.ts';

// Goal: a node can be emptied without ending it, and nobody's work suffers. Method: a real cluster with
// work on it, drained through REST and the command line; the tables say what was charged.
describe('a node that is drained', function () {
  this.timeout(PATIENCE_MS);
  let cluster: TestCluster;

  before(async () => {
    cluster = await startCluster({ slots: 4, extraFlags: ['--drain-ms', '1500'] });
  });

  after(async () => {
    await cluster.stop();
  });

  const untilState = (name: string, ...states: string[]): Promise<unknown> =>
    until(
      async () => {
        const { state } = await clientOf(cluster).getNode(name);
        return states.includes(state) ? state : undefined;
      },
      `${name} as ${states.join(' or ')}`,
    );

  it('lets what runs finish, hands back the rest uncharged, and takes nothing more', async () => {
    const client = clientOf(cluster);
    const tasks = Array.from({ length: 24 }, (_, at) => ({
      ...{ id: `short-${String(at)}`, type: 'sleep', duration_ms: 700 },
    }));
    const long = { id: 'long', type: 'sleep', duration_ms: 8000, priority: 1 };
    await client.submitBatch([long, ...tasks]);
    const name = await until(
      async () => (await client.getTask('long')).node ?? undefined,
      'a node',
    );
    const others = cluster.nodes.filter((node) => node.name !== name);
    expect((await client.drainNode(name)).name).to.equal(name);
    await untilState(name, 'draining', 'drained');
    await untilState(name, 'drained');
    // It answers, and says so itself.
    const own = await fetch(`${cluster.node(name).url}/nodes/${name}`);
    expect(await own.json()).to.include({ state: 'drained', running: 0 });
    for (const { id } of [...tasks, long]) {
      const task = await client.getTask(id, { waitMs: PATIENCE_MS });
      expect([task.status, task.attempt], id).to.deep.equal(['COMPLETED', 1]);
    }
    expect(others.map((node) => node.name)).to.include((await client.getTask('long')).node);
    const lost = await withDatabase(cluster, async (database) => {
      const { rows } = await database.query<{ outcome: string }>(
        `select distinct outcome from skein.attempt where outcome <> 'released'`,
      );
      return rows;
    });
    expect(lost).to.deep.equal([]);
    const more = Array.from({ length: 30 }, (_, at) => ({
      id: `more-${String(at)}`,
      type: 'noop',
    }));
    await client.submitBatch(more);
    for (const { id } of more) {
      const { node } = await client.getTask(id, { waitMs: PATIENCE_MS });
      expect(node).not.to.equal(name);
    }
    await client.drainNode(name, false);
    await untilState(name, 'alive');
    await until(async () => {
      const again = Array.from({ length: 12 }, () => ({ type: 'sleep', duration_ms: 50 }));
      const { ids } = await client.submitBatch(again);
      const ended = await Promise.all(ids.map((id) => client.getTask(id, { waitMs: 30_000 })));
      return ended.some(({ node }) => node === name) ? true : undefined;
    }, `work on ${name}`);
    const kinds: string[] = [];
    for await (const event of client.listEvents()) {
      if (event.node === name) kinds.push(event.kind);
    }
    expect(kinds.slice(0, 2)).to.deep.equal(['drain-ended', 'drain-asked']);
  });

  it('is told by the next leader where the one that knew has died', async () => {
    const client = clientOf(cluster);
    const leader = await cluster.leader();
    const name = cluster.nodes.find((node) => node.name !== leader)?.name ?? '';
    await cluster.kill(leader, 'SIGKILL');
    await clientOf(cluster).drainNode(name);
    await untilState(name, 'drained');
    await clientOf(cluster).drainNode(name, false);
    await untilState(name, 'alive');
    await cluster.revive(leader);
    await cluster.ready(leader);
    await until(
      async () => ((await client.getNode(leader)).state === 'alive' ? 1 : undefined),
      leader,
    );
  });

  it('is drained from the command line, which waits until it is', async () => {
    const { name, url } = cluster.nodes.find((node) => !node.hasEnded()) ?? { name: '', url: '' };
    const drained = await skein(['drain', name, '--wait', '--url', url]);
    expect([drained.code, drained.out]).to.deep.equal([0, `${name}: drained\n`]);
    expect((await skein(['undrain', name, '--url', url])).out).to.equal(
      `${name}: takes work again\n`,
    );
    expect((await skein(['drain', 'nobody', '--url', url])).code).to.equal(1);
    await untilState(name, 'alive');
  });

  it('works again when its process is started anew', async () => {
    const client = clientOf(cluster);
    const name = cluster.nodes.at(-1)?.name ?? '';
    await client.drainNode(name);
    await untilState(name, 'drained');
    await cluster.restart(name, 'SIGTERM');
    await untilState(name, 'alive');
  });
});
