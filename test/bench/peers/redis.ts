import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import { systemClock } from '../../../node/base/clock.ts';
import { guard } from '../../support/guard.ts';

/** A Redis of its own out of the distribution, in memory alone: that is how it is fastest. */
export interface Redis {
  readonly url: string;
  stop(): Promise<void>;
}

const START_MS = 10_000;
const LOOK_MS = 20;

export function hasRedis(): boolean {
  return spawnSync('redis-server', ['--version'], { stdio: 'ignore' }).status === 0;
}

export async function startRedis(folder: string): Promise<Redis> {
  const port = await freePort();
  const flags = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
  const child = spawn('redis-server', [...flags, '--save', '', '--appendonly', 'no'], {
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  const watch = guard('kill -9 "$1"', [String(child.pid)]);
  const giveUp = AbortSignal.timeout(START_MS);
  while (!(await listens(port))) await systemClock.sleep(LOOK_MS, giveUp);
  return {
    url: `redis://127.0.0.1:${String(port)}`,
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
      watch.takeBack();
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
