import { readFile, readdir, readlink, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import { isCode } from './embedded-binaries.ts';

/**
 * `postmaster.pid`, by which PostgreSQL itself keeps a second server off the same data, and the
 * question whether the process it names is really that server. PostgreSQL believes the number; after
 * a reboot it may belong to another program, and then no start would ever succeed again.
 */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
}

export async function maybeReadPostmaster(data: string): Promise<Postmaster | undefined> {
  let text: string;
  try {
    text = await readFile(path.join(data, 'postmaster.pid'), 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  // Process, data folder, start time, port, socket folder, address, shared memory, state.
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  const port = Number(lines[3]);
  return pid > 0 && port > 0 ? { pid, port } : undefined;
}

/**
 * True where `pid` lives and works in `data`, as every process of that server does. Where the system
 * has no /proc, any living process counts.
 */
export async function isProcessOf(pid: number, data: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (isCode(error, 'ESRCH')) return false;
  }
  if (process.platform !== 'linux') return true;
  return (await maybeFolderOf(pid)) === (await realpath(data));
}

/**
 * Removes `postmaster.pid` where the process it names is some other program. The file also guards
 * against starting beside the orphans of a killed server, so it stays as long as any process works
 * in this data folder.
 */
export async function removeIfForeign(data: string): Promise<void> {
  if (process.platform !== 'linux') return;
  const postmaster = await maybeReadPostmaster(data);
  if (postmaster === undefined || (await isProcessOf(postmaster.pid, data))) return;
  const home = await realpath(data);
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    if ((await maybeFolderOf(Number(entry))) === home) return;
  }
  await rm(path.join(data, 'postmaster.pid'), { force: true });
}

async function maybeFolderOf(pid: number): Promise<string | undefined> {
  try {
    return await readlink(`/proc/${String(pid)}/cwd`);
  } catch {
    // It ended meanwhile, is a zombie, or belongs to another user.
    return undefined;
  }
}
