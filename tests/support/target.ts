/**
 * Targets for the tests of adapters, and the comparison of types.
 *
 * @module
 */

import type { Target } from "../../adapters/adapter.ts";

/** `true` if two types are the same. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2)
  ? true
  : false;

/** Makes a target; `changes` replaces its defaults. */
export function makeTarget(changes: Partial<Target>): Target {
  return {
    host: "db.internal",
    port: 1,
    params: {},
    connectArgs: {},
    keepAlive: true,
    addresses: () => ["127.0.0.1"],
    signal: new AbortController().signal,
    ...changes,
  };
}
