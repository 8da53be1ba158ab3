/**
 * `deno task lock`: brings deno.lock up to date. It adds what is newly imported, and takes out the packages made for
 * one system, which any run that loads them by a computed name writes there: Deno fetches all that a lock file names,
 * so that every machine would download the programs of the others.
 *
 * @module
 */

import { deno, ROOT } from "./run_deno.ts";
import { stdFlags } from "./std_source.ts";

interface Lock {
  specifiers: Record<string, string>;
  npm: Record<string, object>;
}

/** The entries of `specifiers`, such as `npm:@scope/name@1`, whose package is made for one system. */
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
