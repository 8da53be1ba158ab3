/**
 * `deno task mutate FILE... [TEST...]`: mutation testing. Stryker changes the files in one small way after the other, in
 * a copy of the repository, and runs the tests. A change that no test notices is printed.
 *
 * Without TEST (a path below `tests/`), it runs the tests that mirror the files: `tests/pool/` for `pool/slots.ts`.
 * `deno task mutate pool/slots.ts tests/pool/ tests/engine/` runs more of them.
 *
 * Stryker comes from npm. Exit status: 0, also if changes were not noticed, for some make no difference; 1 if Stryker
 * failed; 2 if the command line is wrong.
 *
 * @module
 */

import { dirname } from "node:path/posix";
import { ROOT } from "../check/run_deno.ts";
import { chooseStd, stdFlags } from "../check/std_source.ts";

/** The last version for Node 20. */
const STRYKER = "@stryker-mutator/core@9.6.1";

/** Maximum time for tests that hang because of a change, on top of 1.5 times their usual duration. */
const TIMEOUT_MS = 5000;

function exists(path: string): boolean {
  try {
    return Deno.statSync(new URL(path, ROOT)) !== undefined;
  } catch {
    return false;
  }
}

/**
 * Returns the tests that mirror a source file: first its own, which notice most changes, then those of its folder.
 *
 * @param file A path such as `pool/connection/dialer.ts`, or `resolver.ts` for a folder's main module.
 */
export function testsOf(file: string): string[] {
  const stem = file.replace(/\.ts$/, "");
  const folder = exists(`tests/${stem}/`) ? stem : dirname(file);
  return [`tests/${stem}_test.ts`, ...folder === "." ? [] : [`tests/${folder}/`]].filter(exists);
}

if (import.meta.main) {
  const files = Deno.args.filter((arg) => !arg.startsWith("tests/"));
  const given = Deno.args.filter((arg) => arg.startsWith("tests/"));
  const tests = given.length > 0 ? given : [...new Set(files.flatMap(testsOf))];
  const missing = Deno.args.find((path) => !exists(path));
  if (files.length === 0 || missing !== undefined || tests.length === 0) {
    console.error(
      missing === undefined
        ? "Usage: deno task mutate FILE... [TEST...]: FILE such as pool/slots.ts, TEST such as tests/pool/"
        : `Cannot find "${missing}"`,
    );
    Deno.exit(2);
  }
  const flags = ["test", "-A", "--quiet", "--no-check", "--no-lock", "--fail-fast"];
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    const config = {
      testRunner: "command",
      commandRunner: {
        command: [Deno.execPath(), ...flags, ...stdFlags(await chooseStd()), ...tests].join(" "),
      },
      mutate: files,
      concurrency: 2,
      coverageAnalysis: "off",
      disableTypeChecks: false,
      ignorePatterns: [".deno", "npm"],
      plugins: [],
      reporters: ["clear-text", "progress"],
      tempDirName: `${dir}/stryker`,
      timeoutMS: TIMEOUT_MS,
    };
    await Deno.writeTextFile(`${dir}/stryker.json`, JSON.stringify(config));
    const { code } = await new Deno.Command("npx", {
      args: ["--yes", STRYKER, "run", `${dir}/stryker.json`],
      cwd: ROOT,
    }).spawn().status;
    Deno.exitCode = code === 0 ? 0 : 1;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
