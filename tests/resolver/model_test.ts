import process from "node:process";
import { checkResolver } from "../stress/resolver_model.ts";

/** The number of runs, and the seed of a failure to repeat. */
const runs = Number(process.env.DNSPOOL_MODEL_RUNS ?? 500);
const seed = process.env.DNSPOOL_MODEL_SEED;

Deno.test("the resolver serves and rejects every caller as the model allows, after any sequence of events", async () => {
  await checkResolver(runs, seed === undefined ? undefined : Number(seed));
});
