/**
 * Time and chance come in through these two interfaces only, so that the same roles can run in a
 * simulated world. Durations and deadlines are measured on the monotonic clock; what nodes share is
 * the database's clock, never a node's own.
 */
export interface Clock {
  /** Milliseconds on the monotonic clock, with fractions; only differences mean anything. */
  monotonicMs(): number;
  /** Resolves after `ms`, or rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `action` once after `ms`; the returned function takes it back. */
  after(ms: number, action: () => void): () => void;
}

export interface Rng {
  /** A number in [0, 1). */
  random(): number;
}

/**
 * Its instants count from one that all processes of a machine share, so that a node can tell its
 * children until when they may run (`performance.now` counts from the start of its own process).
 */
export const systemClock: Clock = {
  monotonicMs: () => {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1000 + nanoseconds / 1e6;
  },
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(abortReason(signal));
        return;
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, ms);
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(abortReason(signal));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    }),
  after: (ms, action) => {
    const timer = setTimeout(action, ms);
    return () => {
      clearTimeout(timer);
    };
  },
};

export const systemRng: Rng = { random: () => Math.random() };

function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new Error('aborted', { cause: reason });
}
