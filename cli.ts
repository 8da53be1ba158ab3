/**
 * The command line: `dnspool resolve`, `watch` and `check` show what a database's host name points at, and what a
 * failover would meet.
 *
 * On npm the package brings the program `dnspool` (`npx @dnspool/dnspool`); with Deno it is
 * `deno run --allow-net --allow-env --allow-sys=networkInterfaces jsr:@dnspool/dnspool/cli`. `--help` explains the
 * rest. Imported, the module does nothing by itself.
 *
 * @example
 * ```ts
 * import { main } from "@dnspool/dnspool/cli";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await main(["--version"]), 0);
 * assertEquals(await main(["resolve", "127.0.0.1"]), 0);
 * ```
 *
 * @module
 */

import { realpathSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { processIo } from "./cli/io.ts";
import { run } from "./cli/main.ts";

/**
 * Does what a command line says, on the process's own outputs. Ctrl-C ends it.
 *
 * @param args The arguments, without the program's name, such as `["resolve", "db.internal"]`.
 * @returns The exit status: 0 if all is well, 1 if it is not, 2 if the command line is wrong, 3 if `check` has
 *   warnings only, 130 or 143 when a signal ended it.
 */
export async function main(args: readonly string[]): Promise<number> {
  const { io, release } = processIo(args);
  try {
    return await run(args, io);
  } finally {
    release();
  }
}

/** Whether this module is the program. Node tells only from 24.2 on. */
function isProgram(): boolean {
  const { main } = import.meta as { main?: boolean };
  if (main !== undefined) return main;
  try {
    return realpathSync(process.argv[1] ?? "") === fileURLToPath(import.meta.url);
  } catch {
    return false;
  }
}

if (isProgram()) {
  main(process.argv.slice(2)).then((status) => {
    // What a driver or a lookup leaves behind is not waited for; what was written is.
    process.stdout.write("", () => process.exit(status));
  });
}
