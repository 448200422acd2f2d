import type { Rng } from './clock.ts';

/**
 * Exponential backoff with full jitter: a uniform draw from [0, min(maxMs, baseMs * 2^(n-1))], where
 * n counts the failures from 1. Full jitter spreads a herd best for the least total work
 * (the AWS architecture blog's "Exponential Backoff And Jitter").
 */
export interface BackoffSettings {
  readonly baseMs: number;
  readonly maxMs: number;
}

export function fullJitterMs(settings: BackoffSettings, failures: number, rng: Rng): number {
  return rng.random() * ceilingMs(settings, failures);
}

/** The longest wait after `failures` failures; 2^30 bounds the exponent so it stays a number. */
export function ceilingMs(settings: BackoffSettings, failures: number): number {
  const exponent = Math.min(Math.max(failures - 1, 0), 30);
  return Math.min(settings.maxMs, settings.baseMs * 2 ** exponent);
}
