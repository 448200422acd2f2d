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
  if (!isGroup(group)) return true;
  try {
    process.kill(-group, 'SIGKILL');
    return false;
  } catch (thrown) {
    return (thrown as { code?: unknown }).code === 'ESRCH';
  }
}

/**
 * What a process and all that it starts carry in their environment: the number of their group. A command
 * may well leave its group (`timeout` makes one of its own, a shell with job control one for each job) and
 * even its session (`setsid`), and nobody would find it again.
 */
export const GROUP_VARIABLE = 'SKEIN_GROUP';

/**
 * The same for a group whose leader is gone, and for what has left it: true as soon as nothing of it runs,
 * also while nobody has collected the dead, because in a container there may be nobody who ever does.
 */
export function killOrphanGroup(group: number): boolean {
  const isEmpty = killGroup(group);
  if (!isGroup(group)) return true;
  return readOr(isEmpty, () => killMembers(group, () => true));
}

/**
 * What has left the group of this very process, which leads it: before an answer that is followed by the
 * end of the group, and before that end where nobody else may be there to look.
 */
export function killOwnStrays(): void {
  const group = process.pid;
  const isStray = (fields: readonly string[]): boolean => Number(fields[GROUP_FIELD]) !== group;
  for (let round = 0; round < STRAY_ROUNDS_MAX; round++) {
    if (readOr(true, () => killMembers(group, isStray))) return;
  }
}

/** Looks at every process of this machine; true if none is left to kill. Throws where one cannot be read. */
function killMembers(group: number, isMeant: (fields: readonly string[]) => boolean): boolean {
  let isNone = true;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statOf(Number(name));
    if (fields === undefined || isDead(fields) || !isMeant(fields)) continue;
    if (!isMember(Number(name), fields, group)) continue;
    isNone = false;
    try {
      process.kill(Number(name), 'SIGKILL');
    } catch {
      // It has ended meanwhile, or is another user's: the next look tells.
    }
  }
  return isNone;
}

/** By its group, its session, or what it has inherited; only the last survives a `setsid`. */
function isMember(pid: number, fields: readonly string[], group: number): boolean {
  if (Number(fields[GROUP_FIELD]) === group || Number(fields[SESSION_FIELD]) === group) return true;
  // That of another user cannot be read: it is none of ours.
  const environment = readOr('', () => readFileSync(`/proc/${String(pid)}/environ`, 'latin1'));
  return `\0${environment}`.includes(`\0${GROUP_VARIABLE}=${String(group)}\0`);
}

/** The start of a living process, undefined for one that is gone or a zombie; throws if unknown. */
function startOf(pid: number): string | undefined {
  const fields = statOf(pid);
  return fields === undefined || isDead(fields) ? undefined : fields[START_FIELD];
}

function isDead(fields: readonly string[]): boolean {
  return fields[0] === 'Z' || fields[0] === 'X';
}

function isGroup(group: number): boolean {
  return Number.isSafeInteger(group) && group > 1;
}

/** What forks faster than it is killed is left to the end of its lease. */
const STRAY_ROUNDS_MAX = 5;

const GROUP_FIELD = 2;
const SESSION_FIELD = 3;
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
