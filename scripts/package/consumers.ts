/**
 * `deno task consumers`: builds the npm package and uses it as others would. Empty projects install the tarball; a
 * program in them lives through a switchover and a failover of two real servers, on Node 20, 22, 24, Bun and Deno;
 * every export is imported and required; TypeScript 5.4, 5.9 and the latest look at the types; publint and
 * arethetypeswrong look at the package.
 *
 * `deno task consumers node@20 typescript` looks at those only, `npm` at the package as a whole.
 *
 * Node, Bun and all the rest come from npm, MariaDB from the machine. Exit status: 0; 1 if anything failed. The last
 * line is `N passed, N failed, N skipped`.
 *
 * @module
 */

import { makeProjects, type Projects } from "./consumers/projects.ts";
import {
  type Check,
  packageChecks,
  programChecks,
  Skipped,
  typeChecks,
} from "./consumers/checks.ts";
import { ServerPairs } from "./consumers/servers.ts";
import { countsLine, eachOf, type Outcome, saveOutcomes } from "../test/runtimes/outcome.ts";
import { findRuntime, RUNTIMES } from "../test/runtimes/binaries.ts";

/** Consumers at a time. They mostly wait. */
const AT_A_TIME = 2;

/** Runs one check; what is wrong is printed. */
async function run(check: Check, servers: ServerPairs): Promise<Outcome> {
  const { runtime, version, subject } = check;
  const outcome = { runtime, version, subject, passed: 0, failed: 0, skipped: 0 };
  const startMs = performance.now();
  const line = (word: string, what = "") => {
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    console.log(`${word} ${runtime} ${version}: ${subject} (${seconds} s) ${what}`.trimEnd());
  };
  try {
    const said = await check.run(servers);
    line("ok", said);
    return { ...outcome, passed: 1 };
  } catch (error) {
    if (error instanceof Skipped) {
      line("skipped", error.message);
      return { ...outcome, skipped: 1 };
    }
    line("FAILED", error instanceof Error ? error.message : String(error));
    return { ...outcome, failed: 1 };
  }
}

async function checksOf(projects: Projects): Promise<Check[]> {
  const runtimes = await eachOf(RUNTIMES, AT_A_TIME, findRuntime);
  return [
    ...runtimes.flatMap((runtime) => programChecks(runtime, projects)),
    ...typeChecks(projects),
    ...packageChecks(projects),
  ];
}

if (import.meta.main) {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  let outcomes: Outcome[] = [];
  try {
    const all = await checksOf(await makeProjects(dir));
    const checks = all.filter(({ runtime }) => !Deno.args.length || Deno.args.includes(runtime));
    if (checks.length === 0) throw new Error(`Cannot find anything to look at: ${Deno.args}`);
    // Each has servers of its own, for a program kills one of them.
    const lanes = Array.from({ length: AT_A_TIME }, () => new ServerPairs());
    try {
      const free = [...lanes];
      outcomes = await eachOf(checks, AT_A_TIME, async (check) => {
        const lane = free.pop()!;
        try {
          return await run(check, lane);
        } finally {
          free.push(lane);
        }
      });
    } finally {
      for (const lane of lanes) await lane[Symbol.asyncDispose]();
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  await saveOutcomes("consumers", outcomes);
  console.log(`\n${countsLine(outcomes)}`);
  Deno.exit(outcomes.some(({ failed }) => failed > 0) ? 1 : 0);
}
