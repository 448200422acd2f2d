import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';

/** What mocha's own JSON reporter says of a test. */
export interface TestReport {
  readonly title: string;
  readonly fullTitle: string;
  /** Milliseconds. */
  readonly duration?: number;
  readonly err: { readonly stack?: string; readonly message?: string; readonly code?: string };
}

export interface MochaReport {
  readonly passes: readonly TestReport[];
  readonly failures: readonly TestReport[];
}

/** The end of what a run has said, for whoever must find out why it ended. */
const TAIL_CHARACTERS = 2000;

export interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
  readonly isOverdue: boolean;
}

/** Runs a program of the copy, and leaves nothing of it behind; rejects where it cannot start. */
export function runToEnd(
  args: readonly string[],
  options: {
    readonly folder: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly limitMs: number;
    readonly signal: AbortSignal;
    /** Words in its errors after which nothing more need be known. */
    readonly enough?: RegExp;
  },
): Promise<Ended> {
  const { folder, env, limitMs, signal, enough } = options;
  return new Promise((resolve, reject) => {
    // A group of its own: what a broken test has started ends with it.
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env: { ...process.env, ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-TAIL_CHARACTERS);
      if (enough?.test(errors) === true) killGroup();
    });
    const killGroup = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // All of it has ended.
      }
    };
    let isOverdue = false;
    const limit = setTimeout(() => {
      isOverdue = true;
      killGroup();
    }, limitMs);
    signal.addEventListener('abort', killGroup);
    child.once('error', reject);
    child.once('exit', killGroup);
    child.once('close', (code) => {
      clearTimeout(limit);
      signal.removeEventListener('abort', killGroup);
      resolve({ code, output, errors, isOverdue });
    });
    if (signal.aborted) killGroup();
  });
}

/** One file of tests in the copy; without a report where mocha did not get to its end. */
export async function runMocha(options: {
  readonly folder: string;
  readonly test: string;
  /** Runs those alone whose full title contains it, until one fails; without it the whole file. */
  readonly only?: { readonly grep: string; readonly timeoutMs: number };
  readonly databaseUrl: string;
  readonly limitMs: number;
  readonly signal: AbortSignal;
}): Promise<Ended & { readonly report: MochaReport | undefined }> {
  const { folder, test, only, databaseUrl, limitMs, signal } = options;
  const reportFile = path.join(folder, 'report.json');
  await rm(reportFile, { force: true });
  const mocha = path.join(folder, 'node_modules', 'mocha', 'bin', 'mocha.js');
  const some =
    only === undefined ? [] : ['--fgrep', only.grep, '--bail', '--timeout', String(only.timeoutMs)];
  const reporter = ['--reporter', 'json', '--reporter-option', `output=${reportFile}`];
  // A test that was broken may leave something open, which would keep mocha from its end.
  const ended = await runToEnd([mocha, '--exit', ...reporter, ...some, test], {
    folder,
    env: { SKEIN_TEST_DATABASE_URL: databaseUrl },
    limitMs,
    signal,
  });
  return { ...ended, report: await readReport(reportFile) };
}

async function readReport(file: string): Promise<MochaReport | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as MochaReport;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
    throw error;
  }
}
