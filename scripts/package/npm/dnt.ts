/**
 * Builds modules and declarations with dnt. dnt comes from JSR, so it is imported by a computed specifier and downloaded
 * only when it is used.
 *
 * @module
 */

import { dirname, join } from "node:path/posix";
import { ROOT } from "../../check/run_deno.ts";
import { withReference } from "./declarations.ts";
import type { Built } from "./engine.ts";
import { bundleModules } from "./modules.ts";
import { type Config, describePackage, entriesOf, exportsOf } from "./package.ts";

/** Exactly one version, because it decides what is published: that of the last rehearsal. */
const DNT = "jsr:@deno/dnt@0.42.3";

/** The used part of dnt. */
interface Dnt {
  build(options: Record<string, unknown>): Promise<void>;
}

/** The directory of dnt's ES modules. */
const MODULES = "esm";
const POLYFILL_IMPORT = /^import "(?:\.{1,2}\/)+_dnt\.polyfills\.js";\n/m;

/**
 * Builds the modules of the package.
 *
 * @param config The content of deno.json.
 * @throws {Error} if a module needs a package, or `import.meta`, for which dnt substitutes its own.
 */
export async function buildWithDnt(config: Config): Promise<Built> {
  const { build } = await import(DNT) as Dnt;
  const dir = await Deno.makeTempDir({ prefix: "dnspool-dnt-" });
  const entries = entriesOf(config);
  try {
    Deno.chdir(ROOT);
    await build({
      entryPoints: entries.map((path) => ({ kind: "export", name: path, path })),
      outDir: dir,
      package: describePackage(config),
      // One copy: Node 20.19 and later, and Bun, require() ES modules. Two would be two DNS caches.
      scriptModule: false,
      shims: {}, // the lookups ask which runtime this is
      compilerOptions: { target: "ES2022", lib: ["ES2023", "DOM", "ESNext.Disposable"] },
      typeCheck: false, // dnt lacks Deno's types; `deno check` checks them
      test: false,
      skipSourceOutput: true,
      skipNpmInstall: true,
    });
    const { dependencies = {} } = JSON.parse(await Deno.readTextFile(`${dir}/package.json`));
    const packages = Object.keys(dependencies);
    if (packages.length > 0) throw new Error(`Cannot build the package: it needs ${packages}`);
    const built = `${dir}/${MODULES}`;
    await removePolyfills(built);
    const modules = entries.map((entry) => entry.replace(/ts$/, "js"));
    return {
      modules: await bundleModules(built, modules),
      declarations: new Map(await declarationsOf(built, Object.values(exportsOf(config)))),
    };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Empties the module of dnt's polyfills, which change globals and which every supported runtime has. */
async function removePolyfills(dir: string): Promise<void> {
  const file = `${dir}/_dnt.polyfills.js`;
  const hasSome = await Deno.stat(file).then(() => true, () => false);
  if (hasSome) await Deno.writeTextFile(file, "export {};\n");
}

/** Reads the declarations of modules, and of every module that these declarations import. */
async function declarationsOf(
  dir: string,
  entries: readonly string[],
): Promise<[string, string][]> {
  const paths = entries.map((entry) => join(".", entry.replace(/ts$/, "d.ts")));
  const found: [string, string][] = [];
  for (const path of paths) { // grows while it is read
    const text = (await Deno.readTextFile(`${dir}/${path}`)).replace(POLYFILL_IMPORT, "");
    found.push([path, withReference(text)]);
    for (const [, specifier = ""] of text.matchAll(/\b(?:from |import\()"(\.[^"]*)\.js"/g)) {
      const target = join(dirname(path), `${specifier}.d.ts`);
      if (!paths.includes(target)) paths.push(target);
    }
  }
  return found;
}
