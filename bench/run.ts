/**
 * Runs a benchmark on Deno, Node 22 and Bun, from one bundle: `deno task bench:resolve`, or
 * `deno task bench:resolve deno` for one runtime. Node and Bun come from npm.
 *
 * @module
 */

import { deno } from "../scripts/_run.ts";

const RUNTIMES: Readonly<Record<string, readonly string[]>> = {
  deno: [Deno.execPath(), "run", "-A", "--no-lock"],
  node: ["npx", "--yes", "node@22"],
  bun: ["npx", "--yes", "bun@1"],
};
/** What mitata loads only where it is there. */
const OPTIONAL = ["@mitata/counters", "os", "bun:jsc"];

const [name = "resolve", ...wanted] = Deno.args;
const folder = await Deno.makeTempDir({ prefix: "dnspool-bench-" });
try {
  const file = `${folder}/${name}.mjs`;
  const code = await deno([
    ...["bundle", "--quiet", "--no-lock", "--platform=deno", `--output=${file}`],
    ...OPTIONAL.map((module) => `--external=${module}`),
    ...["--import-map=tests/_std/import_map.json", `bench/${name}.ts`],
  ]);
  if (code !== 0) Deno.exit(code);
  for (const [runtime, [program, ...args]] of Object.entries(RUNTIMES)) {
    if (wanted.length > 0 && !wanted.includes(runtime)) continue;
    const { success } = await new Deno.Command(program!, { args: [...args, file] }).spawn().status;
    if (!success) Deno.exitCode = 1;
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
