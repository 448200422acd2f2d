/**
 * What a schedule does when its time has come. Pure: which instants it has is given by `FireTimes`, what
 * time it is by the caller, who reads the database's clock.
 *
 *   due        from the next fire that is written down up to now
 *   catch-up   of those that are late by more than a minute: which are made up for
 *   overlap    while a former run has not ended: what becomes of those that are left
 *
 * A fire is a submit under the id `<schedule>@<its time>`, whoever submits it and whenever, so that no
 * two runs of one fire can exist. Here it is decided which fires there are, not that each runs once.
 *
 * What it does not promise: that a fire is on time. It is submitted when a leader gets to it; what is
 * late by less than `GRACE_MS` counts as on time, so that a change of leaders loses none.
 */
export const CATCH_UPS = ['none', 'last', 'all'] as const;
export type CatchUp = (typeof CATCH_UPS)[number];

export const OVERLAPS = ['allow', 'skip', 'buffer_one', 'cancel_running'] as const;
export type Overlap = (typeof OVERLAPS)[number];

export type Timing =
  | { readonly kind: 'cron'; readonly cron: string; readonly timeZone: string }
  | { readonly kind: 'interval'; readonly everyMs: number; readonly anchorMs: number };

/** The first and the last instant at which a schedule may fire, both included; null for no bound. */
export interface Period {
  readonly startMs: number | null;
  readonly endMs: number | null;
}

/** All instants at which a schedule fires, milliseconds since the epoch. */
export interface FireTimes {
  /** The first later than `ms`; null where there is none. */
  after(ms: number): number | null;
  /** The latest up to and including `ms`, `count` at most, rising. */
  latest(ms: number, count: number): readonly number[];
}

/** A fire that is late by no more than this is on time. */
export const GRACE_MS = 60_000;
/** Missed fires that are made up for at most: the latest. */
export const CATCH_UP_MAX = 1000;
/** The shortest time between two fires; that of cron is the same. */
export const EVERY_MS_MIN = 1000;

export interface Standing {
  /** The fire that is to come, or was when it was written down; null for none. */
  readonly nextMs: number | null;
  /** A fire that waits for the end of a run (`buffer_one`). */
  readonly heldMs: number | null;
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
  /** A run of it has not ended. */
  readonly isRunning: boolean;
}

export interface Decision {
  /** To be submitted, rising. */
  readonly fires: readonly number[];
  readonly nextMs: number | null;
  readonly heldMs: number | null;
  /** Not run, because a former run has not ended. */
  readonly skipped: number;
  /** Not run, because they came too late; of very many only the latest are counted. */
  readonly missed: number;
  /** What runs of it is to be cancelled first. */
  readonly cancelsRunning: boolean;
}

/** `firesMax` bounds what is submitted at once; the rest stays due. */
export function decideFires(
  standing: Standing,
  times: FireTimes,
  nowMs: number,
  firesMax: number,
): Decision {
  const due = dueFires(standing.nextMs, times, nowMs, firesMax);
  const chosen = chooseLate(due, standing.catchUp, nowMs);
  const missed = due.length - chosen.length;
  const isDue = standing.nextMs !== null && standing.nextMs <= nowMs;
  const nextMs = isDue ? times.after(nowMs) : standing.nextMs;
  const shared = { nextMs, heldMs: null, skipped: 0, missed, cancelsRunning: false };
  const { isRunning } = standing;
  switch (standing.overlap) {
    case 'allow': {
      const fires = chosen.slice(0, firesMax);
      return { ...shared, fires, nextMs: chosen[firesMax] ?? nextMs };
    }
    case 'skip': {
      const fires = isRunning ? [] : chosen.slice(0, 1);
      return { ...shared, fires, skipped: chosen.length - fires.length };
    }
    case 'cancel_running': {
      const fires = chosen.slice(-1);
      const cancelsRunning = isRunning && fires.length > 0;
      return { ...shared, fires, skipped: chosen.length - fires.length, cancelsRunning };
    }
    case 'buffer_one': {
      const queue = standing.heldMs === null ? chosen : [standing.heldMs, ...chosen];
      const fires = isRunning ? [] : queue.slice(0, 1);
      const [heldMs = null, ...skipped] = queue.slice(fires.length);
      return { ...shared, fires, heldMs, skipped: skipped.length };
    }
  }
}

/** All that are due, or the latest `CATCH_UP_MAX` where they are more than `stepsMax`. */
function dueFires(
  nextMs: number | null,
  times: FireTimes,
  nowMs: number,
  stepsMax: number,
): readonly number[] {
  const due: number[] = [];
  for (let ms = nextMs; ms !== null && ms <= nowMs; ms = times.after(ms)) {
    if (due.length === stepsMax) {
      const first = due[0] as number;
      return times.latest(nowMs, CATCH_UP_MAX).filter((late) => late >= first);
    }
    due.push(ms);
  }
  return due;
}

function chooseLate(due: readonly number[], catchUp: CatchUp, nowMs: number): readonly number[] {
  if (catchUp === 'all') return due;
  const timely = due.filter((ms) => nowMs - ms <= GRACE_MS);
  return timely.length > 0 || catchUp === 'none' ? timely : due.slice(-1);
}

/** Fires every so often, counted from an anchor in both directions. */
export function intervalTimes(everyMs: number, anchorMs: number): FireTimes {
  const upTo = (ms: number): number => anchorMs + Math.floor((ms - anchorMs) / everyMs) * everyMs;
  return {
    after: (ms) => upTo(ms) + everyMs,
    latest: (ms, count) => {
      const last = upTo(ms);
      return Array.from({ length: count }, (_, at) => last - (count - 1 - at) * everyMs);
    },
  };
}

/** The same instants, those outside of the period left out. */
export function withinPeriod(times: FireTimes, { startMs, endMs }: Period): FireTimes {
  const first = startMs ?? -Infinity;
  const last = endMs ?? Infinity;
  return {
    after: (ms) => {
      const next = times.after(Math.max(ms, first - 1));
      return next === null || next > last ? null : next;
    },
    latest: (ms, count) => times.latest(Math.min(ms, last), count).filter((late) => late >= first),
  };
}

/** The next fires after an instant, `count` at most. */
export function nextFires(times: FireTimes, afterMs: number, count: number): readonly number[] {
  const fires: number[] = [];
  for (let ms = times.after(afterMs); ms !== null && fires.length < count; ms = times.after(ms)) {
    fires.push(ms);
  }
  return fires;
}

/** The id of the task or workflow that a fire submits. */
export function runIdOf(scheduleId: string, fireMs: number): string {
  return `${scheduleId}@${new Date(fireMs).toISOString()}`;
}

/** What `runIdOf` adds, in characters. */
export const RUN_ID_SUFFIX = '@2026-01-01T00:00:00.000Z'.length;
