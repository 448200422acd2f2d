import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { killGroup, killOrphanGroup } from '../../node/base/process-identity.ts';
import { Graveyard, NODE_ROW } from './reaper-setup.ts';
import { until } from './setup.ts';

/**
 * Rule 7: a dead node's handlers may live on. Every child has a dead-man thread: no word from its node,
 * and it ends itself. Early reclaim on proven death first kills the process groups that the node wrote
 * down and sees them gone.
 * Seen to fail: with a dead-man thread that never ends the child, with the groups of the row as it was
 * read before the death, with a burial that does not wait for the groups, and with a group of the dead
 * taken for alive.
 */
describe('rule 7: the child of a node that is gone', () => {
  let folder: string;
  let node: ChildProcess;
  let group = 0;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'skein-rule-7-'));
  });
  afterEach(async () => {
    node.kill('SIGKILL');
    if (group > 1) killGroup(group);
    await rm(folder, { recursive: true });
  });

  /** A node whose one task spins; resolves when it does, and its child has heard of the time left. */
  const begin = async (leaseLeftMs: number): Promise<void> => {
    const sign = path.join(folder, 'sign');
    const script = fileURLToPath(new URL('./spinning-node.ts', import.meta.url));
    const args = ['--import=tsx', script, sign, String(leaseLeftMs)];
    node = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    node.stdout?.on('data', (bytes: Buffer) => (said += bytes.toString()));
    await until(() => said.split('word').length > 3);
    group = Number(said.split('\n')[0]);
  };
  const isGone = (): boolean => !isRunning(group);

  it('ends itself when the node is killed, though its main thread spins', async () => {
    await begin(60_000);
    expect(isGone()).to.equal(false);
    node.kill('SIGKILL');
    await until(isGone);
  });

  it('ends itself when the node is frozen until its lease is over', async () => {
    await begin(400);
    node.kill('SIGSTOP');
    await until(isGone);
  });
});

describe('rule 7: an early reclaim', () => {
  it('waits until the groups of the dead node are killed and seen gone', async () => {
    const sleeper = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
    const group = sleeper.pid ?? 0;
    const yard = new Graveyard({
      isProvenDead: () => true,
      killGroup: (number) => {
        expect([number, yard.buriedAtMs]).to.deep.equal([group, -1]);
        return killOrphanGroup(number);
      },
    });
    yard.row = { ...NODE_ROW, isExpired: false, processGroups: [group] };
    await until(async () => {
      await yard.pass(60);
      return yard.buriedAtMs !== -1;
    });
    await yard.end();
    expect(yard.isProven).to.equal(true);
    expect(isRunning(group)).to.equal(false);
  });

  it('takes the dead that nobody collects for gone, and the living for living', async () => {
    // The shell becomes a program that never collects its child, which is the last of its group.
    const script = `setsid sh -c 'echo $$; exec sleep 100' & exec sleep 100 >/dev/null`;
    const parent = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
    const group = await new Promise<number>((resolve) => {
      parent.stdout.once('data', (bytes: Buffer) => resolve(Number(bytes.toString())));
    });
    try {
      expect(isRunning(group)).to.equal(true);
      await until(() => killOrphanGroup(group));
      expect(isRunning(group)).to.equal(false);
      expect(killGroup(group), 'it is there to a signal').to.equal(false);
    } finally {
      parent.kill('SIGKILL');
    }
  });

  it('reads the groups after the death, because the node wrote until then', async () => {
    const killed: number[] = [];
    const yard = new Graveyard({
      isProvenDead: () => {
        // Between the read of its row and its death the node has started a child.
        yard.row = { ...NODE_ROW, processGroups: [4242] };
        return true;
      },
      killGroup: (group) => killed.push(group) > 0,
    });
    await yard.pass(1);
    await yard.end();
    expect(killed).to.deep.equal([4242]);
    expect(yard.buriedAtMs).to.equal(0);
  });

  it('is none where a child of the dead node cannot be killed: the lease is waited out', async () => {
    const yard = new Graveyard({ isProvenDead: () => true, killGroup: () => false });
    yard.row = { ...NODE_ROW, processGroups: [4242] };
    await yard.pass(5000);
    expect(yard.buriedAtMs).to.equal(-1);
    await yard.pass(10_000);
    await yard.end();
    expect(yard.isProven).to.equal(false);
  });
});

/** False for what is gone, or dead and not yet collected by its parent. */
function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
  } catch {
    return false;
  }
}
