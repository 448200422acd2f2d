import { fork } from 'node:child_process';
import path from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { FromInspector } from './handler-inspector.ts';
import { HandlersError, type UserCode } from './user-code.ts';

/** What a module gets to be imported, and the folder to be put together. */
const SILENCE_MS = 60_000;

/**
 * Learns what a handlers folder holds, by a process of its own that ends with this. Rejects with a
 * `HandlersError`, which names each file and what is wrong with it.
 */
export async function loadHandlers(
  folder: string,
  childEntry: URL,
  childSettings: unknown,
  clock: Clock,
): Promise<UserCode> {
  const settings = JSON.stringify(childSettings ?? null);
  const child = fork(childEntry, ['0', settings, 'inspect', path.resolve(folder)], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  let file: string | undefined;
  let cancel = (): void => undefined;
  try {
    return await new Promise<UserCode>((resolve, reject) => {
      const fail = (how: string): void => {
        const what = file === undefined ? folder : file;
        reject(new HandlersError([`${what}: ${how}`]));
      };
      const wait = (): void => {
        cancel();
        cancel = clock.after(SILENCE_MS, () => fail('it was not loaded within 60 s'));
      };
      child.on('message', (message: FromInspector) => {
        wait();
        switch (message.kind) {
          case 'loading':
            file = message.file;
            return;
          case 'faults':
            reject(new HandlersError(message.faults));
            return;
          case 'code': {
            const { path: at, text, types } = message;
            resolve({
              bundle: { path: at, text },
              types: new Map(types.map((type) => [type.type, type])),
            });
          }
        }
      });
      child.on('error', (error) => fail(error.message));
      child.once('exit', (code, signal) => {
        fail(`its process ended while it was loaded (${signal ?? `exit code ${String(code)}`})`);
      });
      wait();
    });
  } finally {
    cancel();
    child.kill('SIGKILL');
  }
}
