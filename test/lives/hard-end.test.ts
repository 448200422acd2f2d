import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { spawnNode, type NodeProcess } from '../../scripts/node-process.ts';
import { guard } from '../support/guard.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { until } from './setup.ts';

/**
 * Goal: a node that was told to stop ends, also where a step of it hangs that no deadline covers.
 * Method: a real process, one step of which never ends, with a small bound.
 * Seen to fail without the hard end of runNode: neither ended.
 */
describe('a node that was told to stop and hangs', () => {
  let database: TestDatabase;
  let folder: string;
  let node: NodeProcess;
  let takeBack: () => void;

  beforeEach(async () => {
    database = await createTestDatabase();
    folder = await mkdtemp(path.join(tmpdir(), 'skein-hard-end-'));
  });
  afterEach(async () => {
    if (!node.hasEnded()) node.child.kill('SIGKILL');
    await node.ended;
    takeBack();
    await rm(folder, { recursive: true });
    await database.drop();
  });

  const spawn = async (step: 'start' | 'stop'): Promise<void> => {
    node = await spawnNode({
      name: 'node-1',
      flags: ['--name', 'node-1', '--log-format', 'json', '--drain-ms', '100'],
      env: {
        ...{ ...process.env, SKEIN_DATABASE_URL: database.url },
        ...{ HANGING_STEP: step, ENDING_MS: '900' },
      },
      log: path.join(folder, 'log'),
      main: fileURLToPath(new URL('hanging-node.ts', import.meta.url)),
    });
    takeBack = guard('kill -9 "$1"', [String(node.pid)]).takeBack;
  };
  const said = async (text: string): Promise<readonly string[]> =>
    (await readFile(node.log, 'utf8')).split('\n').filter((line) => line.includes(text));
  const expectHardEnd = async (): Promise<void> => {
    expect(await node.ended).to.equal('exit code 1');
    const lines = await said('The shut-down hangs; the process ends without it.');
    expect(lines).to.have.length(1);
    expect(lines[0]).to.include('it was told to stop 1000 ms ago');
  };

  it('ends hard, some time after the drain', async () => {
    await spawn('stop');
    await until(async () => (await said('The node is up.')).length === 1);
    node.child.kill('SIGTERM');
    await expectHardEnd();
  });

  it('ends hard while it starts', async () => {
    await spawn('start');
    await until(async () => (await said('it hangs')).length === 1);
    node.child.kill('SIGTERM');
    await expectHardEnd();
  });
});
