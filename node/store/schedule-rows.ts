import type { CatchUp, Overlap, Period, Timing } from '../core/schedule.ts';

/** The columns of a schedule that both its readers need, and what they mean. */
export interface TimingColumns {
  readonly cron: string | null;
  readonly timezone: string | null;
  readonly every_ms: number | null;
  readonly anchor_ms: number | null;
  readonly starts_ms: number | null;
  readonly ends_ms: number | null;
}

export interface PolicyColumns {
  readonly catch_up: CatchUp;
  readonly overlap: Overlap;
}

/** Milliseconds since the epoch, exactly: what is stored has whole ones. */
export function msOf(column: string): string {
  return `(extract(epoch from ${column}) * 1000)::float8`;
}

export const TIMING_COLUMNS = `s.cron, s.timezone, s.every_ms, ${msOf('s.anchor')} as anchor_ms,
      ${msOf('s.starts_at')} as starts_ms, ${msOf('s.ends_at')} as ends_ms`;

export function timingOf(row: TimingColumns): Timing {
  const { cron, timezone, every_ms: everyMs, anchor_ms: anchorMs } = row;
  if (cron !== null && timezone !== null) return { kind: 'cron', cron, timeZone: timezone };
  if (everyMs !== null && anchorMs !== null) return { kind: 'interval', everyMs, anchorMs };
  throw new Error('a schedule is stored without its timing');
}

export function periodOf(row: TimingColumns): Period {
  return { startMs: row.starts_ms, endMs: row.ends_ms };
}
