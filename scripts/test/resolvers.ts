/**
 * `deno task test:resolvers`: the tests with real resolvers. `deno task test:resolvers --full` measures every setup on three
 * runtimes, for about a quarter of an hour, and writes tests/resolvers/results.json and the tables of docs/production.md;
 * with `--lookup doh` (or another lookup) only how that one follows, for a few minutes, beside the figures that are there.
 *
 * Exit status: 0; 1 if a test failed, or a program is missing on this machine.
 *
 * @module
 */

import { findResolver, type ResolverName, speaksHttps } from "../../lab/resolvers.ts";
import known from "../../tests/resolvers/results.json" with { type: "json" };
import { measure, OUTAGES } from "../../tests/resolvers/measure.ts";
import { SETUPS } from "../../tests/resolvers/setups.ts";
import { merge, putTables, renderTables, summarize } from "../../tests/resolvers/summary.ts";
import { deno, ROOT } from "../check/run_deno.ts";
import { findRuntime } from "./runtimes/binaries.ts";
import { bundleProgram } from "./runtimes/bundle.ts";
import { eachOf } from "./runtimes/outcome.ts";
import { test } from "./test.ts";

const RUNTIMES = ["deno", "node@22", "bun@1"];
const LOOKUPS = ["system", "wire", "doh"] as const;
const TTLS = [1, 5];
const MOVES = 10;
/** Longer than the settings make a resolver keep its copy. */
const PAUSE_SECONDS = 12;
/** Seconds after which no record moves any more. */
const MOVE_SECONDS = 300;
const SIZES = [100, 101];

const RESULTS = "tests/resolvers/results.json";
const PAGE = "docs/production.md";

/**
 * Measures and writes the tables; resolves with the exit code.
 *
 * @param only The only lookup whose figures are replaced; if absent, everything is measured.
 */
async function full(only: typeof LOOKUPS[number] | undefined): Promise<number> {
  const programs = new Set<ResolverName>(SETUPS.flatMap(({ program }) => program ?? []));
  const missing = [...programs].filter((name) => !findResolver(name).found);
  if (missing.length > 0) {
    const packages = missing.map((name) => findResolver(name).debian);
    console.error(
      `Cannot measure: no ${missing.join(", no ")} on this machine: ` +
        `"apt-get install --no-install-recommends ${packages.join(" ")}"`,
    );
    return 1;
  }
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    const driver = `${dir}/driver.mjs`;
    await bundleProgram("tests/resolvers/driver.ts", driver);
    const results = await measure({
      setups: only === "doh"
        ? SETUPS.filter(({ program }) => program && speaksHttps(program))
        : SETUPS,
      runtimes: await eachOf(RUNTIMES, 1, findRuntime),
      driver,
      lookups: only ? [only] : LOOKUPS,
      ttls: TTLS,
      moves: MOVES,
      pauseSeconds: PAUSE_SECONDS,
      moveSeconds: MOVE_SECONDS,
      outages: only ? [] : OUTAGES,
      sizes: only ? [] : SIZES,
      onProgress: (step) => console.error(step),
    });
    for (const cell of results.cells) console.log(JSON.stringify(cell));
    const measured = summarize(results);
    const summary = only ? merge(known, measured) : measured;
    await Deno.writeTextFile(new URL(RESULTS, ROOT), JSON.stringify(summary, undefined, 2));
    const page = new URL(PAGE, ROOT);
    await Deno.writeTextFile(page, putTables(await Deno.readTextFile(page), renderTables(summary)));
    return await deno(["fmt", "-q", PAGE, RESULTS]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) {
  Deno.chdir(ROOT);
  const [flag, option, name, ...rest] = Deno.args;
  const only = LOOKUPS.find((lookup) => lookup === name);
  const isKnown = flag === undefined || flag === "--full" && option === undefined ||
    flag === "--full" && option === "--lookup" && only !== undefined && rest.length === 0;
  if (!isKnown) {
    console.error(
      `Cannot run with "${Deno.args.join(" ")}": the flags are --full and, after it, ` +
        `--lookup ${LOOKUPS.join("|")}`,
    );
    Deno.exit(2);
  }
  Deno.exit(flag === "--full" ? await full(only) : await test(["tests/resolvers/"]));
}
