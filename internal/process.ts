/**
 * The runtime's `process`, taken from the global object. An `import` of `node:process` reads every property of it: Node
 * opens standard input and output for that, a fifth of the time that the import of the whole package took.
 *
 * @module
 */

import type nodeProcess from "node:process";

/** The object `process`. */
export const process: typeof nodeProcess =
  (globalThis as unknown as { readonly process: typeof nodeProcess }).process;
