/**
 * `deno task mutate`: puts one small fault after the other into a copy of the sources (`scripts/test/mutations.ts`), and runs
 * the tests that should notice. It prints those that survived. `deno task mutate pool.ts` tries those in one file only.
 *
 * Exit status: 0; 1 when one survived that should not, or was noticed though the list says that it cannot be; 2 when a
 * fault does not fit the sources any more.
 *
 * @module
 */

import { ROOT } from "../check/run_deno.ts";
import { chooseStd, stdFlags } from "../check/std_source.ts";
import { type Mutation, MUTATIONS, TESTS } from "./mutations.ts";

/** A fault may make a test hang. */
const PATIENCE_MS = 180_000;
/** So many are tried at once. */
const AT_ONCE = 2;
const NOT_COPIED = /^\.git$|^\.deno$|^node_modules$|^npm$/;

type Outcome = "noticed" | "survived";

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (NOT_COPIED.test(name)) continue;
    if (isDirectory) await copyTree(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

async function testsPass(dir: string, files: readonly string[], flags: string[]): Promise<boolean> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--no-lock", "--fail-fast", ...flags, ...files],
    cwd: dir,
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).output();
  return code === 0;
}

async function attempt(mutation: Mutation, dir: string, flags: string[]): Promise<Outcome> {
  const path = `${dir}/${mutation.file}`;
  const text = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, text.replace(mutation.find, () => mutation.put));
  try {
    for (const files of TESTS[mutation.file] ?? []) {
      if (!await testsPass(dir, files, flags)) return "noticed";
    }
    return "survived";
  } finally {
    await Deno.writeTextFile(path, text);
  }
}

/** Faults that are not there exactly once. */
async function misfits(mutations: readonly Mutation[]): Promise<string[]> {
  const bad: string[] = [];
  for (const { file, find } of mutations) {
    const count = (await Deno.readTextFile(new URL(file, ROOT))).split(find).length - 1;
    if (count !== 1) bad.push(`${file} has ${count} times: ${find}`);
    if (!TESTS[file]) bad.push(`${file} has no tests`);
  }
  return bad;
}

if (import.meta.main) {
  const only = Deno.args;
  const chosen = MUTATIONS.filter(({ file }) => only.length === 0 || only.includes(file));
  const bad = await misfits(chosen);
  if (bad.length > 0) {
    console.error(bad.join("\n"));
    Deno.exit(2);
  }
  const flags = stdFlags(await chooseStd());
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  const queue = [...chosen];
  const survivors: Mutation[] = [];
  const explained: Mutation[] = [];
  const surprises: Mutation[] = [];
  const worker = async (_: unknown, index: number) => {
    const copy = `${dir}/${index}`;
    await copyTree(new URL(".", ROOT).pathname.replace(/\/$/, ""), copy);
    // Where they fail without a fault, they notice nothing.
    if (index === 0) {
      const groups = new Set(chosen.map(({ file }) => TESTS[file]!).flat());
      for (const files of groups) {
        if (!await testsPass(copy, files, flags)) {
          throw new Error(`Cannot try faults: without one these fail: ${files.join(" ")}`);
        }
      }
    }
    for (let mutation; (mutation = queue.shift());) {
      const outcome = await attempt(mutation, copy, flags);
      const { file, put, why } = mutation;
      console.log(`${outcome.padEnd(8)}  ${file}  ${mutation.find}  ->  ${put || "(nothing)"}`);
      if (outcome === "survived") (why ? explained : survivors).push(mutation);
      else if (why) surprises.push(mutation);
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  const noticed = chosen.length - survivors.length - explained.length;
  console.log(
    `\n${chosen.length} faults: ${noticed} noticed, ${survivors.length} survived, ${explained.length} make no difference`,
  );
  for (const { file, find, put } of survivors) console.log(`SURVIVED ${file}: ${find} -> ${put}`);
  for (const { file, find } of surprises) {
    console.log(`NOTICED, though explained: ${file}: ${find}`);
  }
  Deno.exit(survivors.length + surprises.length > 0 ? 1 : 0);
}
