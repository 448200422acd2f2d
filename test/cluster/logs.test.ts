import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { SkeinClient } from '../../node/client/client.ts';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { PATIENCE_MS } from './setup.ts';

/**
 * Goal: who follows a log on one node hears of the death of the node that runs the task only by what the
 * next run says; and what that node ran is gone before.
 * Method: a cluster of real nodes, and a command that would sleep for long in its first run.
 * Seen to fail with an exit at the end of a child's channel to its node: the command slept on.
 */
const SCRIPT = `
  echo "run $SKEIN_FENCING_TOKEN $$"
  if [ "$SKEIN_FENCING_TOKEN" = 1 ]; then sleep 600; fi`;

describe('the log of a task whose node is killed', function () {
  this.timeout(PATIENCE_MS);
  let cluster: TestCluster;

  before(async () => {
    cluster = await startCluster({ nodes: 3, slots: 1, extraFlags: ['--allow-shell'] });
  });
  after(() => cluster.stop());

  it('goes on for who follows it on another node, and nothing of its first run is left', async () => {
    const anywhere = new SkeinClient({ urls: cluster.nodes.map(({ url }) => url) });
    await anywhere.submitTask({
      ...{ id: 'a', type: 'shell', payload: { command: ['sh', '-c', SCRIPT] } },
    });
    const runner = await runnerOf(anywhere);
    const other = cluster.nodes.find(({ name }) => name !== runner)?.url ?? '';
    const heard: string[] = [];
    for await (const { message } of new SkeinClient({ urls: [other] }).logs('a', {
      follow: true,
    })) {
      heard.push(message);
      if (heard.length === 1) await cluster.kill(runner, 'SIGKILL');
      // It is leased to another only when the first run is gone.
      else expect(await lives(pidOf(heard[0]))).to.equal(false);
    }
    const runs = heard.map((line) => Number(line.split(' ')[1]));
    expect(runs).to.have.length(2);
    expect(runs[0]).to.equal(1);
    expect(runs[1]).to.be.greaterThan(1);
    const task = await anywhere.getTask('a', { waitMs: PATIENCE_MS });
    expect(task).to.include({ status: 'COMPLETED', attempt: 1 });
  });

  const pidOf = (line = ''): number => Number(line.split(' ').at(-1));
  const runnerOf = async (client: SkeinClient): Promise<string> => {
    for (;;) {
      const { node } = await client.getTask('a', { waitMs: 20 });
      if (node !== null) return node;
    }
  };
});

/** Whether a process runs; a dead one that nobody has collected does not. */
async function lives(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${String(pid)}/stat`, 'utf8').catch(() => ') X');
  return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}
