/**
 * Selects a lookup by its name.
 *
 * @module
 */

import { denoLookup } from "./deno.ts";
import { doh, wire } from "./internal/lazy.ts";
import type { Lookup, LookupName } from "./lookup.ts";
import { nodeLookup } from "./node.ts";

export { osLookup } from "./os.ts";

const system: Lookup = "Deno" in globalThis ? denoLookup : nodeLookup("negative");

/**
 * Returns the lookup that an option names. The same name is always the same object.
 *
 * @param choice `"system"`: `node:dns/promises` on Node and Bun; on Deno `wire`, or `Deno.resolveDns` where the
 *   permissions do not allow that; `"wire"`; the URL of a server that is asked over HTTPS; or a lookup, which is returned as it is.
 */
export function lookupByName(choice: LookupName | Lookup): Lookup {
  if (typeof choice !== "string") return choice;
  if (choice === "system") return system;
  return choice === "wire" ? wire : doh(choice);
}
