/**
 * The driver `@db/postgres` for tests: the real one where the `@std` modules come from JSR too, or where an import map
 * names it; otherwise its stand-in.
 *
 * @module
 */

import { Client } from "./db_postgres_stand_in.ts";

/** The real one has the same methods as the stand-in, as far as anybody uses them here. */
interface DbPostgres {
  readonly module: { readonly Client: typeof Client };
  readonly real: boolean;
}

const SPECIFIERS = ["@db/postgres", "jsr:@db/postgres@^0.19"];

export const dbPostgres: DbPostgres = await choose();

async function choose(): Promise<DbPostgres> {
  const jsr = !import.meta.resolve("@std/assert").startsWith("file:");
  const specifier = SPECIFIERS.find((specifier) => jsr || isMapped(specifier));
  if (specifier === undefined) return { module: { Client }, real: false };
  const real = isMapped(specifier) ? specifier : SPECIFIERS[1]!;
  return { module: await import(real), real: true };
}

/** The import map of tests/_std maps it as well, to the stand-in, for the example. */
function isMapped(specifier: string): boolean {
  try {
    const file = import.meta.resolve(specifier);
    return file.startsWith("file:") && file !== import.meta.resolve("./db_postgres_stand_in.ts");
  } catch {
    return false;
  }
}
