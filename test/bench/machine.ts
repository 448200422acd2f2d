import { readdirSync, readFileSync } from 'node:fs';

/**
 * What processes have used, from /proc of Linux. A clock tick is 10 ms on every architecture that Node
 * runs on (USER_HZ is 100).
 */
const TICKS_A_SECOND = 100;
const KIB = 1024;

interface Stat {
  readonly parent: number;
  /** Of the process itself. */
  readonly seconds: number;
  /** And of its children that have ended and were waited for. */
  readonly secondsOfEnded: number;
}

/** Undefined where there is no such process. */
function statOf(pid: number | string): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name, in parentheses, may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const at = (index: number): number => Number(fields[index]);
  return {
    parent: at(1),
    seconds: (at(11) + at(12)) / TICKS_A_SECOND,
    secondsOfEnded: (at(13) + at(14)) / TICKS_A_SECOND,
  };
}

/** CPU seconds of a process, its children, and those of them that have ended. */
export function cpuOfFamily(pid: number): number {
  const head = statOf(pid);
  if (head === undefined) return 0;
  let seconds = head.seconds + head.secondsOfEnded;
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = statOf(entry);
    if (stat?.parent === pid) seconds += stat.seconds;
  }
  return seconds;
}

/** Bytes of a process in memory, 0 where it is gone. */
export function rssOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * KIB;
  } catch {
    return 0;
  }
}
