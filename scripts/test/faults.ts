/**
 * `deno task test:faults`: the fault matrix, and its figures into docs/reliability.md.
 *
 * @module
 */

import { deno } from "../check/run_deno.ts";
import { test } from "./test.ts";

if (import.meta.main) {
  Deno.env.set("DNSPOOL_FAULTS", "write");
  const code = await test(["tests/faults/"]);
  Deno.exit(await deno(["fmt", "-q", "docs/reliability.md"]) || code);
}
