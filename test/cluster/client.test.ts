import { expect } from 'chai';
import { ClientError, SkeinClient } from '../../node/client/client.ts';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { PATIENCE_MS } from './setup.ts';

/**
 * Goal: who waits for a task, or watches it, is not disturbed by the death of the node that it asks, and
 * ends when it says so itself.
 * Method: a cluster of real nodes, whose node at the other end of the line is killed.
 */
describe('a client whose node is killed', function () {
  this.timeout(PATIENCE_MS);
  let cluster: TestCluster;
  let client: SkeinClient;

  before(async () => {
    cluster = await startCluster({ nodes: 3, slots: 1 });
    client = new SkeinClient({ urls: cluster.nodes.map(({ url }) => url) });
  });
  after(() => cluster.stop());

  const codeOf = async (action: Promise<unknown>): Promise<string> => {
    try {
      await action;
    } catch (error) {
      if (error instanceof ClientError) return error.code;
      throw error;
    }
    return 'no failure';
  };

  it('watches the task on, from another node, until its end', async () => {
    await client.submitTask({ id: 'watched', type: 'sleep', duration_ms: 3000 });
    const seen: string[] = [];
    const urls = new Set<string>();
    for await (const { fields, url } of client.subscribe({ view: 'task', id: 'watched' })) {
      urls.add(url);
      const status = String(fields['status']);
      if (seen.at(-1) !== status) seen.push(status);
      if (status === 'COMPLETED') break;
      if (urls.size === 1) {
        const node = cluster.nodes.find((each) => each.url === url && !each.hasEnded());
        if (node !== undefined) await cluster.kill(node.name, 'SIGKILL');
      }
    }
    expect(seen.at(-1)).to.equal('COMPLETED');
    expect(urls.size).to.equal(2);
  });

  it('waits for the task on, and gets how it ended', async () => {
    const [first] = cluster.nodes.filter((node) => node.hasEnded());
    await cluster.restart(first?.name ?? '');
    await client.submitTask({ id: 'awaited', type: 'sleep', duration_ms: 2500 });
    const waiting = client.waitFor('awaited', { timeoutMs: PATIENCE_MS });
    // Whichever it asks: all but one die before the end.
    const victims = cluster.nodes.slice(0, 2).map(({ name }) => name);
    for (const name of victims) await cluster.kill(name, 'SIGKILL');
    expect(await waiting).to.include({ status: 'COMPLETED', attempt: 1 });
    for (const name of victims) await cluster.restart(name);
  });

  it('ends by its deadline, and by the signal of its caller', async () => {
    await client.submitTask({ id: 'late', type: 'sleep', delay_ms: 600_000 });
    expect(await codeOf(client.waitFor('late', { timeoutMs: 50 }))).to.equal('deadline');
    const { signal } = abortedSoon();
    expect(await codeOf(client.waitFor('late', { signal }))).to.equal('aborted');
    const gone = AbortSignal.abort();
    expect(await codeOf(client.cluster({ signal: gone }))).to.equal('aborted');
    expect(await codeOf(client.submitTask({ type: 'noop' }, { signal: gone }))).to.equal('aborted');
    const watching = async (): Promise<void> => {
      const views = client.subscribe(
        { view: 'task', id: 'late' },
        { signal: abortedSoon().signal },
      );
      for await (const view of views) expect(view.fields).to.include({ id: 'late' });
    };
    expect(await codeOf(watching())).to.equal('aborted');
    await client.cancelTask('late');
  });

  it('fails a subscription to what does not exist, by the code of REST', async () => {
    const watching = client.subscribe({ view: 'workflow', id: 'none' });
    expect(await codeOf(watching.next())).to.equal('not_found');
  });

  const abortedSoon = (): AbortController => {
    const controller = new AbortController();
    setTimeout(() => {
      controller.abort();
    }, 300);
    return controller;
  };
});
