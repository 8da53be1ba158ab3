/**
 * `deno task consumers`: builds the npm package and uses it as its users do. Empty projects install the tarball; a
 * program in them runs through a switchover and a failover of two real servers, on Node 20, 22, 24, Bun and Deno;
 * every export is imported and required; TypeScript 5.4, 5.9 and the latest check the types; publint and
 * arethetypeswrong check the package.
 *
 * `deno task consumers node@20 typescript` runs only these checks, `npm` the checks of the package itself. `--engine=` is
 * that of `deno task npm`; `--tarball=FILE` checks a package that is already built.
 *
 * Node, Bun and the other tools come from npm, MariaDB from the machine. Exit status: 0; 1 if a check failed. The last
 * line is `N passed, N failed, N skipped`.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { makeProjects, type Projects } from "./consumers/projects.ts";
import {
  type Check,
  packageChecks,
  programChecks,
  Skipped,
  typeChecks,
} from "./consumers/checks.ts";
import { buildPackage } from "./npm.ts";
import { engineOf } from "./npm/engine.ts";
import { ServerPairs } from "./consumers/servers.ts";
import { countsLine, eachOf, type Outcome, saveOutcomes } from "../test/runtimes/outcome.ts";
import { findRuntime, RUNTIMES } from "../test/runtimes/binaries.ts";

/** Number of parallel checks. They mostly wait. */
const CONCURRENCY = 2;

/** Runs one check and prints its result. */
async function run(check: Check, servers: ServerPairs): Promise<Outcome> {
  const { runtime, version, subject } = check;
  const outcome = { runtime, version, subject, passed: 0, failed: 0, skipped: 0 };
  const startMs = performance.now();
  const print = (result: string, details = "") => {
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    console.log(`${result} ${runtime} ${version}: ${subject} (${seconds} s) ${details}`.trimEnd());
  };
  try {
    print("ok", await check.run(servers));
    return { ...outcome, passed: 1 };
  } catch (error) {
    if (error instanceof Skipped) {
      print("skipped", error.message);
      return { ...outcome, skipped: 1 };
    }
    print("FAILED", error instanceof Error ? error.message : String(error));
    return { ...outcome, failed: 1 };
  }
}

async function checksOf(projects: Projects): Promise<Check[]> {
  const runtimes = await eachOf(RUNTIMES, CONCURRENCY, findRuntime);
  return [
    ...runtimes.flatMap((runtime) => programChecks(runtime, projects)),
    ...typeChecks(projects),
    ...packageChecks(projects),
  ];
}

if (import.meta.main) {
  const { values, positionals: names } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: { engine: { type: "string" }, tarball: { type: "string" } },
  });
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  let outcomes: Outcome[] = [];
  try {
    const all = await checksOf(
      await makeProjects(
        dir,
        values.tarball ?? await buildPackage(dir, await engineOf(values.engine)),
      ),
    );
    const checks = all.filter(({ runtime }) => !names.length || names.includes(runtime));
    if (checks.length === 0) throw new Error(`Cannot find a check for "${names.join(" ")}"`);
    // Parallel checks have separate servers, because each program kills one of its servers.
    const pairs = Array.from({ length: CONCURRENCY }, () => new ServerPairs());
    try {
      const free = [...pairs];
      outcomes = await eachOf(checks, CONCURRENCY, async (check) => {
        const servers = free.pop()!;
        try {
          return await run(check, servers);
        } finally {
          free.push(servers);
        }
      });
    } finally {
      for (const servers of pairs) await servers[Symbol.asyncDispose]();
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  await saveOutcomes("consumers", outcomes);
  console.log(`\n${countsLine(outcomes)}`);
  Deno.exit(outcomes.some(({ failed }) => failed > 0) ? 1 : 0);
}
