import process from "node:process";
import { checkHosts } from "../stress/hosts_model.ts";

/** The number of runs, and the seed of a failure to repeat. */
const runs = Number(process.env.DNSPOOL_MODEL_RUNS ?? 100);
const seed = process.env.DNSPOOL_MODEL_SEED;

Deno.test("several hosts and services serve every caller as the model allows, after any sequence of events", async () => {
  await checkHosts(runs, seed === undefined ? undefined : Number(seed));
});
