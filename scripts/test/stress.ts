/**
 * `deno task stress`: the long versions of the random tests: 200,000 malformed responses, 20,000 runs of the resolver
 * against its model and as many of several hosts, 100,000 random actions on pools. Each prints its seed.
 *
 * @module
 */

import { chooseStd, stdFlags } from "../check/std_source.ts";

const PARTS: readonly {
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
}[] = [
  { args: ["test", "tests/stress/lookups_test.ts"], env: { DNSPOOL_STRESS: "200000" } },
  { args: ["run", "tests/stress/resolver_model.ts"] },
  { args: ["run", "tests/stress/hosts_model.ts"] },
  { args: ["test", "tests/stress/pool_random.ts"] },
];

if (import.meta.main) {
  const std = stdFlags(await chooseStd());
  let failed = 0;
  for (const { args: [command, ...files], env = {} } of PARTS) {
    console.error(`\n== ${files.join(" ")}`);
    const startMs = performance.now();
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: [command!, "-A", "--no-lock", "--no-check", ...std, ...files],
      env: { ...Deno.env.toObject(), ...env },
    }).spawn().status;
    const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
    console.error(`${success ? "ok" : "FAILED"} after ${seconds} s`);
    if (!success) failed++;
  }
  Deno.exit(failed > 0 ? 1 : 0);
}
