import type { HistoryRow } from './history.ts';

/** A fault that must cost the leader its office, or may. */
export interface LeaderFault {
  readonly kind: string;
  /** Milliseconds since the epoch; the database runs on the same machine, hence by the same clock. */
  readonly atMs: number;
  /** The term that it hit. */
  readonly term: number;
}

export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Failover {
  readonly kind: string;
  /** From the fault to the first lease that a later term committed. */
  readonly ms: number;
}

/** Beyond this the next term has another cause. */
const NEXT_TERM_MS = 15_000;

/**
 * How long nobody leased, for each fault that ended a term. Not counted: faults that the leader
 * outlived, and those whose failover met PostgreSQL itself being down.
 */
export function failoversOf(
  rows: readonly HistoryRow[],
  faults: readonly LeaderFault[],
  outages: readonly Window[],
): readonly Failover[] {
  const leases = rows.filter(({ op }) => op === 'leased');
  const terms = rows.filter(({ op }) => op === 'term');
  const failovers: Failover[] = [];
  for (const [at, { kind, atMs, term }] of faults.entries()) {
    const next = terms.find((row) => row.term > term && row.atMs > atMs);
    const lease = leases.find((row) => row.term > term && row.atMs > atMs);
    if (next === undefined || lease === undefined) continue;
    // A later fault on the same term may be what ended it.
    const isLast = !faults.some(
      (other, i) => i > at && other.term === term && other.atMs < next.atMs,
    );
    const metOutage = outages.some(({ fromMs, toMs }) => fromMs < lease.atMs && toMs > atMs);
    if (!isLast || metOutage || next.atMs - atMs > NEXT_TERM_MS) continue;
    failovers.push({ kind, ms: lease.atMs - atMs });
  }
  return failovers;
}

export interface Figures {
  readonly count: number;
  readonly p50: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

export function figuresOf(values: readonly number[]): Figures {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number | null => {
    const value = sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
    return value === undefined ? null : Math.round(value);
  };
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}
