/**
 * The package's type declarations: one file for each module, without the types of any runtime.
 *
 * TypeScript's compiler derives each declaration from its own file, so every exported type must be written there
 * (`isolatedDeclarations`; JSR requires nearly the same). Whether the types are right is checked by `deno check`.
 *
 * @module
 */

import { dirname, join, relative } from "node:path/posix";
import ts from "npm:typescript@6.0.3";

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  newLine: ts.NewLineKind.LineFeed,
  strict: true,
  noCheck: true,
  declaration: true,
  emitDeclarationOnly: true,
  isolatedDeclarations: true,
  // Without the symbols, a member `[Symbol.asyncDispose]` is written twice.
  lib: ["lib.es2022.d.ts", "lib.esnext.disposable.d.ts"],
  types: [],
};

/** A type that a user may lack: only Node's types and the newest libraries declare it. */
const DISPOSES = /\bSymbol\.(?:asyncD|d)ispose\b|\b(?:Async)?Disposable\b/;
/** Brings it; TypeScript 5.2 and later have the library. */
const REFERENCE = '/// <reference lib="esnext.disposable" />\n';

/** Adds the reference that the declarations of a module need. */
export function withReference(declarations: string): string {
  return (DISPOSES.test(declarations) ? REFERENCE : "") + declarations;
}

/**
 * Writes the declarations of modules, and of every module that these declarations import.
 *
 * @param root The directory of the sources.
 * @param entries Paths of modules, such as `./lookups/wire.ts`.
 * @returns Declarations by path, such as `lookups/wire.d.ts`.
 * @throws {Error} if a type is not written in its module, or is imported from outside the package.
 */
export function writeDeclarations(root: string, entries: readonly string[]): Map<string, string> {
  const files = entries.map((entry) => join(root, entry));
  const program = ts.createProgram(files, OPTIONS);
  const declarations = new Map<string, string>();
  const problems: string[] = [];
  for (const file of files) { // grows while it is read
    const source = program.getSourceFile(file)!;
    const path = relative(root, file);
    for (const { messageText, start = 0 } of program.getDeclarationDiagnostics(source)) {
      const line = source.getLineAndCharacterOfPosition(start).line + 1;
      problems.push(`${path}:${line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`);
    }
    let text = "";
    program.emit(source, (_, written) => text = written, undefined, true);
    for (const { fileName: specifier } of ts.preProcessFile(text).importedFiles) {
      const target = join(dirname(file), specifier);
      if (/^\.{1,2}\/.*\.ts$/.test(specifier)) {
        if (!files.includes(target)) files.push(target);
      } else if (!specifier.startsWith("node:")) {
        problems.push(`${path}: "${specifier}" cannot be imported in a package for npm`);
      }
    }
    const published = text.replace(/\b(from |import\()"(\.[^"]*)\.ts"/g, '$1"$2.js"');
    declarations.set(path.replace(/ts$/, "d.ts"), withReference(published));
  }
  if (problems.length > 0) throw new Error(`Cannot build the package:\n${problems.join("\n")}`);
  return declarations;
}
