import type { Rng } from '../../node/base/clock.ts';

/** Draws that a seed decides: mulberry32, which is small, fast, and good enough to choose by. */
export function seededRng(seed: number): Rng {
  let state = seed >>> 0;
  return {
    random: () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    },
  };
}
