/**
 * What the tests of adapters have in common: what a connection is opened with, and types held against each other.
 *
 * @module
 */

import type { Target } from "../../adapters/adapter.ts";

/** Whether two types are the same. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2)
  ? true
  : false;

/** A connection to be opened; what is not said does not matter. */
export function someTarget(said: Partial<Target>): Target {
  return {
    host: "db.internal",
    port: 1,
    params: {},
    connectArgs: {},
    keepAlive: true,
    addresses: () => ["127.0.0.1"],
    signal: new AbortController().signal,
    ...said,
  };
}
