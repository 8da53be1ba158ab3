/**
 * `deno task npm`: builds the npm package, `npm/dnspool-dnspool-<version>.tgz`, out of what deno.json exports. The same
 * sources always give the same bytes. Needs npm.
 *
 * `--engine=dnt` builds with dnt, from the same description: CommonJS as well, on a machine that reaches JSR.
 * `--out=DIR` puts the package elsewhere.
 *
 * @module
 */

import { dirname } from "node:path";
import { parseArgs } from "node:util";
import config from "../../deno.json" with { type: "json" };
import { ROOT } from "../check/run_deno.ts";
import { bundleModules } from "./npm/bundle.ts";
import { buildWithDnt } from "./npm/dnt.ts";
import { emit } from "./npm/emit.ts";
import { type Config, DIST, DOCUMENTS, packageJson, programOf } from "./npm/package.ts";

/** Writes the unpacked package into a directory. */
async function write(dir: string, config: Config): Promise<void> {
  const read = (path: string) => Deno.readTextFile(new URL(path, ROOT));
  const entries = Object.values(config.exports);
  const { modules, declarations, dependencies } = await emit(entries, read);
  const scripts = entries.map((entry) => entry.replace(/ts$/, "js"));
  const bundled = await bundleModules(modules, scripts, Object.keys(dependencies));
  const files = [...bundled, ...declarations];
  const all = new Map(files.map(([path, text]) => [`${DIST}/${path}`, text]));
  for (const name of DOCUMENTS) all.set(name, await read(name));
  all.set("package.json", JSON.stringify(packageJson(config, dependencies), null, 2) + "\n");
  const program = programOf(config);
  for (const [path, text] of all) {
    const file = `${dir}/${path}`;
    const runs = `./${path}` === program;
    await Deno.mkdir(dirname(file), { recursive: true });
    await Deno.writeTextFile(file, runs ? asProgram(text) : text);
    await Deno.chmod(file, runs ? 0o755 : 0o644); // whatever the umask is: the mode stands in the tarball
  }
}

function asProgram(text: string): string {
  return `#!/usr/bin/env node\n${text.replace(/^#!.*\n/, "")}`;
}

/** Makes the tarball out of an unpacked package; returns its path. npm gives all files one date. */
async function pack(dir: string, out: string): Promise<string> {
  await Deno.mkdir(out, { recursive: true });
  const { code, stdout, stderr } = await new Deno.Command("npm", {
    args: ["pack", "--json", "--ignore-scripts", `--pack-destination=${out}`],
    cwd: dir,
  }).output();
  const said = new TextDecoder().decode(code === 0 ? stdout : stderr);
  if (code !== 0) throw new Error(`Cannot pack the package: npm exited with ${code}\n${said}`);
  const [{ filename }] = JSON.parse(said) as [{ filename: string }];
  return `${out}/${filename}`;
}

/**
 * Builds the package.
 *
 * @param out The directory for the tarball.
 * @param engine How.
 * @returns The tarball's path.
 */
export async function buildPackage(
  out: string,
  engine: "files" | "dnt" = "files",
): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-npm-" });
  try {
    await (engine === "dnt" ? buildWithDnt : write)(dir, config);
    return await pack(dir, out);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) {
  const { values: { engine, out } } = parseArgs({
    args: Deno.args,
    options: { engine: { type: "string", default: "files" }, out: { type: "string" } },
  });
  if (engine !== "files" && engine !== "dnt") {
    console.error(`Cannot build with "${engine}": say --engine=files or --engine=dnt`);
    Deno.exit(2);
  }
  const file = await buildPackage(out ?? new URL("npm", ROOT).pathname, engine);
  const { size } = await Deno.stat(file);
  console.log(`${file}  ${(size / 1000).toFixed(1)} kB`);
}
