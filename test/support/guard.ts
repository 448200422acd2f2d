import { spawn } from 'node:child_process';

export interface Guard {
  /** From now on the end of this process has no consequence. */
  readonly takeBack: () => void;
  /** Resolves when the shell has ended. */
  readonly gone: Promise<void>;
}

/**
 * A shell that reads from this process and, when that ends without having taken the guard back (a
 * crash, a kill -9), runs `script`: so that no test run leaves processes or folders behind.
 */
export function guard(script: string, args: readonly string[]): Guard {
  const shell = spawn('/bin/sh', ['-c', `cat >/dev/null\n${script}`, 'sh', ...args], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const gone = new Promise<void>((resolve) => {
    shell.once('close', () => resolve());
  });
  shell.unref();
  // The pipe stays open for as long as this process lives, without keeping it alive.
  (shell.stdin as unknown as { unref: () => void }).unref();
  const takeBack = (): void => {
    // The whole group: the shell, and the `cat` that waits in it.
    if (shell.pid !== undefined && shell.exitCode === null) process.kill(-shell.pid, 'SIGKILL');
  };
  return { takeBack, gone };
}
