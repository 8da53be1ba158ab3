/**
 * A small random number generator with a seed, so that a run can be repeated.
 *
 * @module
 */

/** Returns a random number in [0, 1). */
export type Random = () => number;

/** Makes a mulberry32 generator (Tommy Ettinger, public domain), whose 32 bits of state suffice for tests. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
