import { spawn } from 'node:child_process';
import net from 'node:net';
import { Cancel, FatalError, Snooze, type Handler } from '../../node/core/handler.ts';
import { shell } from '../../node/handlers/shell.ts';

/**
 * Handlers that run in processes of their own. Each calls the port in its payload first and keeps the
 * line open: the test hears that it has begun, and the end of the line is the death of the process.
 */
interface Payload {
  readonly port: number;
  readonly [key: string]: unknown;
}

async function call(payload: unknown, said: Readonly<Record<string, unknown>> = {}) {
  const socket = net.connect((payload as Payload).port, '127.0.0.1');
  socket.on('error', () => undefined);
  const line = JSON.stringify({ pid: process.pid, ...said });
  await new Promise<void>((resolve) => {
    socket.write(`${line}\n`, () => {
      resolve();
    });
  });
  return socket;
}

/** Spins for good, as soon as the line is through. */
function spin(): never {
  for (;;);
}

export const isolatedHandlers: readonly Handler[] = [
  shell,
  {
    type: 'who',
    run: (_task, { attempt, fencingToken }) =>
      Promise.resolve({ pid: process.pid, attempt, fencingToken }),
  },
  {
    type: 'wait',
    run: async ({ payload }, { signal }) => {
      const socket = await call(payload);
      return new Promise((resolve, reject) => {
        socket.on('data', () => resolve('told to end'));
        signal.addEventListener('abort', () => {
          socket.write('heard\n');
          reject(signal.reason as Error);
        });
      });
    },
  },
  {
    type: 'deaf',
    run: async ({ payload }) => {
      await call(payload);
      return new Promise(() => undefined);
    },
  },
  {
    type: 'spin',
    run: async ({ payload }) => {
      await call(payload);
      spin();
    },
  },
  {
    type: 'die',
    run: () => {
      process.kill(process.pid, 'SIGKILL');
      return new Promise(() => undefined);
    },
  },
  { type: 'exit', run: () => process.exit(0) },
  {
    type: 'parent',
    run: async ({ payload }) => {
      const child = spawn('sleep', ['600'], { stdio: 'ignore' });
      await call(payload, { child: child.pid });
      return 'left a child behind';
    },
  },
  {
    type: 'steer',
    run: async ({ payload }, { log, progress, results }) => {
      switch ((payload as { how: string }).how) {
        case 'cancel':
          throw new Cancel();
        case 'snooze':
          throw new Snooze(60_000);
        case 'not-retryable':
          throw Object.assign(new Error('no'), { code: 'no_use', retryable: false });
        case 'results':
          return [await results(), await results()];
        default:
          log.info('half way', { n: 1 });
          progress(0.5, 'half');
          log.error('x'.repeat(9000), { y: 'y'.repeat(9000) });
          return null;
      }
    },
  },
  {
    type: 'return',
    run: ({ payload }) => {
      const what = (payload as Payload)['what'];
      const results: Readonly<Record<string, () => unknown>> = {
        large: () => 'x'.repeat(256 * 1024),
        largest: () => 'x'.repeat(256 * 1024 - 2),
        cycle: () => {
          const cycle: Record<string, unknown> = {};
          cycle['self'] = cycle;
          return cycle;
        },
        fatal: () => {
          throw new FatalError('no_use', 'never again');
        },
        nul: () => {
          throw Object.assign(new Error('a\0b \ud800 c'), { code: 'odd' });
        },
        chatter: () => process.send?.({ kind: 'hello' }),
      };
      return Promise.resolve(results[what as string]?.());
    },
  },
];
