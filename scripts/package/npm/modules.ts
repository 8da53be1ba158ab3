/**
 * The package's JavaScript: a few large modules, because the cost of an import is mostly the number of its files.
 *
 * They are minified: half of the bytes are read and scanned at each start. What a stack trace shows stays: the names of
 * classes, functions and methods, all but private ones, and a line for each statement, because Node prints the whole line
 * that threw. Rolldown keeps the names without code that sets them at run time, as the `--keep-names` of esbuild would
 * add to every closure.
 *
 * @module
 */

import { join, relative } from "node:path";
import { rolldown } from "npm:rolldown@1.3.3";
import ts from "npm:typescript@6.0.3";

/** The newest syntax of the oldest runtime, Node 20. */
const TARGET = "es2022";

/**
 * Bundles modules together with everything that they import.
 *
 * @param root The directory of the sources.
 * @param entries Paths of the modules that users load, such as `./lookups/wire.ts`, in TypeScript or JavaScript. Everything that the first one
 *   loads becomes one chunk.
 * @returns JavaScript by path, such as `lookups/wire.js`.
 * @throws {Error} if a module imports anything but other modules and Node's built-in modules.
 */
export async function bundleModules(
  root: string,
  entries: readonly string[],
): Promise<Map<string, string>> {
  const main = join(root, entries[0]!);
  const problems: string[] = [];
  await using bundle = await rolldown({
    cwd: root,
    input: Object.fromEntries(
      entries.map((entry) => [entry.replace(/^\.\/|\.[jt]s$/g, ""), entry]),
    ),
    platform: "node",
    tsconfig: false,
    transform: { target: TARGET },
    checks: { pluginTimings: false },
    onwarn: ({ message }) => void problems.push(message),
    external(specifier, importer, isResolved) {
      if (isResolved || importer === undefined || /^(?:\.{1,2}\/|node:)/.test(specifier)) return;
      const path = relative(root, importer);
      problems.push(`${path}: "${specifier}" cannot be imported in a package for npm`);
      return true;
    },
  });
  const { output } = await bundle.generate({
    chunkFileNames: "chunk-[name].js",
    codeSplitting: { groups: [{ name: "core", test: (id) => id === main }] },
    comments: false, // editors show those of the declarations
    minifyInternalExports: false,
    minify: {
      compress: false, // it makes `let` of `const`: on Node, a checkout then takes 4 % longer
      mangle: { keepNames: true },
      codegen: { removeWhitespace: true },
    },
  });
  if (problems.length > 0) throw new Error(`Cannot build the package:\n${problems.join("\n")}`);
  return new Map(
    output.flatMap((file) =>
      file.type === "chunk" ? [[file.fileName, inLines(inAscii(file.code))]] : []
    ),
  );
}

/**
 * Escapes all other characters than ASCII. Engines keep a module's text for as long as the process runs, in two bytes for
 * each character if one of them does not fit into one.
 *
 * @param code JavaScript. Its tagged templates must not look at the raw text of such a character.
 */
function inAscii(code: string): string {
  return code.replace(
    // deno-lint-ignore no-control-regex -- the first 128 characters
    /[^\x00-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Begins a new line after each statement and each member of a class. */
function inLines(code: string): string {
  const ends = new Set<number>();
  const visit = (node: ts.Node): void => {
    if (ts.isStatement(node) || ts.isClassElement(node)) ends.add(node.end);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("module.js", code, ts.ScriptTarget.ES2022));
  let start = 0;
  const lines: string[] = [];
  for (const end of [...ends, code.length].sort((a, b) => a - b)) {
    const line = code.slice(start, end).replace(/^\n+|\n+$/g, "");
    if (line !== "") lines.push(line);
    start = end;
  }
  return lines.join("\n") + "\n";
}
