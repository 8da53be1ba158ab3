/**
 * `deno task npm`: builds the npm package, `npm/dnspool-dnspool-<version>.tgz`, from the exports of deno.json. The same
 * sources always give the same bytes. Needs npm.
 *
 * dnt builds what is published. It comes from JSR: where JSR does not answer, Rolldown and TypeScript's compiler build
 * the same package. `--engine=dnt` or `--engine=files` forces one.
 * `--out=DIR` writes the package into another directory.
 *
 * @module
 */

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import config from "../../deno.json" with { type: "json" };
import { ROOT } from "../check/run_deno.ts";
import { NPM_DOCUMENTS, readDocuments } from "./documents.ts";
import { writeDeclarations } from "./npm/declarations.ts";
import { buildWithDnt } from "./npm/dnt.ts";
import { type Built, type Engine, engineOf } from "./npm/engine.ts";
import { bundleModules } from "./npm/modules.ts";
import {
  type Config,
  DIST,
  entriesOf,
  exportsOf,
  packageJson,
  programOf,
  stem,
} from "./npm/package.ts";
import { publicTypes } from "./npm/public_types.ts";
import { packAgain } from "./npm/tarball.ts";

/** Builds the modules and their declarations without JSR. */
async function buildFiles(config: Config): Promise<Built> {
  const root = fileURLToPath(ROOT);
  const declarations = writeDeclarations(root, Object.values(exportsOf(config)));
  return { modules: await bundleModules(root, entriesOf(config)), declarations };
}

/** Writes the unpacked package into a directory. */
async function write(dir: string, config: Config, engine: Engine): Promise<void> {
  const { modules, declarations } = await (engine === "dnt" ? buildWithDnt : buildFiles)(config);
  const types = publicTypes(declarations, Object.values(exportsOf(config)));
  const files = new Map([...modules, ...types].map(([path, text]) => [`${DIST}/${path}`, text]));
  const documents = await readDocuments(config.version);
  for (const name of NPM_DOCUMENTS) files.set(name, documents.get(name)!);
  files.set("package.json", JSON.stringify(packageJson(config), null, 2) + "\n");
  const module = programOf(config);
  const program = module && `${stem(module)}.js`;
  for (const [path, text] of files) {
    const file = `${dir}/${path}`;
    const isProgram = `./${path}` === program;
    await Deno.mkdir(dirname(file), { recursive: true });
    await Deno.writeTextFile(file, isProgram ? asProgram(text) : text);
    await Deno.chmod(file, isProgram ? 0o755 : 0o644); // the tarball has the mode, so the umask must not decide
  }
}

function asProgram(text: string): string {
  return `#!/usr/bin/env node\n${text.replace(/^#!.*\n/, "")}`;
}

/** Makes the tarball of an unpacked package; returns its path. npm gives all files the same date. */
async function pack(dir: string, out: string): Promise<string> {
  await Deno.mkdir(out, { recursive: true });
  const { code, stdout, stderr } = await new Deno.Command("npm", {
    args: ["pack", "--json", "--ignore-scripts", `--pack-destination=${out}`],
    cwd: dir,
  }).output();
  const text = new TextDecoder().decode(code === 0 ? stdout : stderr);
  if (code !== 0) throw new Error(`Cannot pack the package: npm exited with ${code}\n${text}`);
  const [{ filename }] = JSON.parse(text) as [{ filename: string }];
  const file = `${out}/${filename}`;
  await Deno.writeFile(file, await packAgain(await Deno.readFile(file)));
  return file;
}

/**
 * Builds the package.
 *
 * @param out The directory of the tarball.
 * @param engine The tool that builds the modules.
 * @returns The tarball's path.
 */
export async function buildPackage(
  out: string,
  engine: Engine = "files",
): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-npm-" });
  try {
    await write(dir, config, engine);
    return await pack(dir, out);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) {
  const { values: { engine, out } } = parseArgs({
    args: Deno.args,
    options: { engine: { type: "string" }, out: { type: "string" } },
  });
  const file = await buildPackage(
    out ?? fileURLToPath(new URL("npm", ROOT)),
    await engineOf(engine),
  );
  const { size } = await Deno.stat(file);
  console.log(`${file}  ${(size / 1000).toFixed(1)} kB`);
}
