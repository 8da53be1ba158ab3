/**
 * Builds the package with dnt instead: CommonJS beside ES modules. dnt comes from JSR, so it is imported by a computed
 * specifier and downloaded only when it is used.
 *
 * @module
 */

import { ROOT } from "../../check/run_deno.ts";
import { readDocuments } from "../documents.ts";
import { CLI, type Config, describePackage, PROGRAM } from "./package.ts";

const DNT = "jsr:@deno/dnt@^0.42";

/** The used part of dnt. */
interface Dnt {
  build(options: Record<string, unknown>): Promise<void>;
}

/**
 * Writes the unpacked package into a directory. dnt finds the paths and the dependencies.
 *
 * @param dir The directory.
 * @param config The content of deno.json.
 */
export async function buildWithDnt(dir: string, config: Config): Promise<void> {
  const { build } = await import(DNT) as Dnt;
  Deno.chdir(ROOT);
  await build({
    entryPoints: Object.entries(config.exports).flatMap(([name, path]) => [
      { kind: "export", name, path },
      ...(name === CLI ? [{ kind: "bin", name: PROGRAM, path }] : []),
    ]),
    outDir: dir,
    package: describePackage(config),
    shims: {}, // the lookups ask which runtime this is
    compilerOptions: { target: "ES2022", lib: ["ES2023", "DOM", "ESNext.Disposable"] },
    typeCheck: false, // dnt lacks Deno's types; `deno check` checks them
    test: false,
    skipSourceOutput: true,
  });
  for (const [name, text] of await readDocuments(config.version)) {
    await Deno.writeTextFile(`${dir}/${name}`, text);
  }
}
