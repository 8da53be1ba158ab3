/**
 * Engines on a database that no network lies between, such as SQLite.
 *
 * @module
 */

import type { Adapter } from "./adapters/adapter.ts";
import type { EngineOptions, EngineSettings } from "./options.ts";

/**
 * One connection serves all, in turn, so that transactions do not mix, unless the options say otherwise.
 *
 * @param options The engine's, as they were given.
 * @param adapter Whose connections they are for.
 * @returns The options; with the defaults for a local one, where it is one.
 */
export function withLocalDefaults<C>(
  options: EngineOptions<C> | undefined,
  { local }: Adapter<C>,
): EngineOptions<C> | undefined {
  const { poolClass = "queue", poolSize = 1, maxOverflow = 0 } = options ?? {};
  return local && poolClass === "queue" ? { ...options, poolSize, maxOverflow } : options;
}

/**
 * Refuses what would close, or double, the connection that a database in memory lives in.
 *
 * @param settings The engine's.
 * @throws {TypeError} with the option that would do so.
 */
export function checkKept<C>(settings: EngineSettings<C>): void {
  const { poolClass, poolSize, maxOverflow, recycleMs, idleTimeoutMs, maxUses } = settings;
  const wrong: readonly (readonly [what: string, is: boolean])[] = [
    ['the pool class "null"', poolClass === "null"],
    ['a "poolSize" other than 1', poolClass === "queue" && poolSize !== 1],
    ['a "maxOverflow" other than 0', poolClass === "queue" && maxOverflow !== 0],
    ['the option "poolRecycle"', recycleMs < Infinity],
    ['the option "idleTimeout"', idleTimeoutMs < Infinity],
    ['the option "maxUses"', maxUses < Infinity],
  ];
  for (const [what, is] of wrong) {
    if (!is) continue;
    throw new TypeError(
      `Cannot use ${what} with a database in memory: its data are in its one connection, and are gone with it`,
    );
  }
}
