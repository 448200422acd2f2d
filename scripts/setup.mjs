/**
 * What every command does first: install the packages and build, when and only when they are not up
 * to date. Plain JavaScript on Node alone, because it runs before anything is installed; all it says
 * goes to stderr, because stdout belongs to the command.
 *
 * Both steps are judged by content: the packages by the lock file against what npm wrote down, the
 * build by a hash over its sources. A build appears under its final name in one step, and two
 * commands that start at once do the work once: a lock file names the process that does it.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  cp,
  link,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const dist = path.join(root, 'dist');

const cache = path.join(root, '.cache');
const modules = path.join(root, 'node_modules');
const LOCK_WAIT_MS = 10 * 60_000;

export function say(line) {
  process.stderr.write(`${line}\n`);
}

/** Ends the command with a message instead of a stack: for what the user can mend. */
export class SetupError extends Error {}

export async function ensureInstalled() {
  if (await isInstalled()) return;
  await withLock(async () => {
    if (await isInstalled()) return;
    if (!(await matchesLock())) {
      say('Installing the packages (npm ci) …');
      const [program, ...first] = npmCommand();
      const args = [...first, 'ci', '--no-audit', '--no-fund', '--loglevel=error'];
      const code = await run(program, args);
      if (code !== 0) throw new SetupError(`npm ci failed with exit code ${String(code)}`);
    }
    // The bin of this very package, so that npx finds it without installing anything.
    await mkdir(path.join(modules, '.bin'), { recursive: true });
    await symlink('../../scripts/skein.mjs', path.join(modules, '.bin', 'skein')).catch(ifThere);
    await writeFile(path.join(modules, '.skein-stamp'), await lockHash());
  });
}

export async function ensureBuilt() {
  if (await isBuilt()) return;
  await withLock(async () => {
    if (await isBuilt()) return;
    say('Building …');
    await build();
  });
}

async function isInstalled() {
  return (await maybeRead(path.join(modules, '.skein-stamp'))) === (await lockHash());
}

async function lockHash() {
  const lock = await readFile(path.join(root, 'package-lock.json'));
  return createHash('sha256')
    .update(lock)
    .update(`${process.platform}-${process.arch}`)
    .digest('hex');
}

/** True where what npm installed by hand is already what the lock file wants. */
async function matchesLock() {
  const installed = await maybeRead(path.join(modules, '.package-lock.json'));
  if (installed === undefined) return false;
  const wanted = JSON.parse(await readFile(path.join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(installed).packages;
  return Object.entries(wanted).every(([place, { version, optional }]) => {
    if (place === '') return true;
    const found = present[place];
    // Packages of other platforms are not installed here, and need not be.
    return found === undefined ? optional === true : found.version === version;
  });
}

async function isBuilt() {
  return (await maybeRead(path.join(dist, '.stamp'))) === (await sourcesHash());
}

async function sourcesHash() {
  const hash = createHash('sha256');
  const files = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
  for (const folder of ['node', 'proto', 'scripts']) files.push(...(await filesIn(folder)));
  for (const file of files.toSorted()) {
    hash
      .update(`${file}\0`)
      .update(await readFile(path.join(root, file)))
      .update('\0');
  }
  return hash.digest('hex');
}

async function filesIn(folder) {
  const entries = await readdir(path.join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)));
}

/** Into a folder of its own first, so that a running cluster never sees half a build. */
async function build() {
  const stamp = await sourcesHash();
  const half = path.join(root, `dist.${String(process.pid)}.new`);
  const old = path.join(root, `dist.${String(process.pid)}.old`);
  try {
    const tsc = path.join(modules, 'typescript', 'bin', 'tsc');
    const code = await run(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', half]);
    if (code !== 0) throw new SetupError('the build failed');
    // Files that the code finds relative to itself, from the sources and from the build alike.
    await cp(path.join(root, 'proto'), path.join(half, 'proto'), { recursive: true });
    const migrations = path.join('node', 'store', 'migrations');
    await cp(path.join(root, migrations), path.join(half, migrations), { recursive: true });
    await buildPage(path.join(half, 'node', 'dashboard', 'page'));
    await buildDocs(path.join(half, 'node', 'api', 'docs-page'));
    await cp(path.join(root, 'package.json'), path.join(half, 'package.json'));
    await writeFile(path.join(half, '.stamp'), stamp);
    if (existsSync(dist)) await rename(dist, old);
    await rename(half, dist);
  } finally {
    await rm(half, { recursive: true, force: true });
    await rm(old, { recursive: true, force: true });
  }
}

/** The page that a node serves; where it stands is what node/node.ts looks for beside itself. */
export async function buildPage(folder) {
  // Not at the top: this file runs before anything is installed.
  const { build: bundle } = await import('vite');
  const { config } = await import('../node/dashboard/vite.config.mjs');
  try {
    await bundle({ ...config, build: { ...config.build, outDir: folder } });
  } catch (error) {
    throw new SetupError(`the page could not be built: ${error.message}`);
  }
}

/** The page at `/docs`: the Swagger UI as its package brings it, and our two files around it. */
export async function buildDocs(folder) {
  await cp(path.join(root, 'node', 'api', 'docs'), folder, { recursive: true });
  for (const file of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
    await cp(path.join(modules, 'swagger-ui-dist', file), path.join(folder, file));
  }
}

/** npm as the one that runs this command, else the one on the path. */
function npmCommand() {
  const running = process.env.npm_execpath ?? '';
  return path.basename(running) === 'npm-cli.js' ? [process.execPath, running] : ['npm'];
}

/** Runs a program in the checkout with its output on stderr; resolves to its exit code. */
function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 2, 2] });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code));
  });
}

async function withLock(action) {
  const lock = path.join(cache, 'setup.lock');
  const own = `${lock}.${String(process.pid)}`;
  await mkdir(cache, { recursive: true });
  await writeFile(own, String(process.pid));
  try {
    const end = performance.now() + LOCK_WAIT_MS;
    // A link appears with its content in one step: a lock is never seen without its holder.
    while (!(await link(own, lock).then(() => true, ifThere))) {
      if (performance.now() > end) throw new SetupError(`${lock} has been held for ten minutes`);
      const holder = await maybeRead(lock);
      if (holder !== undefined && isDead(Number(holder))) await setAside(lock, holder);
      else await new Promise((resolve) => setTimeout(resolve, 100));
    }
    try {
      await action();
    } finally {
      await rm(lock, { force: true });
    }
  } finally {
    await rm(own, { force: true });
  }
}

/** Moves the lock of a dead process away, and back where another was quicker to take it. */
async function setAside(lock, stale) {
  const aside = `${lock}.${String(process.pid)}.aside`;
  await rename(lock, aside).catch(() => undefined);
  const moved = await maybeRead(aside);
  if (moved !== undefined && moved !== stale) await link(aside, lock).catch(ifThere);
  await rm(aside, { force: true });
}

function isDead(pid) {
  // In a container every start has the same number: a lock with ours is one we left behind.
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

function ifThere(error) {
  if (error.code === 'EEXIST') return false;
  throw error;
}

async function maybeRead(file) {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Runs a command's main function, with set-up faults and denied files as plain sentences. */
export async function runCommand(main) {
  try {
    await main();
  } catch (error) {
    if (error instanceof SetupError) say(error.message);
    else if (error?.code === 'EACCES' || error?.code === 'EROFS') {
      say(`cannot write ${error.path ?? 'a file'}: this checkout belongs to another user`);
    } else throw error;
    process.exitCode = 1;
  }
}
