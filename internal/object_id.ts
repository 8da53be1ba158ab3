/**
 * Numbers objects, so that an object can be part of a string key.
 *
 * @module
 */

const ids: WeakMap<object, number> = new WeakMap();
let lastId = 0;

/** Returns a number for an object or a function: always the same for the same one. */
export function idOf(object: object): number {
  let id = ids.get(object);
  if (id === undefined) ids.set(object, id = ++lastId);
  return id;
}
