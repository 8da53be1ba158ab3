/**
 * Deep equality with the rules of `@std/assert`, which are not those of `node:assert`: 0 equals -0, an object without
 * prototype equals a plain one, getters of a class count, and URLs and regular expressions are equal by their text.
 *
 * @module
 */

/** True if `a` and `b` have the same structure. */
export function equal(a: unknown, b: unknown): boolean {
  return compare(a, b, new Map());
}

function compare(a: unknown, b: unknown, seen: Map<object, object>): boolean {
  if (a === b || Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b) || plainPrototype(a) !== plainPrototype(b)) return false;
  if (a instanceof Date && b instanceof Date) return Object.is(a.getTime(), b.getTime());
  if (a instanceof WeakMap || a instanceof WeakSet) {
    throw new TypeError(`Cannot compare ${a.constructor.name} instances`);
  }
  if (a instanceof WeakRef && b instanceof WeakRef) return compare(a.deref(), b.deref(), seen);
  if (a instanceof URL || a instanceof URLSearchParams || a instanceof RegExp) {
    return String(a) === String(b);
  }
  if (isBuffer(a) && isBuffer(b)) return sameItems(new Uint8Array(a), new Uint8Array(b));
  if (isTypedArray(a) && isTypedArray(b)) return sameItems(a, b);
  if (seen.get(a) === b) return true;
  seen.set(a, b);
  if (a instanceof Map && b instanceof Map) {
    return a.size === b.size &&
      [...a].every(([key, value]) =>
        isObject(key)
          ? [...b].some((entry) => compare([key, value], entry, new Map(seen)))
          : b.has(key) && compare(value, b.get(key), seen)
      );
  }
  if (a instanceof Set && b instanceof Set) {
    return a.size === b.size && [...a].every((item) =>
      b.has(item) ||
      isObject(item) && [...b].some((other) => compare(item, other, new Map(seen)))
    );
  }
  if (Object.keys(a).length !== Object.keys(b).length) return false;
  for (const key of new Set([...keysOf(a), ...keysOf(b)])) {
    if (key in a !== key in b) return false;
    if (!compare(Reflect.get(a, key), Reflect.get(b, key), seen)) return false;
  }
  return true;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function plainPrototype(value: object): unknown {
  return Object.getPrototypeOf(value) ?? Object.prototype;
}

function isBuffer(value: object): value is ArrayBuffer | SharedArrayBuffer {
  return value instanceof ArrayBuffer || value instanceof SharedArrayBuffer;
}

function isTypedArray(value: object): value is Uint8Array | BigUint64Array {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

function sameItems(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  return a.length === b.length &&
    Array.from(a).every((item, i) => item === b[i] || Object.is(item, b[i]));
}

/** Own keys, hidden ones included, and those of the classes above. */
function keysOf(value: object): Set<PropertyKey> {
  const keys = new Set<PropertyKey>();
  for (
    let at: object | null = value;
    at && at !== Object.prototype && at !== Array.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    for (const key of Reflect.ownKeys(at)) keys.add(key);
  }
  return keys;
}
