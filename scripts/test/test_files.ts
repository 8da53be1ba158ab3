/**
 * The test files of the repository, and those among them that start no process.
 *
 * @module
 */

import { ROOT } from "../check/run_deno.ts";
import { chooseStd, stdFlags } from "../check/std_source.ts";

/** Modules with one of these start processes, and servers are processes. */
const STARTS_PROCESSES = /"node:child_process"|\bDeno\.Command\b/;

/** Returns the test files in a folder and below, as paths in the repository. */
export async function testFiles(folder = "tests"): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
    if (isDirectory) files.push(...await testFiles(`${folder}/${name}`));
    else if (name.endsWith("_test.ts")) files.push(`${folder}/${name}`);
  }
  return files.sort();
}

/** Returns those of the files that import, directly or not, no module that starts processes. */
export async function unitTests(files: readonly string[]): Promise<string[]> {
  const imports = await importsBehind(files);
  const starts = new Map<string, boolean>();
  const startsProcesses = async (module: string): Promise<boolean> => {
    const known = starts.get(module);
    if (known !== undefined) return known;
    starts.set(module, false); // for modules that import each other
    let found = STARTS_PROCESSES.test(await Deno.readTextFile(new URL(module)));
    for (const imported of imports.get(module) ?? []) found ||= await startsProcesses(imported);
    starts.set(module, found);
    return found;
  };
  const units: string[] = [];
  for (const file of files) {
    if (!await startsProcesses(new URL(file, ROOT).href)) units.push(file);
  }
  return units;
}

/** The part of the output of `deno info --json` that is used here. */
interface ModuleGraph {
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly { readonly code?: { readonly specifier?: string } }[];
  }[];
}

/** Returns the modules of the repository that each module behind the files imports, types left out. */
async function importsBehind(files: readonly string[]): Promise<Map<string, string[]>> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    const entry = `${dir}/entry.ts`;
    const lines = files.map((file) => `import ${JSON.stringify(new URL(file, ROOT).href)};\n`);
    await Deno.writeTextFile(entry, lines.join(""));
    const std = stdFlags(await chooseStd());
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--no-lock", "--config=deno.json", ...std, entry],
      cwd: ROOT,
    }).output();
    const text = new TextDecoder();
    if (code !== 0) throw new Error(`Cannot read the imports of tests: ${text.decode(stderr)}`);
    const { modules }: ModuleGraph = JSON.parse(text.decode(stdout));
    return new Map(modules.map(({ specifier, dependencies = [] }) => {
      const imported = dependencies.flatMap(({ code }) => code?.specifier ?? []);
      return [specifier, imported.filter((module) => module.startsWith(ROOT.href))];
    }));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
