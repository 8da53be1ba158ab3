/**
 * Picks a lookup by its name. The one place that asks which runtime this is.
 *
 * @module
 */

import { denoLookup } from "./deno.ts";
import type { Lookup } from "./lookup.ts";
import { nodeLookup } from "./node.ts";

export { osLookup } from "./os.ts";

const system: Lookup = "Deno" in globalThis ? denoLookup : nodeLookup("negative");

/**
 * The lookup that an option names.
 *
 * @param choice `"system"`, the runtime's own: `Deno.resolveDns` on Deno, `node:dns/promises` on Node and Bun;
 *   or a lookup, which is returned as it is.
 * @returns The lookup.
 */
export function lookupByName(choice: "system" | Lookup): Lookup {
  return choice === "system" ? system : choice;
}
