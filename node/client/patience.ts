import type { Clock } from '../base/clock.ts';
import { aborted, ClientError, tooLate } from './client-error.ts';

/** How long somebody waits for an end, and what he puts up with meanwhile. */
export interface Patience {
  readonly clock: Clock;
  /** For the sentence of its failure. */
  readonly what: string;
  readonly waitMs: number;
  /** No node may be reachable for so long: a cluster that comes back soon is what waiting is for. */
  readonly outageMs: number;
  readonly bounds: { readonly signal?: AbortSignal };
}

const PAUSE_MS = 250;

/** Looks until there is something other than null. Throws ClientErrors alone. */
export async function untilEnded<T>(
  { clock, what, waitMs, outageMs, bounds }: Patience,
  look: (leftMs: number, bounds: { readonly signal?: AbortSignal }) => Promise<T | null>,
): Promise<T> {
  const { signal } = bounds;
  const endMs = clock.monotonicMs() + waitMs;
  let heardMs = clock.monotonicMs();
  for (;;) {
    const leftMs = endMs - clock.monotonicMs();
    if (leftMs <= 0) throw tooLate(`${what} has not ended`, waitMs);
    try {
      const found = await look(leftMs, bounds);
      if (found !== null) return found;
      heardMs = clock.monotonicMs();
    } catch (error) {
      if (signal?.aborted === true) throw aborted(signal);
      const isOver = clock.monotonicMs() - heardMs > outageMs;
      if (!(error instanceof ClientError) || !error.isTransient || isOver) throw error;
      await clock.sleep(Math.min(PAUSE_MS, leftMs), signal).catch(() => {
        throw aborted(signal);
      });
    }
  }
}
