/**
 * Shows values as the runtimes print them.
 *
 * @module
 */

import { inspect } from "node:util";

/** The runtime's own way, where it has one beside Node's. */
const { Deno: deno, Bun: bun } = globalThis as {
  Deno?: { inspect(value: unknown, options: { depth: number }): string };
  Bun?: { inspect(value: unknown, options: { depth: number }): string };
};

/** A value as a console of this runtime shows it, and as `node:util` does. */
export function inspected(value: unknown, depth = 9): string {
  const own = (deno ?? bun)?.inspect(value, { depth });
  return [own ?? [], inspect(value, { depth })].flat().join("\n");
}
