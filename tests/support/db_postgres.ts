/**
 * The driver `@db/postgres` for tests: the real one if the `@std` modules come from JSR as well or if an import map has
 * it, otherwise its stand-in.
 *
 * @module
 */

import * as standIn from "./db_postgres_stand_in.ts";
import { names } from "./db_postgres_stand_in.ts";

/** The driver. The tests use only what the stand-in has as well. */
interface DbPostgres {
  readonly module: Pick<
    typeof standIn,
    "Client" | "ConnectionError" | "PostgresError" | "TransactionError"
  >;
  readonly real: boolean;
}

const SPECIFIERS = ["@db/postgres", "jsr:@db/postgres@^0.19"];

export const dbPostgres: DbPostgres = await choose();

async function choose(): Promise<DbPostgres> {
  const reachesJsr = !import.meta.resolve("@std/assert").startsWith("file:");
  const specifier = SPECIFIERS.find((specifier) => reachesJsr || isMapped(specifier));
  if (specifier === undefined) return { module: standIn, real: false };
  const real = isMapped(specifier) ? specifier : SPECIFIERS[1]!;
  dialByNames();
  return { module: await import(real), real: true };
}

/** Makes the real driver, which dials by name, find the addresses of `names`, as the stand-in does. */
function dialByNames(): void {
  const connect = Deno.connect as (options: Deno.ConnectOptions) => Promise<Deno.TcpConn>;
  const dial = (options: Deno.ConnectOptions) => {
    const address = options.hostname && names.get(options.hostname);
    return connect(address ? { ...options, hostname: address } : options);
  };
  Deno.connect = dial as typeof Deno.connect;
}

/** Returns whether an import map has a specifier. That of tests/std maps it to the stand-in, which does not count. */
function isMapped(specifier: string): boolean {
  try {
    const file = import.meta.resolve(specifier);
    return file.startsWith("file:") && file !== import.meta.resolve("./db_postgres_stand_in.ts");
  } catch {
    return false;
  }
}
