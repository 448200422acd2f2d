/**
 * How long tasks of a type take, learned from those that completed: an exponentially weighted mean, so
 * that a type that changes its ways is known anew after about 50 tasks. Nobody else remembers it: a new
 * leader learns it again from its first tasks.
 */
export interface Learned {
  /** Milliseconds; NaN until the first one completed. */
  meanMs: number;
  samples: number;
}

/** The weight of the newest is never below this, unless said otherwise. */
const WEIGHT_MIN = 0.02;

export function learn(learned: Learned, runMs: number, weightMin = WEIGHT_MIN): void {
  learned.samples += 1;
  const weight = Math.max(1 / learned.samples, weightMin);
  const knownMs = learned.samples === 1 ? runMs : learned.meanMs;
  learned.meanMs = knownMs + weight * (runMs - knownMs);
}
