import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { systemClock } from '../base/clock.ts';
import { isCode } from './embedded-binaries.ts';

/**
 * A lock file that names its holder, so that two launchers never make, start or stop one database at
 * the same moment. It is held for as long as that takes, never while the database runs.
 *
 * The holder is a process number with its start time: in a container the launcher has the same
 * number at every start. The lock of a dead holder is moved aside before a new one is made, and
 * moved back when it turns out that another launcher was quicker.
 */
const WAIT_MS = 120_000;
const LOOK_MS = 50;

let locksMade = 0;

export async function withLaunchLock<T>(
  folder: string,
  signal: AbortSignal | undefined,
  action: () => Promise<T>,
): Promise<T> {
  const lock = path.join(folder, 'launcher.lock');
  await acquire(lock, signal);
  try {
    return await action();
  } finally {
    await rm(lock, { force: true });
  }
}

async function acquire(lock: string, signal: AbortSignal | undefined): Promise<void> {
  locksMade += 1;
  const own = `${lock}.${String(process.pid)}.${String(locksMade)}`;
  await writeFile(own, `${String(process.pid)} ${await startOf(process.pid)}`, { mode: 0o600 });
  try {
    const end = systemClock.monotonicMs() + WAIT_MS;
    while (systemClock.monotonicMs() < end) {
      // A link appears with its content in one step, so a lock is never seen without its holder.
      if (await maybeLink(own, lock)) return;
      const holder = await maybeRead(lock);
      if (await isDead(holder)) await setAside(lock, holder, `${own}.aside`);
      else await systemClock.sleep(LOOK_MS, signal);
    }
  } finally {
    await rm(own, { force: true });
  }
  const holder = (await maybeRead(lock)).split(' ')[0] ?? '';
  throw new Error(`another launcher (process ${holder}) has held ${lock} for two minutes`);
}

async function setAside(lock: string, stale: string, aside: string): Promise<void> {
  try {
    await rename(lock, aside);
    if ((await maybeRead(aside)) !== stale) await maybeLink(aside, lock);
  } catch (error) {
    // Someone else moved it first.
    if (!isCode(error, 'ENOENT')) throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

async function maybeLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

async function maybeRead(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return '';
    throw error;
  }
}

async function isDead(holder: string): Promise<boolean> {
  const [pidText, start] = holder.split(' ');
  const pid = Number(pidText);
  if (holder === '' || !Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return isCode(error, 'ESRCH');
  }
  return (await startOf(pid)) !== start;
}

/** When a process began, in clock ticks since the boot; empty where the system does not tell. */
async function startOf(pid: number): Promise<string> {
  try {
    const line = await readFile(`/proc/${String(pid)}/stat`, 'utf8');
    return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
