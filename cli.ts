/**
 * The command line: `dnspool resolve`, `watch` and `check` show the addresses of a database's host name, and what would
 * go wrong at a failover.
 *
 * The npm package contains the program `dnspool` (`npx @dnspool/dnspool`); with Deno it is
 * `deno run --allow-net --allow-env --allow-sys=networkInterfaces jsr:@dnspool/dnspool/cli`. `--help` explains the
 * commands. When it is imported, the module does nothing by itself.
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
import { processContext } from "./cli/context.ts";
import { run } from "./cli/main.ts";

/**
 * Runs a command line, on the process's outputs. Ctrl-C ends it.
 *
 * @param args The arguments, without the program's name, such as `["resolve", "db.internal"]`.
 * @returns The exit status: 0 for success, 1 for a failure, 2 if the command line is wrong, 3 if `check` has only
 *   warnings, 130 or 143 if a signal ended it.
 */
export async function main(args: readonly string[]): Promise<number> {
  const { context, release } = processContext(args);
  try {
    return await run(args, context);
  } finally {
    release();
  }
}

/** Returns whether this module is the program. `import.meta.main` exists on Node from 24.2. */
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
    // Does not wait for sockets of drivers and lookups, only for the output.
    process.stdout.write("", () => process.exit(status));
  });
}
