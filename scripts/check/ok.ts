/**
 * `deno task ok`: everything that must hold before a push. It runs every step, even if one has failed, and prints a list at
 * the end. `deno task ok check lint` runs only these steps, `--no-test` all but the tests.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import { deno, denoWithLockCopy } from "./run_deno.ts";
import { chooseStd, stdFlags } from "./std_source.ts";
import { test } from "../test/test.ts";

const STEPS: Record<string, () => Promise<number>> = {
  fmt: () => deno(["fmt", "--check"]),
  lint: () => deno(["lint"]),
  check,
  doc: () => deno(["doc", "--lint", ...Object.values(config.exports)]),
  html,
  test: () => test([]),
  publish: () => deno(["publish", "--dry-run", "--allow-dirty"]),
};

/** Type-checks every file. With the stand-in it also fails if an import is missing in deno.lock: `deno task lock` adds it. */
async function check(): Promise<number> {
  const std = await chooseStd();
  if (std === "jsr") return await denoWithLockCopy(["check", "."]);
  return await deno(["check", "--frozen", ...stdFlags(std), "."]);
}

/** Builds the pages of the documentation as JSR does, in a temporary directory. */
async function html(): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    const flags = ["--html", `--name=${config.name}`, `--output=${dir}`];
    return await deno(["doc", ...flags, ...Object.values(config.exports)]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function chosen(args: readonly string[]): string[] {
  const names = Object.keys(STEPS);
  const without = args.filter((arg) => arg.startsWith("--no-")).map((arg) => arg.slice(5));
  const only = args.filter((arg) => !arg.startsWith("-"));
  const unknown = [...without, ...only].filter((name) => !names.includes(name));
  if (unknown.length > 0 || without.length + only.length < args.length) {
    console.error(`Cannot run "${args.join(" ")}": the steps are ${names.join(", ")}`);
    Deno.exit(2);
  }
  return names.filter((name) => !without.includes(name) && (!only.length || only.includes(name)));
}

if (import.meta.main) {
  const results: { name: string; code: number; seconds: string }[] = [];
  for (const name of chosen(Deno.args)) {
    console.error(`\n== ${name}`);
    const startMs = performance.now();
    const code = await STEPS[name]!();
    results.push({ name, code, seconds: ((performance.now() - startMs) / 1000).toFixed(1) });
  }
  console.error();
  for (const { name, code, seconds } of results) {
    console.error(`${code === 0 ? "ok    " : "FAILED"} ${name.padEnd(8)} ${seconds.padStart(6)} s`);
  }
  const failed = results.filter(({ code }) => code !== 0).map(({ name }) => name);
  if (failed.length > 0) console.error(`\nNot ok: ${failed.join(", ")}`);
  Deno.exit(failed.length > 0 ? 1 : 0);
}
