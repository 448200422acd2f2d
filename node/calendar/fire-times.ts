import { Cron } from 'croner';
import { intervalTimes, withinPeriod } from '../core/schedule.ts';
import type { FireTimes, Period, Timing } from '../core/schedule.ts';

/**
 * When a schedule fires: cron expressions by croner, of which only the arithmetic is used, never its
 * timers. Five fields, or six with seconds first, or a nickname (@hourly, @daily, @weekly, @monthly,
 * @yearly). Years, and a date in the place of an expression, are refused.
 *
 * Where the clocks change, croner's rule holds. An expression with one hour, one minute and one second
 * is a fixed time: skipped by the clocks going forward, it fires at the first instant after the gap,
 * and one that comes twice fires the first time only. All others are intervals: what falls into the gap
 * is left out, what comes twice fires twice.
 */
const CRON_LENGTH_MAX = 128;
const NICKNAMES = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'];

/** Says what is wrong with an expression; undefined where nothing is. */
export function faultOfCron(cron: string): string | undefined {
  if (cron.length > CRON_LENGTH_MAX) {
    return `must have ${String(CRON_LENGTH_MAX)} characters at most`;
  }
  const fields = cron.trim().split(/\s+/);
  if (cron.trim().startsWith('@')) {
    if (NICKNAMES.includes(cron.trim().toLowerCase())) return undefined;
    return `${cron.trim()} is no known nickname; there are ${NICKNAMES.join(', ')}`;
  }
  if (fields.length !== 5 && fields.length !== 6) {
    const found = cron.trim() === '' ? 0 : fields.length;
    return `must have 5 fields, or 6 with seconds first, and has ${String(found)}`;
  }
  try {
    cronOf(cron, 'UTC');
    return undefined;
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return message.replace(/^CronPattern: /, '').replace(/^Invalid/, 'invalid');
  }
}

/** By the time zones that the JavaScript engine knows: those of IANA, and UTC. */
export function isTimeZone(name: string): boolean {
  // Offsets such as +02:00 are no time zones: they know nothing of clocks that change.
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** Throws where the expression or the zone is wrong; both are checked when a schedule is stored. */
export function fireTimesOf(timing: Timing, period: Period): FireTimes {
  const times =
    timing.kind === 'interval'
      ? intervalTimes(timing.everyMs, timing.anchorMs)
      : cronTimes(timing.cron, timing.timeZone);
  return withinPeriod(times, period);
}

function cronTimes(pattern: string, timeZone: string): FireTimes {
  const cron = cronOf(pattern, timeZone);
  return {
    after: (ms) => cron.nextRun(new Date(ms))?.getTime() ?? null,
    // Croner leaves out the instant itself, and looks at whole seconds.
    latest: (ms, count) =>
      cron
        .previousRuns(count, new Date(Math.floor(ms / 1000) * 1000 + 1000))
        .map((date) => date.getTime())
        .filter((late) => late <= ms)
        .reverse(),
  };
}

function cronOf(pattern: string, timezone: string): Cron {
  return new Cron(pattern.trim(), { paused: true, timezone, mode: '5-or-6-parts' });
}
