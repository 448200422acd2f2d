import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../node/base/clock.ts';

/** How a process ended, in words: `exit code 1`, `SIGKILL`. */
export type Ending = string;

export interface NodeProcess {
  readonly name: string;
  readonly pid: number;
  readonly log: string;
  /** How long the log was before this process wrote to it. */
  readonly logFrom: number;
  readonly child: ChildProcess;
  /** Resolves when it is gone; never rejects. */
  readonly ended: Promise<Ending>;
  hasEnded(): boolean;
}

export interface SpawnOptions {
  readonly name: string;
  /** What follows `node`, as on the command line. */
  readonly flags: readonly string[];
  /** The password of the database travels here, where other users cannot read it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The file that takes stdout and stderr; it is appended to. */
  readonly log: string;
  /** Another module than the command line's own that understands `node` and its flags. */
  readonly main?: string;
  /** The options of Node itself: those of this process unless given. A build needs no loader. */
  readonly execArgv?: readonly string[];
  /** What runs it, and becomes it: `ip netns exec NAME`. */
  readonly command?: readonly string[];
}

/** Beside this file in the build; from the sources through the loader that runs this process. */
const MAIN = fileURLToPath(
  new URL(`../node/main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

/**
 * Starts `skein node` as a process of its own: a session that no signal of the terminal reaches, so
 * that Ctrl-C is the launcher's to translate, and a log file of its own, so that the node lives on
 * when the launcher is killed.
 */
export async function spawnNode(options: SpawnOptions): Promise<NodeProcess> {
  const output = openSync(options.log, 'a', 0o600);
  const logFrom = (await stat(options.log)).size;
  let child: ChildProcess;
  try {
    const { main = MAIN, execArgv = process.execArgv, command = [] } = options;
    const node = [process.execPath, ...execArgv, main, 'node', ...options.flags];
    const [program = process.execPath, ...args] = [...command, ...node];
    child = spawn(program, args, {
      env: { ...options.env },
      detached: true,
      stdio: ['ignore', output, output],
    });
  } finally {
    closeSync(output);
  }
  let gone = false;
  const ended = new Promise<Ending>((resolve) => {
    const end = (ending: Ending): void => {
      gone = true;
      resolve(ending);
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(signal ?? `exit code ${String(code)}`));
  });
  if (child.pid === undefined) throw new Error(`${options.name} did not start: ${await ended}`);
  const { name, log } = options;
  return { name, pid: child.pid, log, logFrom, child, ended, hasEnded: () => gone };
}

const LOOK_MS = 100;
const CHUNK_BYTES = 64 * 1024;

/** Hands over each line of a file from a position on (its end, unless given), until told to stop. */
export async function followLines(
  file: string,
  from: number | undefined,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const handle = await open(file, 'r');
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let position = from ?? (await handle.stat()).size;
  let rest: Buffer = Buffer.alloc(0);
  try {
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, position);
      position += bytesRead;
      const lines = splitLines(Buffer.concat([rest, buffer.subarray(0, bytesRead)]));
      rest = lines.rest;
      for (const line of lines.whole) onLine(line);
      if (bytesRead > 0) continue;
      // Stopped only at the end of the file, so that the last words of a node are heard.
      if (signal.aborted) return;
      await systemClock.sleep(LOOK_MS, signal).catch(() => undefined);
    }
  } finally {
    await handle.close();
  }
}

/** Cut as bytes, so that a character across two reads stays whole. */
function splitLines(bytes: Buffer): { readonly whole: readonly string[]; readonly rest: Buffer } {
  const last = bytes.lastIndexOf('\n');
  if (last < 0) return { whole: [], rest: bytes };
  const whole = bytes.subarray(0, last).toString('utf8').split('\n');
  return { whole, rest: bytes.subarray(last + 1) };
}
