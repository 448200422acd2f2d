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
  readonly unanswered: Unanswered;
  readonly isDeposedError: (error: Error) => boolean;
  readonly onDeposed: (reason: string) => void;
}

/** What the leader has asked of the database and has no answer to, failures and new tries included. */
export class Unanswered {
  private readonly clock: Clock;
  /** In the order in which they were asked first. */
  private readonly asked = new Map<symbol, { readonly what: string; readonly sinceMs: number }>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** The one that has waited longest, where that is longer than `ms`. */
  olderThan(ms: number): string | undefined {
    const [oldest] = this.asked.values();
    if (oldest === undefined || this.clock.monotonicMs() - oldest.sinceMs <= ms) return undefined;
    return oldest.what;
  }

  async during<T>(what: string, work: () => Promise<T>): Promise<T> {
    const key = Symbol(what);
    this.asked.set(key, { what, sinceMs: this.clock.monotonicMs() });
    try {
      return await work();
    } finally {
      this.asked.delete(key);
    }
  }
}

/**
 * Tries a statement until it is answered. Every statement of the leader may be tried again: its guards
 * make the second time harmless. Rejects as soon as the term ends, and ends it when the fence says so.
 */
export function persist<T>(
  deps: RetryDeps,
  signal: AbortSignal,
  what: string,
  run: () => Promise<T>,
): Promise<T> {
  return deps.unanswered.during(what, async () => {
    for (let failures = 1; ; failures++) {
      signal.throwIfAborted();
      try {
        return await orAborted(run(), signal);
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
  });
}

/** The answer, or the end of the term, whichever comes first: nobody waits in a term that is over. */
export function orAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(toError(signal.reason));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    void answer.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', onAbort);
    });
  });
}
