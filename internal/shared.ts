/**
 * Lets objects with the same values be one: a program may have thousands of engines with the same options.
 *
 * @module
 */

/** Number of different objects that are kept. */
const KEPT = 8;

/** Objects that are given out again for as long as something refers to them. They are not changed. */
export class SharedObjects<T extends object> {
  #kept: readonly WeakRef<T>[] = [];

  /** Returns an object that has the same values: one that was given out before, or the given one. */
  of(value: T): T {
    for (const ref of this.#kept) {
      const known = ref.deref();
      if (known !== undefined && isSame(known, value)) return known;
    }
    this.#kept = [new WeakRef(value), ...this.#kept.slice(0, KEPT - 1)];
    return value;
  }
}

/** Returns whether two objects with the same keys have the same values. */
function isSame<T extends object>(one: T, other: T): boolean {
  for (const key in one) if (one[key] !== other[key]) return false;
  return true;
}
