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

export { main } from "./cli/process.ts";

// The npm package has `cli/process.ts` and `cli/program.ts` instead: Node 20 cannot tell which module is the main one.
if ((import.meta as { main?: boolean }).main) import("./cli/program.ts");
