/**
 * The command line as a program: what `dnspool` runs after an installation from npm. The import runs it.
 *
 * @module
 */

import process from "node:process";
import { main } from "./process.ts";

main(process.argv.slice(2)).then((status) => {
  // Does not wait for sockets of drivers and lookups, only for the output.
  process.stdout.write("", () => process.exit(status));
});
