import { expect } from 'chai';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { spawnNode } from '../../scripts/node-process.ts';
import type { NodeProcess } from '../../scripts/node-process.ts';
import { guard } from '../support/guard.ts';
import { systemClock } from '../../node/base/clock.ts';

/** Goal: nodes that are started one by one share the database of a folder; the last one out stops it. */
describe('skein node --data-dir', function () {
  this.timeout(60_000);

  it('starts the database with the first node and stops it with the last', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'skein node-'));
    await chmod(folder, 0o755);
    try {
      const first = await upNode('first', folder);
      const second = await upNode('second', folder);
      await end(first);
      expect(await hasPostmaster(folder)).to.equal(true);
      await end(second);
      expect(await hasPostmaster(folder)).to.equal(false);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

async function upNode(name: string, folder: string): Promise<NodeProcess> {
  const log = path.join(folder, `${name}.log`);
  const node = await spawnNode({
    name,
    flags: ['--name', name, '--data-dir', folder, '--log-format', 'json'],
    env: process.env,
    log,
  });
  guard('kill -TERM "$1"', [String(node.pid)]);
  const signal = AbortSignal.timeout(30_000);
  while (!(await readFile(log, 'utf8')).includes('The node is up.')) {
    if (node.hasEnded()) throw new Error(await readFile(log, 'utf8'));
    await systemClock.sleep(25, signal);
  }
  return node;
}

async function end(node: NodeProcess): Promise<void> {
  const exited = once(node.child, 'exit');
  node.child.kill('SIGTERM');
  expect(await exited).to.deep.equal([0, null]);
}

async function hasPostmaster(folder: string): Promise<boolean> {
  const file = path.join(folder, 'postgres', 'pgdata', 'postmaster.pid');
  return readFile(file).then(
    () => true,
    () => false,
  );
}
