/**
 * Removes from declarations what no public type leads to: the types of internal modules, which no user can import.
 *
 * @module
 */

import { join } from "node:path/posix";
import ts from "npm:typescript@6.0.3";

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  noLib: true,
  types: [],
};

/** The comment about a module. Of modules that users cannot import, no editor shows it. */
const MODULE_COMMENT = /\/\*\*(?:(?!\*\/)[^])*@module\s*\*\/\n/;

/** The directory of the declarations in the compiler's eyes. */
const ROOT = "/package";

/** What is kept or left out: a statement, or one name of an import or export. */
type Unit = ts.Statement | ts.ImportSpecifier | ts.ExportSpecifier;

/**
 * Returns the declarations that users can reach: all of the entries, and of other modules those that are mentioned
 * there, and so on. A module of which nothing is left is left out.
 *
 * @param declarations Declarations by path, such as `lookups/wire.d.ts`.
 * @param entries Paths of the modules that users import, such as `./lookups/wire.ts`.
 */
export function publicTypes(
  declarations: ReadonlyMap<string, string>,
  entries: readonly string[],
): Map<string, string> {
  const program = compile(declarations);
  const isEntry = new Set(entries.map((entry) => join(entry.replace(/\.ts$/, ".d.ts"))));
  const reached = reach(program, isEntry);
  return new Map([...declarations].flatMap(([path, text]): [string, string][] => {
    const { statements } = program.getSourceFile(join(ROOT, path))!;
    const units = statements.flatMap(unitsOf);
    if (!units.some((unit) => reached.has(unit))) return [];
    if (isEntry.has(path)) return [[path, text]];
    const kept = statements.map((statement) => textOf(statement, reached)).join("");
    return [[path, kept.replace(MODULE_COMMENT, "").trimStart() + "\n"]];
  }));
}

function compile(declarations: ReadonlyMap<string, string>): ts.Program {
  const texts = new Map([...declarations].map(([path, text]) => [join(ROOT, path), text]));
  return ts.createProgram([...texts.keys()], OPTIONS, {
    getSourceFile(path) {
      const text = texts.get(path);
      if (text !== undefined) return ts.createSourceFile(path, text, OPTIONS.target!, true);
    },
    getDefaultLibFileName: () => "lib.d.ts",
    writeFile() {},
    getCurrentDirectory: () => ROOT,
    getCanonicalFileName: (path) => path,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => "\n",
    fileExists: (path) => texts.has(path),
    readFile: (path) => texts.get(path),
  });
}

/** Returns everything that the entries lead to. */
function reach(program: ts.Program, entries: Iterable<string>): Set<Unit> {
  const checker = program.getTypeChecker();
  const reached = new Set<Unit>();
  const add = (symbol: ts.Symbol | undefined) => {
    for (const declaration of symbol?.declarations ?? []) {
      if (!ts.isSourceFile(declaration)) reached.add(unitOf(declaration));
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) add(checker.getSymbolAtLocation(node));
    ts.forEachChild(node, visit);
  };
  for (const entry of entries) {
    for (const statement of program.getSourceFile(join(ROOT, entry))!.statements) {
      if (!ts.isImportDeclaration(statement)) {
        unitsOf(statement).forEach((unit) => reached.add(unit));
      }
    }
  }
  for (const unit of reached) { // grows while it is read
    const specifier = moduleOf(unit);
    if (specifier === undefined) visit(unit);
    const module = specifier && checker.getSymbolAtLocation(specifier); // none for Node's own
    if (module === undefined) continue;
    const name = isSpecifier(unit) ? (unit.propertyName ?? unit.name).text : undefined;
    checker.getExportsOfModule(module)
      .filter((symbol) => name === undefined || symbol.name === name)
      .forEach(add);
    // The names may come from a third module.
    const source = module.declarations?.find(ts.isSourceFile);
    for (const statement of source?.statements ?? []) {
      if (ts.isExportDeclaration(statement) && !statement.exportClause) reached.add(statement);
    }
  }
  return reached;
}

/** Returns the module that a part of an import or export names. */
function moduleOf(unit: Unit): ts.Expression | undefined {
  let node: ts.Node = unit;
  while (!ts.isSourceFile(node.parent)) node = node.parent;
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
}

const isSpecifier = (node: ts.Node): node is ts.ImportSpecifier | ts.ExportSpecifier =>
  ts.isImportSpecifier(node) || ts.isExportSpecifier(node);

/** Returns the unit that a declaration is in. */
function unitOf(node: ts.Node): Unit {
  while (!isSpecifier(node) && !ts.isSourceFile(node.parent)) node = node.parent;
  return node as Unit;
}

/** Returns the names of an import or export; the statement itself if it lists none. */
function unitsOf(statement: ts.Statement): readonly Unit[] {
  return namesOf(statement) ?? [statement];
}

function namesOf(
  statement: ts.Statement,
): ts.NodeArray<ts.ImportSpecifier> | ts.NodeArray<ts.ExportSpecifier> | undefined {
  const list = ts.isImportDeclaration(statement)
    ? statement.importClause?.namedBindings
    : ts.isExportDeclaration(statement)
    ? statement.exportClause
    : undefined;
  return list && (ts.isNamedImports(list) || ts.isNamedExports(list)) ? list.elements : undefined;
}

/** Returns the text of a statement with the names that were reached. */
function textOf(statement: ts.Statement, reached: ReadonlySet<Unit>): string {
  const names = namesOf(statement);
  if (names === undefined) return reached.has(statement) ? statement.getFullText() : "";
  const kept = names.filter((name: Unit) => reached.has(name));
  if (kept.length === 0) return "";
  const text = statement.getFullText();
  const start = statement.getFullStart();
  return `${text.slice(0, names.pos - start)} ${kept.map((name) => name.getText()).join(", ")} ${
    text.slice(names.end - start).trimStart()
  }`;
}
