/**
 * The other engine, dnt: CommonJS beside ES modules. It comes from JSR, so it is imported by a computed specifier, and
 * nothing is fetched unless it is asked for.
 *
 * @module
 */

import { ROOT } from "../../check/run_deno.ts";
import { CLI, type Config, describePackage, DOCUMENTS, PROGRAM } from "./package.ts";

const DNT = "jsr:@deno/dnt@^0.42";

/** The part of dnt that is used here. */
interface Dnt {
  build(options: Record<string, unknown>): Promise<void>;
}

/**
 * Writes the unpacked package into a directory. dnt finds out the paths and the dependencies by itself.
 *
 * @param dir The directory.
 * @param config What deno.json says.
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
    package: describePackage(config, {}),
    shims: {}, // the plugs ask which runtime this is
    compilerOptions: { target: "ES2022", lib: ["ES2023", "DOM", "ESNext.Disposable"] },
    typeCheck: false, // Deno's types are not there; `deno check` looks at them
    test: false,
    skipSourceOutput: true,
  });
  for (const name of DOCUMENTS) await Deno.copyFile(name, `${dir}/${name}`);
}
