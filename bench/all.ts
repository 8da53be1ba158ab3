/**
 * `deno task bench`: all benchmarks with peers, one after the other, and at the end how long each took. Flags, such as
 * `--quick`, go to each; with names, as in `deno task bench pool memory`, only those run.
 *
 * Exit status: 0; 1 if one of them failed; 2 for an unknown name.
 *
 * @module
 */

import { deno } from "../scripts/check/run_deno.ts";
import { table } from "./report.ts";

/** The benchmarks, those that need no server first. */
const PARTS = [
  "pool",
  "memory",
  "resolve",
  "import",
  "fleet",
  "query",
  "connect",
  "failover",
  "cold",
];

const flags = Deno.args.filter((arg) => arg.startsWith("-"));
const names = Deno.args.filter((arg) => !arg.startsWith("-"));
const unknown = names.find((name) => !PARTS.includes(name));
if (unknown !== undefined) {
  console.error(`Cannot run "${unknown}": there are ${PARTS.join(", ")}`);
  Deno.exit(2);
}
const rows: string[][] = [];
const startMs = performance.now();
const secondsSince = (ms: number) => ((performance.now() - ms) / 1000).toFixed(0);
for (const part of PARTS.filter((part) => names.length === 0 || names.includes(part))) {
  console.log(`\n== ${part}`);
  const beganMs = performance.now();
  const code = await deno(["task", `bench:${part}`, ...flags]);
  if (code !== 0) Deno.exitCode = 1;
  rows.push([part, secondsSince(beganMs), code === 0 ? "" : `failed with ${code}`]);
}
rows.push(["all", secondsSince(startMs), ""]);
table("Seconds", ["", "s", ""], rows);
