/**
 * How long heartbeats were answered late, out of the histogram that every node keeps: the bound of a
 * bucket is all that it can say, so a figure here is "at most".
 */
export interface Heartbeats {
  /** By the upper bounds of the buckets in seconds, rising, the last Infinity; not cumulative. */
  readonly counts: ReadonlyMap<number, number>;
}

/** Of the leader on its lock session: these alone decide about elections. */
const SAMPLE = /^skein_heartbeat_seconds_bucket\{le="([^"]+)",kind="lock"\} (\d+)$/gm;

export const NO_HEARTBEATS: Heartbeats = { counts: new Map() };

/** From the text that a node answers on /metrics. */
export function heartbeatsIn(exposition: string): Heartbeats {
  const counts = new Map<number, number>();
  let below = 0;
  for (const [, le = '', value = ''] of exposition.matchAll(SAMPLE)) {
    const cumulative = Number(value);
    counts.set(le === '+Inf' ? Infinity : Number(le), cumulative - below);
    below = cumulative;
  }
  return { counts };
}

export function addHeartbeats(all: readonly Heartbeats[]): Heartbeats {
  return combine(all, () => 1);
}

/** What came after `before`. */
export function heartbeatsSince(before: Heartbeats, after: Heartbeats): Heartbeats {
  return combine([after, before], (at) => (at === 0 ? 1 : -1));
}

function combine(all: readonly Heartbeats[], factorOf: (at: number) => number): Heartbeats {
  const sums = new Map<number, number>();
  for (const [at, { counts }] of all.entries()) {
    for (const [bound, count] of counts) {
      sums.set(bound, (sums.get(bound) ?? 0) + factorOf(at) * count);
    }
  }
  return { counts: new Map([...sums].toSorted(([a], [b]) => a - b)) };
}

export function countOf({ counts }: Heartbeats): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

/** Seconds that this share of the answers took at most; Infinity above the last bucket. */
export function quantileOf(heartbeats: Heartbeats, share: number): number | undefined {
  const count = countOf(heartbeats);
  if (count === 0) return undefined;
  let below = 0;
  for (const [bound, inBucket] of heartbeats.counts) {
    below += inBucket;
    if (below >= Math.ceil(share * count)) return bound;
  }
  return Infinity;
}
