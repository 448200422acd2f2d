import { fullJitterMs } from '../base/backoff.ts';
import type { Clock, Rng } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { LogPort } from './ports.ts';

const BACKOFF = { baseMs: 20, maxMs: 500 };

/** Runs work of a term to its end; what is cut short because the term is over is no error. */
export async function untilDone(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  }
}

export interface RetryDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  readonly isDeposedError: (error: Error) => boolean;
  readonly onDeposed: (reason: string) => void;
}

/**
 * Tries a statement until it is answered. Every statement of the leader may be tried again: its guards
 * make the second time harmless. Rejects when the term ends, and ends it when the fence says so.
 */
export async function persist<T>(
  deps: RetryDeps,
  signal: AbortSignal,
  what: string,
  run: () => Promise<T>,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    signal.throwIfAborted();
    try {
      return await run();
    } catch (thrown) {
      const error = toError(thrown);
      // First: the news that a former term is over must not end the present one of the same node.
      signal.throwIfAborted();
      if (deps.isDeposedError(error)) {
        deps.onDeposed(error.message);
        throw error;
      }
      deps.log.warn('A statement of the leader failed and is tried again.', {
        statement: what,
        failures,
        error,
      });
      await deps.clock.sleep(fullJitterMs(BACKOFF, failures, deps.rng), signal);
    }
  }
}
