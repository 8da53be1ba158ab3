import process from "node:process";
import { checkResolver } from "../stress/resolver_model.ts";

/** More with `DNSPOOL_MODEL_RUNS=20000`, the same again with `DNSPOOL_MODEL_SEED` and the seed of a failure. */
const runs = Number(process.env.DNSPOOL_MODEL_RUNS ?? 500);
const seed = process.env.DNSPOOL_MODEL_SEED;

Deno.test("whatever happens in whatever order, a caller is given what the model allows, and every caller is told", async () => {
  await checkResolver(runs, seed === undefined ? undefined : Number(seed));
});
