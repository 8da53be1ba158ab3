/**
 * `deno task lock`: brings deno.lock up to date. It adds new imports, and removes packages that are made for one system: a
 * run that loads them by a computed name writes them there. Deno downloads every package of a lock file, so every machine
 * would download the programs of the other systems.
 *
 * @module
 */

import { deno, ROOT } from "./run_deno.ts";
import { stdFlags } from "./std_source.ts";

interface Lock {
  specifiers: Record<string, string>;
  npm: Record<string, object>;
}

/** Returns the entries of `specifiers`, such as `npm:@scope/name@1`, whose package is made for one system. */
export function systemSpecifiers(lock: Lock): string[] {
  return Object.entries(lock.specifiers)
    .filter(([specifier, version]) => "os" in (lock.npm[packageOf(specifier, version)] ?? {}))
    .map(([specifier]) => specifier);
}

function packageOf(specifier: string, version: string): string {
  return specifier.replace(/^npm:/, "").replace(/(?<=.)@[^@/]*$/, "") + `@${version}`;
}

if (import.meta.main) {
  const file = new URL("deno.lock", ROOT);
  const lock: Lock = JSON.parse(await Deno.readTextFile(file));
  const found = systemSpecifiers(lock);
  for (const specifier of found) {
    delete lock.npm[packageOf(specifier, lock.specifiers[specifier]!)];
    delete lock.specifiers[specifier];
  }
  if (found.length > 0) await Deno.writeTextFile(file, JSON.stringify(lock, null, 2) + "\n");
  Deno.exit(await deno(["check", ...stdFlags("local"), "."]));
}
