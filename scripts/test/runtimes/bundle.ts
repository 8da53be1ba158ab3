/**
 * The test files that need no Deno, in one file that Node 20 and Bun run.
 *
 * @module
 */

import ts from "npm:typescript@6.0.3";
import { deno, ROOT } from "../../check/run_deno.ts";
import { PROGRAMS } from "../../../lab/postgres_binaries.ts";

const OPTIONS = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };

/**
 * Code with one of these stays on Deno. Of the scripts, the lab alone runs elsewhere; no ORM can be bundled, and what
 * JSR alone has is for Deno.
 */
const NEEDS_DENO = /\bDeno\.(?!test\b)|"(?:\.\.\/)+scripts\/|"npm:drizzle-orm|"jsr:/;

/** What the bundle, and the programs that tests start, import by a computed name. */
const INSTALLED = ["pg@^8.23", "postgres@^3.4", "mysql2@^3.24", "mariadb@^3.5", PROGRAMS];

/** Modules of the repository that such programs import. */
const FOR_PROGRAMS = ["mod.ts", "drop_in/mysql2_pool.ts", "drop_in/pg_pool.ts"];

/** Names of test files, without `.ts`: those that run everywhere, and those that do not. */
export async function sortTests(): Promise<{ portable: string[]; bound: string[] }> {
  const portable: string[] = [];
  const bound: string[] = [];
  for (const name of await testFiles("")) {
    const needsDeno = await anyNeedsDeno(new URL(`tests/${name}`, ROOT));
    (needsDeno ? bound : portable).push(name.slice(0, -".ts".length));
  }
  return { portable: portable.sort(), bound: bound.sort() };
}

/** The test files in a folder of `tests/` and below, as paths from there; those of faults and stress have commands of their own. */
async function testFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(`tests/${folder}`, ROOT))) {
    if (isDirectory && !["faults", "stress"].includes(name)) {
      files.push(...await testFiles(`${folder}${name}/`));
    } else if (name.endsWith("_test.ts")) files.push(folder + name);
  }
  return files;
}

/** Whether a test file needs Deno, or one of the files for tests that it imports. */
async function anyNeedsDeno(file: URL): Promise<boolean> {
  const files = [file.href];
  for (const file of files) {
    // Without its types and comments, which may name Deno's.
    const { outputText } = ts.transpileModule(await Deno.readTextFile(new URL(file)), {
      compilerOptions: { ...OPTIONS, removeComments: true },
    });
    if (NEEDS_DENO.test(outputText)) return true;
    for (const { fileName } of ts.preProcessFile(outputText).importedFiles) {
      const { href } = new URL(fileName, file);
      const isOfTests = fileName.startsWith(".") && href.startsWith(`${ROOT}tests/`);
      if (isOfTests && !files.includes(href)) files.push(href);
    }
  }
  return false;
}

/**
 * Bundles test files with what runs them. Beside the bundle are what it imports by a computed name, and in `package/`
 * what tests/support/program.ts gives to the programs that it starts.
 *
 * @param names Test files, without `.ts`.
 * @param dir Where the bundle goes.
 * @returns The bundle's path; its argument is the name of the file to run.
 */
export async function bundleTests(names: readonly string[], dir: string): Promise<string> {
  const ready = Promise.all([npmInstall(INSTALLED, dir), bundleForPrograms(`${dir}/package`)]);
  const url = (path: string) => JSON.stringify(new URL(path, ROOT));
  const loads = names.map((name) =>
    `${JSON.stringify(name)}: () => import(${url(`tests/${name}.ts`)})`
  );
  await Deno.writeTextFile(
    `${dir}/entry.ts`,
    `import { registerTest, runTests } from ${url("scripts/test/runtimes/run_tests.ts")};\n` +
      `globalThis.registerTest = registerTest;\nawait runTests({ ${loads.join(", ")} });\n`,
  );
  const code = await deno([
    ...["bundle", "--quiet", "--no-lock", "--no-check", "--platform=deno"],
    ...["--import-map=tests/std/import_map.json", `--output=${dir}/bundle.js`, `${dir}/entry.ts`],
  ]);
  if (code !== 0) throw new Error(`Cannot bundle the tests: deno bundle exited with ${code}`);
  const text = forNode20(await Deno.readTextFile(`${dir}/bundle.js`));
  const file = `${dir}/tests.mjs`;
  await Deno.writeTextFile(file, text.replaceAll(/\bDeno\.test\b/g, "globalThis.registerTest"));
  await ready;
  return file;
}

/** Puts the modules for programs into a directory, each under its own path. */
async function bundleForPrograms(dir: string): Promise<void> {
  const code = await deno([
    ...["bundle", "--quiet", "--no-lock", "--no-check", "--platform=deno", "--code-splitting"],
    ...[`--outdir=${dir}`, ...FOR_PROGRAMS],
  ]);
  if (code !== 0) throw new Error(`Cannot bundle the package: deno bundle exited with ${code}`);
  await Deno.writeTextFile(`${dir}/package.json`, '{"type":"module"}');
  for await (const file of scriptsIn(dir)) {
    await Deno.writeTextFile(file, forNode20(await Deno.readTextFile(file)));
  }
}

async function* scriptsIn(dir: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (isDirectory) yield* scriptsIn(`${dir}/${name}`);
    else if (name.endsWith(".js")) yield `${dir}/${name}`;
  }
}

/** Node 20 and 22 know no `using`. */
function forNode20(code: string): string {
  return ts.transpileModule(code, { compilerOptions: OPTIONS }).outputText;
}

/** Installs packages into a directory. */
export async function npmInstall(packages: readonly string[], dir: string): Promise<void> {
  const { code, stderr } = await new Deno.Command("npm", {
    args: ["install", "--no-audit", "--no-fund", "--no-save", "--prefix", dir, ...packages],
    cwd: dir,
    stdin: "null",
    stdout: "null",
  }).output();
  if (code === 0) return;
  const said = new TextDecoder().decode(stderr);
  throw new Error(`Cannot install ${packages.join(" ")}: npm exited with ${code}\n${said}`);
}
