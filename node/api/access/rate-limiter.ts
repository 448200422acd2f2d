import type { Clock } from '../../base/clock.ts';

/**
 * So many requests a second of one address, with two seconds' worth at once. What nobody asked of for
 * long is as good as new, so that the oldest may be forgotten when there are too many.
 */
const ADDRESSES_MAX = 10_000;
const BURST_S = 2;

export class RateLimiter {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
  }

  /** Addresses that it remembers. */
  get size(): number {
    return this.#buckets.size;
  }

  /** False where the address has asked for too much. */
  tryTake(address: string, tokens = 1): boolean {
    const nowMs = this.#clock.monotonicMs();
    const key = networkOf(address);
    const full = this.#perSecond * BURST_S;
    const bucket = this.#buckets.get(key) ?? { tokens: full, atMs: nowMs };
    const earned = ((nowMs - bucket.atMs) / 1000) * this.#perSecond;
    bucket.tokens = Math.min(full, bucket.tokens + earned);
    bucket.atMs = nowMs;
    const isAllowed = bucket.tokens >= 1;
    if (isAllowed) bucket.tokens -= tokens;
    // The one that was asked of last is the last in the map.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= ADDRESSES_MAX) break;
      this.#buckets.delete(oldest);
    }
    return isAllowed;
  }
}

/** An address of IPv4 by itself, one of IPv6 by its /64, of which one machine has all. */
export function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  return groups.slice(0, 4).join(':');
}
