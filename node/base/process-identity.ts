import { readFileSync, readlinkSync } from 'node:fs';

/**
 * What tells one process of one machine from all others, so that its death can be proven by another
 * process of the same machine: the boot, the namespace that its pid belongs to, the pid, and the
 * instant it started (a pid is used again). Read from /proc; on systems without it nothing is ever
 * proven, and a lost lease is waited out.
 */
export interface ProcessIdentity {
  readonly bootId: string;
  readonly pidNamespace: string;
  readonly pid: number;
  /** Clock ticks since boot. */
  readonly pidStarted: string;
}

export function ownIdentity(): ProcessIdentity {
  return {
    bootId: readOr('', () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    pidNamespace: readOr('', () => readlinkSync('/proc/self/ns/pid')),
    pid: process.pid,
    pidStarted: readOr('', () => startOf(process.pid) ?? ''),
  };
}

/** True only where it is certain that the process is gone. */
export function isProvenDead(other: ProcessIdentity, own: ProcessIdentity): boolean {
  if (own.bootId === '' || own.pidNamespace === '' || other.pidStarted === '') return false;
  if (other.bootId !== own.bootId || other.pidNamespace !== own.pidNamespace) return false;
  try {
    return startOf(other.pid) !== other.pidStarted;
  } catch {
    // Not read (too many open files, say) is not gone.
    return false;
  }
}

/**
 * Sends SIGKILL to a process group; true when no process of it is left. To the kernel 0 is the group
 * of the caller and -1 is everybody, so a number that no child can have names nobody.
 */
export function killGroup(group: number): boolean {
  if (!Number.isSafeInteger(group) || group <= 1) return true;
  try {
    process.kill(-group, 'SIGKILL');
    return false;
  } catch (thrown) {
    return (thrown as { code?: unknown }).code === 'ESRCH';
  }
}

/** The start of a living process, undefined for one that is gone or a zombie; throws if unknown. */
function startOf(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  } catch (thrown) {
    const code = (thrown as { code?: unknown }).code;
    if ((code === 'ENOENT' || code === 'ESRCH') && !exists(pid)) return undefined;
    throw thrown;
  }
  // The command name may hold spaces and parentheses; the fields after its last one are plain.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  if (state === 'Z' || state === 'X') return undefined;
  return fields[19];
}

/** Where /proc hides the processes of other users (hidepid), a signal still tells that they are. */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as { code?: unknown }).code !== 'ESRCH';
  }
}

function readOr(fallback: string, read: () => string): string {
  try {
    return read();
  } catch {
    return fallback;
  }
}
