/**
 * Where the queries of the drop-in are made. The driver keeps the first frames of the stack for its errors; those of the
 * drop-in would take the place of the caller's.
 *
 * @module
 */

import type { DriverSql } from "./module.ts";

/** Members of a query that the driver's types leave out. */
interface QueryPrototype {
  /** The end of the stack, which the driver adds to the query's error. */
  readonly origin: string;
}

/** Where queries are made, by the strings of their template. */
const stacks: WeakMap<object, { readonly stack?: string }> = new WeakMap();
/** The classes of queries that know of it. */
const mended: WeakSet<object> = new WeakSet();

/** Notes where queries are made. */
export interface Origins {
  /**
   * Notes the caller of a function, once per template.
   *
   * @param strings The strings of the template, if it is one.
   * @param called The function.
   */
  note(strings: unknown, called: object): void;
}

/**
 * Lets a driver's queries tell where they were made.
 *
 * @param driver What its function returned.
 * @returns `undefined` if the driver keeps the whole stack of each query, as its option `debug` asks.
 */
export function originsOf(
  { unsafe, options }: DriverSql,
): Origins | undefined {
  if (options.debug) return undefined;
  mend(Object.getPrototypeOf(unsafe("")) as QueryPrototype);
  return {
    note(strings, called) {
      if (!Array.isArray(strings) || stacks.has(strings)) return;
      const place: { readonly stack?: string } = {};
      const limit = Error.stackTraceLimit;
      Error.stackTraceLimit = 1;
      Error.captureStackTrace?.(place, called as () => void);
      Error.stackTraceLimit = limit;
      stacks.set(strings, place);
    },
  };
}

function mend(query: QueryPrototype): void {
  const { get } = Object.getOwnPropertyDescriptor(query, "origin") ?? {};
  if (!get || mended.has(query)) return;
  mended.add(query);
  Object.defineProperty(query, "origin", {
    configurable: true,
    get(this: { readonly strings: object }) {
      return stacks.get(this.strings)?.stack ?? get.call(this);
    },
  });
}
