import { spawn } from 'node:child_process';

/**
 * A shell that reads from this process and, when that ends without having taken the guard back (a
 * crash, a kill -9), runs `script`: so that no test run leaves processes or folders behind.
 */
export function guard(script: string, args: readonly string[]): { takeBack: () => void } {
  const shell = spawn('/bin/sh', ['-c', `cat >/dev/null\n${script}`, 'sh', ...args], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.unref();
  // The pipe stays open for as long as this process lives, without keeping it alive.
  (shell.stdin as unknown as { unref: () => void }).unref();
  return { takeBack: () => shell.kill() };
}
