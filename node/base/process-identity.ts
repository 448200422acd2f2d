import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

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

/**
 * The same for the group of a node that is gone: true as soon as nothing of it runs, also while nobody
 * has collected the dead, because in a container there may be nobody who ever does.
 */
export function killOrphanGroup(group: number): boolean {
  return killGroup(group) || readOr(false, () => !hasLiving(group));
}

/** Looks at every process of this machine; throws where one cannot be read. */
function hasLiving(group: number): boolean {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statOf(Number(name));
    if (fields === undefined || isDead(fields)) continue;
    if (Number(fields[GROUP_FIELD]) === group) return true;
  }
  return false;
}

/** The start of a living process, undefined for one that is gone or a zombie; throws if unknown. */
function startOf(pid: number): string | undefined {
  const fields = statOf(pid);
  return fields === undefined || isDead(fields) ? undefined : fields[START_FIELD];
}

function isDead(fields: readonly string[]): boolean {
  return fields[0] === 'Z' || fields[0] === 'X';
}

const GROUP_FIELD = 2;
const START_FIELD = 19;

/** The fields of a process from its state on, undefined for one that is gone; throws if unknown. */
function statOf(pid: number): readonly string[] | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  } catch (thrown) {
    const code = (thrown as { code?: unknown }).code;
    if ((code === 'ENOENT' || code === 'ESRCH') && !exists(pid)) return undefined;
    throw thrown;
  }
  // The command name may hold spaces and parentheses; the fields after its last one are plain.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
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

function readOr<T>(fallback: T, read: () => T): T {
  try {
    return read();
  } catch {
    return fallback;
  }
}
