/**
 * Fewer, larger modules: what an import costs is mostly the number of files, and the package has fifty small ones.
 *
 * @module
 */

import { dirname, relative } from "node:path";

/**
 * Puts the package's modules together: one file for each entry, and chunks with what entries share or load later.
 *
 * @param modules JavaScript by path.
 * @param entries Paths of the modules that are imported from outside. The first is loaded with each of the others.
 * @param external Packages that stay imported.
 * @returns JavaScript by path; chunks are named after their contents.
 */
export async function bundleModules(
  modules: ReadonlyMap<string, string>,
  entries: readonly string[],
  external: readonly string[],
): Promise<Map<string, string>> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    for (const [path, text] of modules) {
      await Deno.mkdir(dirname(`${dir}/in/${path}`), { recursive: true });
      await Deno.writeTextFile(`${dir}/in/${path}`, text);
    }
    // What all entries load is one chunk, however they share it.
    const [main = "", ...others] = entries.map((entry) => `${dir}/in/${entry}`);
    for (const file of others) {
      const [, start = "", text = ""] = /^(#!.*\n)?([^]*)$/.exec(await Deno.readTextFile(file))!;
      const specifier = relative(dirname(file), main).replace(/^(?!\.)/, "./");
      await Deno.writeTextFile(file, `${start}import "${specifier}";\n${text}`);
    }
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["bundle", "--quiet", "--no-lock", "--no-config", "--platform=deno"],
        ...["--code-splitting", "--outdir=../out"],
        ...external.map((name) => `--external=${name}`),
        ...entries,
      ],
      cwd: `${dir}/in`, // comments in the output name the modules by their paths from here
    }).output();
    if (code !== 0) {
      const said = new TextDecoder().decode(stderr);
      throw new Error(`Cannot bundle the package: deno bundle exited with ${code}\n${said}`);
    }
    return await readTree(`${dir}/out`, "");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function readTree(dir: string, prefix: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (isDirectory) {
      for (const [path, text] of await readTree(`${dir}/${name}`, `${prefix}${name}/`)) {
        files.set(path, text);
      }
    } else {
      files.set(prefix + name, withNames(await Deno.readTextFile(`${dir}/${name}`)));
    }
  }
  return files;
}

/**
 * The bundler makes `var Engine = class _Engine {` of a class that names itself, and `function DnsPgPool2` of a function
 * that is named like its constant, and then `console.log` and stack traces say so.
 */
function withNames(text: string): string {
  let result = text;
  for (
    const [, name, inner] of text.matchAll(/^var (\w+) = .*?\b(?:class|function) (_\1|\1\d+)\b/gm)
  ) {
    result = result.replace(new RegExp(`(?<![\\w$."'\`#])${inner}\\b`, "g"), name!);
  }
  return result;
}
