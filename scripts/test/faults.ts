/**
 * `deno task test:faults`: the fault matrix, and its figures into docs/reliability.md.
 *
 * @module
 */

import { deno, denoWithLockCopy } from "../check/run_deno.ts";
import { chooseStd, stdFlags } from "../check/std_source.ts";
import { test } from "./test.ts";

/** Runs the matrix and writes the tables; resolves with the exit code. */
async function main(): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    Deno.env.set("DNSPOOL_FAULTS", dir);
    const code = await test(["tests/faults/"]);
    const std = stdFlags(await chooseStd());
    return code ||
      await denoWithLockCopy(["run", "-A", ...std, "tests/faults/write_tables.ts", dir]) ||
      await deno(["fmt", "-q", "docs/reliability.md"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main());
