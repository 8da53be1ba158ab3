/**
 * From the modules of the repository to those of the package: JavaScript that Node 20 reads, and declarations.
 *
 * TypeScript's compiler translates each file by itself, without looking at types: `deno check` does that, and what a
 * declaration says must stand in the file (`isolatedDeclarations`; JSR asks for nearly the same). So the build needs
 * neither Deno's types nor Node's, and `#private` members keep a class from being taken for another.
 *
 * @module
 */

import { dirname, join, normalize } from "node:path/posix";
import ts from "npm:typescript@6.0.3";

/** The package's modules. */
export interface Emitted {
  /** JavaScript by path, such as `lookups/wire.js`. */
  readonly modules: ReadonlyMap<string, string>;
  /** Declarations by path, such as `lookups/wire.d.ts`. */
  readonly declarations: ReadonlyMap<string, string>;
  /** What they import from npm, with the versions. */
  readonly dependencies: Readonly<Record<string, string>>;
}

/** Gives the text of a translated module, and notes what is wrong with it. */
type Translate = (path: string, problems: string[]) => string;

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  newLine: ts.NewLineKind.LineFeed,
  strict: true,
};

/** What the compiler itself must know, or it writes a member `[Symbol.asyncDispose]` twice. */
const LIBRARIES = ["lib.es2022.d.ts", "lib.esnext.disposable.d.ts"];

/** A declaration that needs types which only Node's and the newest libraries bring; TypeScript 5.2 and later have them. */
const DISPOSES = /\bSymbol\.(?:asyncD|d)ispose\b|\b(?:Async)?Disposable\b/;
const REFERENCE = '/// <reference lib="esnext.disposable" />\n';

/** Name, version and path of an `npm:` specifier. */
const NPM = /^npm:((?:@[^/]+\/)?[^@/]+)@([^/]+)(\/.*)?$/;

/**
 * Translates modules and all that they import.
 *
 * @param entries Paths of modules, such as `./lookups/wire.ts`.
 * @param read Gives a module's text.
 * @returns What was made of them.
 * @throws {Error} when a module imports what a package cannot, or a declaration needs a type that is not written down.
 */
export async function emit(
  entries: readonly string[],
  read: (path: string) => Promise<string>,
): Promise<Emitted> {
  const roots = [...new Set(entries.map((entry) => normalize(entry)))];
  const sources = await readSources(roots, read);
  const emitted = { "js": new Map<string, string>(), "d.ts": new Map<string, string>() };
  const dependencies: Record<string, string> = {};
  const problems: string[] = [];
  const translators = { "js": toJavaScript(sources), "d.ts": toDeclarations(sources) };
  for (const ending of ["js", "d.ts"] as const) {
    const paths = [...roots];
    for (const path of paths) { // grows meanwhile: a file is there if another of its kind needs it
      let text = translators[ending](path, problems);
      for (const { fileName, pos } of ts.preProcessFile(text).importedFiles.reverse()) {
        const inPackage = specifierInPackage(fileName);
        if (inPackage === undefined) {
          problems.push(`${path}: "${fileName}" cannot be imported in a package for npm`);
          continue;
        }
        text = text.slice(0, pos + 1) + inPackage + text.slice(pos + 1 + fileName.length);
        const target = fileName.startsWith(".") ? join(dirname(path), fileName) : undefined;
        if (target !== undefined && !paths.includes(target)) paths.push(target);
        const [, name, range] = NPM.exec(fileName) ?? [];
        if (name !== undefined) dependencies[name] = range!;
      }
      emitted[ending].set(path.replace(/ts$/, ending), text);
    }
  }
  if (problems.length > 0) throw new Error(`Cannot build the package:\n${problems.join("\n")}`);
  return { modules: emitted.js, declarations: emitted["d.ts"], dependencies };
}

/** A specifier as it stands in the package; `undefined` where it has no place there. */
function specifierInPackage(specifier: string): string | undefined {
  if (/^\.\.?\/.*\.ts$/.test(specifier)) return specifier.replace(/ts$/, "js");
  if (specifier.startsWith("node:")) return specifier;
  const [, name, , path = ""] = NPM.exec(specifier) ?? [];
  return name && name + path;
}

/** The modules, and all that they import in any way, by path. */
async function readSources(
  roots: readonly string[],
  read: (path: string) => Promise<string>,
): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  const paths = [...roots];
  for (const path of paths) {
    const text = await read(path);
    sources.set(path, text);
    for (const { fileName } of ts.preProcessFile(text).importedFiles) {
      const target = join(dirname(path), fileName);
      const isModule = fileName.startsWith(".") && fileName.endsWith(".ts");
      if (isModule && !paths.includes(target)) paths.push(target);
    }
  }
  return sources;
}

function toJavaScript(sources: ReadonlyMap<string, string>): Translate {
  return (path, problems) => {
    const { outputText, diagnostics = [] } = ts.transpileModule(sources.get(path)!, {
      fileName: path,
      reportDiagnostics: true,
      // Editors show the comments of the declarations.
      compilerOptions: { ...OPTIONS, removeComments: true },
    });
    problems.push(...diagnostics.map(describe));
    return outputText;
  };
}

function toDeclarations(sources: ReadonlyMap<string, string>): Translate {
  const options: ts.CompilerOptions = {
    ...OPTIONS,
    declaration: true,
    emitDeclarationOnly: true,
    isolatedDeclarations: true,
    lib: LIBRARIES,
    noResolve: true,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (path, ...rest) => {
    const text = sources.get(path);
    return text === undefined
      ? getSourceFile(path, ...rest)
      : ts.createSourceFile(path, text, ts.ScriptTarget.ES2022);
  };
  host.getCurrentDirectory = () => "";
  const program = ts.createProgram([...sources.keys()], options, host);
  return (path, problems) => {
    const file = program.getSourceFile(path)!;
    problems.push(...program.getDeclarationDiagnostics(file).map(describe));
    let declaration = "";
    program.emit(file, (_, text) => declaration = text, undefined, true);
    return (DISPOSES.test(declaration) ? REFERENCE : "") + declaration;
  };
}

function describe({ messageText, file, start = 0 }: ts.Diagnostic): string {
  const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 1;
  return `${file?.fileName}:${line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
}
