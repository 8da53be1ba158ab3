import { assertGreater } from "@std/assert";
import { stress } from "../stress/pool_life.ts";

/** A new seed each time; a failure names it. */
const seed = Number(Deno.env.get("DNSPOOL_STRESS_SEED") ?? Math.floor(Math.random() * 1e9));

Deno.test(`2,000 random actions leave nothing behind (seed ${seed})`, async () => {
  const { actions, served, failed } = await stress(seed, 2000);
  assertGreater(actions, 1999);
  // It would prove nothing if hardly anything happened.
  assertGreater(served, actions / 50);
  assertGreater(failed, 0);
});

Deno.test(`1,000 random actions with poolClass "static" leave nothing behind (seed ${seed})`, async () => {
  const { served } = await stress(seed, 1000, "static");
  assertGreater(served, 0);
});
