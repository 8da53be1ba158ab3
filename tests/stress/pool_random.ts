/**
 * The long runs of random actions, one for each pool class: `DNSPOOL_STRESS_ACTIONS`, 100,000 by default, with the seed `DNSPOOL_STRESS_SEED`, by
 * default a new one. The short run is `tests/pool/stress_test.ts`.
 *
 * @module
 */

import { assert } from "@std/assert";
import { stress } from "./pool_life.ts";

const wanted = Number(Deno.env.get("DNSPOOL_STRESS_ACTIONS") ?? 100_000);
const seed = Number(Deno.env.get("DNSPOOL_STRESS_SEED") ?? Math.floor(Math.random() * 1e9));

for (const poolClass of [undefined, "queue", "null", "assertion", "static"] as const) {
  const where = poolClass === undefined ? "" : ` with poolClass "${poolClass}"`;
  Deno.test(`${wanted} random actions${where} leave nothing behind (seed ${seed})`, async () => {
    const startMs = performance.now();
    const totals = await stress(seed, wanted, poolClass);
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    assert(totals.actions >= wanted);
    console.log(JSON.stringify({ seed, seconds, ...totals }));
  });
}
