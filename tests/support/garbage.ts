/**
 * Collects the garbage in tests, on every runtime.
 *
 * @module
 */

import v8 from "node:v8";
import vm from "node:vm";

/** Returns a function that collects the garbage. */
export function collector(): () => void {
  const { Bun } = globalThis as { Bun?: { gc(force: boolean): void } };
  if (Bun) return () => Bun.gc(true);
  v8.setFlagsFromString("--expose-gc");
  return vm.runInNewContext("gc");
}
