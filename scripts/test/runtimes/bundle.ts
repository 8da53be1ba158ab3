/**
 * Bundles the test files that need no Deno for Node 20 and Bun.
 *
 * @module
 */

import ts from "npm:typescript@6.0.3";
import { deno, ROOT } from "../../check/run_deno.ts";
import { testFiles } from "../test_files.ts";
import { PROGRAMS } from "../../../lab/postgres_binaries.ts";

const OPTIONS = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };

/** Code with one of these runs on Deno only: the scripts do, no ORM can be bundled, and JSR is for Deno. */
const NEEDS_DENO = new RegExp(
  [
    String.raw`\bDeno\.(?!test\b)`,
    String.raw`"(?:\.\.\/)+scripts\/`,
    '"npm:(?:drizzle-orm|sequelize|typeorm|@prisma|@mikro-orm)',
    '"jsr:',
  ].join("|"),
);

/** The folders with modules of tests. */
const OF_TESTS = [`${ROOT}tests/`, `${ROOT}examples/`];

/** The packages that the bundle, and the programs that tests start, import by a computed name. */
const INSTALLED = ["pg@^8.23", "postgres@^3.4", "mysql2@^3.24", "mariadb@^3.5", PROGRAMS];

/** The modules of the repository that such programs import. */
const FOR_PROGRAMS = [
  "mod.ts",
  "drop_in/mariadb_pool.ts",
  "drop_in/mysql2_pool.ts",
  "drop_in/pg_pool.ts",
  "drop_in/postgresjs.ts",
];

/** The package.json of a directory whose scripts are modules. */
const MODULES = '{"type":"module"}';

/** Returns the test files, without `.ts`: those that run on every runtime, and those that are bound to Deno. */
export async function sortTests(): Promise<{ portable: string[]; bound: string[] }> {
  const portable: string[] = [];
  const bound: string[] = [];
  const known = new Map<string, ReturnType<typeof readModule>>();
  const read = (file: string) => {
    let module = known.get(file);
    if (!module) known.set(file, module = readModule(file));
    return module;
  };
  for (const file of await testFiles()) {
    const name = file.slice("tests/".length, -".ts".length);
    const needsDeno = /^(faults|lab|stress)\//.test(name) ||
      await anyNeedsDeno(new URL(file, ROOT), read);
    (needsDeno ? bound : portable).push(name);
  }
  return { portable, bound };
}

/** Returns whether a test file, or a module of `tests/` or `examples/` that it imports, needs Deno. */
async function anyNeedsDeno(file: URL, read: typeof readModule): Promise<boolean> {
  const files = [file.href];
  for (const file of files) {
    const { needsDeno, imports } = await read(file);
    if (needsDeno) return true;
    for (const imported of imports) if (!files.includes(imported)) files.push(imported);
  }
  return false;
}

/** Reads a module of tests: whether it needs Deno itself, and which other modules of tests it imports. */
async function readModule(
  file: string,
): Promise<{ readonly needsDeno: boolean; readonly imports: readonly string[] }> {
  // Without types and comments, which may name those of Deno.
  const { outputText } = ts.transpileModule(await Deno.readTextFile(new URL(file)), {
    compilerOptions: { ...OPTIONS, removeComments: true },
  });
  const imports = ts.preProcessFile(outputText).importedFiles
    .filter(({ fileName }) => fileName.startsWith("."))
    .map(({ fileName }) => new URL(fileName, file).href)
    .filter((href) => OF_TESTS.some((dir) => href.startsWith(dir)));
  return { needsDeno: NEEDS_DENO.test(outputText), imports };
}

/**
 * Bundles test files with their runner. Beside the bundle are the packages that it imports by a computed name, and in
 * `package/` the modules for the programs that tests/support/program.ts starts.
 *
 * @param names Test files in `tests/`, without `.ts`.
 * @param dir The directory for the bundle.
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
  // Split, so that each process reads only what its file needs.
  const code = await deno([
    ...["bundle", "--quiet", "--no-lock", "--no-check", "--platform=deno", "--code-splitting"],
    ...["--import-map=tests/std/import_map.json", `--outdir=${dir}`, `${dir}/entry.ts`],
  ]);
  if (code !== 0) throw new Error(`Cannot bundle the tests: deno bundle exited with ${code}`);
  await Deno.writeTextFile(`${dir}/package.json`, MODULES);
  for await (const { name } of Deno.readDir(dir)) {
    if (!name.endsWith(".js")) continue;
    const text = forNode20(await Deno.readTextFile(`${dir}/${name}`));
    const code = text.replaceAll(/\bDeno\.test\b/g, "globalThis.registerTest");
    await Deno.writeTextFile(`${dir}/${name}`, code);
  }
  await ready;
  return `${dir}/entry.js`;
}

/**
 * Bundles a program of `tests/` that needs no Deno, with all that it imports.
 *
 * @param entry Its path in the repository.
 * @param file The path of the bundle.
 */
export async function bundleProgram(entry: string, file: string): Promise<void> {
  const code = await deno([
    ...["bundle", "--quiet", "--no-lock", "--no-check", "--platform=deno"],
    ...[`--output=${file}`, entry],
  ]);
  if (code !== 0) throw new Error(`Cannot bundle ${entry}: deno bundle exited with ${code}`);
  await Deno.writeTextFile(file, forNode20(await Deno.readTextFile(file)));
}

/** Bundles the modules for programs into a directory, each under its own path. */
export async function bundleForPrograms(dir: string): Promise<void> {
  const code = await deno([
    ...["bundle", "--quiet", "--no-lock", "--no-check", "--platform=deno", "--code-splitting"],
    ...[`--outdir=${dir}`, ...FOR_PROGRAMS],
  ]);
  if (code !== 0) throw new Error(`Cannot bundle the package: deno bundle exited with ${code}`);
  await Deno.writeTextFile(`${dir}/package.json`, MODULES);
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

/** Compiles `using` away: Node 20 and 22 do not know it. */
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
  const reason = new TextDecoder().decode(stderr);
  throw new Error(`Cannot install ${packages.join(" ")}: npm exited with ${code}\n${reason}`);
}
