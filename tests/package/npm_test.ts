import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { chooseStd } from "../../scripts/check/std_source.ts";
import { publishedFiles } from "../../scripts/package/jsr.ts";
import { buildPackage } from "../../scripts/package/npm.ts";
import { withReference, writeDeclarations } from "../../scripts/package/npm/declarations.ts";
import { engineOf } from "../../scripts/package/npm/engine.ts";
import { bundleModules } from "../../scripts/package/npm/modules.ts";
import {
  type Config,
  describePackage,
  entriesOf,
  packageJson,
} from "../../scripts/package/npm/package.ts";
import { publicTypes } from "../../scripts/package/npm/public_types.ts";
import { packAgain } from "../../scripts/package/npm/tarball.ts";

/** What npm downloads. */
const MAX_TARBALL_BYTES = 200_000;
/** Node prints the whole line that threw. */
const MAX_LINE_LENGTH = 2000;

/** Builds modules given as text by path, of which the first `entries` are imported from outside. */
async function build(
  modules: Record<string, string>,
  entries = 1,
): Promise<{ modules: Map<string, string>; declarations: Map<string, string> }> {
  const root = await Deno.makeTempDir({ prefix: "dnspool-test-" });
  try {
    for (const [path, text] of Object.entries(modules)) {
      await Deno.mkdir(dirname(`${root}/${path}`), { recursive: true });
      await Deno.writeTextFile(`${root}/${path}`, text);
    }
    const paths = Object.keys(modules).slice(0, entries).map((path) => `./${path}`);
    const declarations = writeDeclarations(root, paths);
    return { modules: await bundleModules(root, paths), declarations };
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(program, { args, stderr: "inherit" }).output();
  return new TextDecoder().decode(stdout);
}

async function sha256(file: string): Promise<string> {
  return createHash("sha256").update(await Deno.readFile(file)).digest("hex");
}

Deno.test("deno task npm: the package holds modules and declarations of every export, nothing else, and the same bytes each time", async () => {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-test-" });
  try {
    const first = await buildPackage(`${dir}/first`);
    const umask = Deno.umask(0o077);
    const second = await buildPackage(`${dir}/second`).finally(() => Deno.umask(umask));
    assertEquals(await sha256(first), await sha256(second));
    assert(first.endsWith(`/dnspool-dnspool-${config.version}.tgz`), first);
    const { size } = await Deno.stat(first);
    assert(size <= MAX_TARBALL_BYTES, `the tarball has ${size} bytes`);

    const paths = (await run("tar", "tzf", first)).trim().split("\n");
    const documents = ["LICENSE", "README.md", "package.json"];
    const modules = /^package\/dist\/(?:[a-z_0-9]+\/)*(?:[a-z_0-9]+\.(?:js|d\.ts)|chunk-\w+\.js)$/;
    const others = paths.filter((path) => !modules.test(path));
    assertEquals(others.toSorted(), documents.map((name) => `package/${name}`));
    await run("tar", "xzf", first, "-C", dir);
    for (const [name, { types, default: module }] of await exportsOf(`${dir}/package`)) {
      assert(paths.includes(`package/${types.slice(2)}`), `${name} has no types`);
      assert(paths.includes(`package/${module.slice(2)}`), `${name} has no module`);
    }
    for (const path of paths.filter((path) => modules.test(path))) {
      const text = await Deno.readTextFile(`${dir}/${path}`);
      assert(text.trim() !== "", `${path} is empty`);
      // deno-lint-ignore no-control-regex -- the first 128 characters
      if (path.endsWith(".js")) assertEquals(/[^\x00-\x7f]/.exec(text)?.[0], undefined, path);
      const long = text.split("\n").find((line) => line.length > MAX_LINE_LENGTH);
      assertEquals(long?.slice(0, 80), undefined, path);
      const code = text.replace(/\/\*[^]*?\*\/|\/\/.*/g, "");
      const foreign = /\b(?:from ?|import\(|import ?)["'`](?:npm:|jsr:|[^"'`]*\.ts["'`])/.exec(
        code,
      );
      assertEquals(foreign?.[0], undefined, path);
      assertEquals(/\busing \w+ =|__addDisposableResource/.exec(code)?.[0], undefined, path);
    }
    assertEquals(
      await builtinsOf(`${dir}/package/dist/mod.js`),
      ["node:async_hooks", "node:dns/promises", "node:events"],
      "what takes long to load, such as node:net and node:tls on Bun, is imported when it is needed",
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

/** The built-in modules that are loaded with a module. */
async function builtinsOf(module: string): Promise<string[]> {
  const modules = [module];
  const builtins = new Set<string>();
  for (const file of modules) {
    const text = await Deno.readTextFile(file);
    for (const [, specifier = ""] of text.matchAll(/^(?:import|\}|export)\b[^;(]*?"([^"]+)";$/gm)) {
      const path = join(dirname(file), specifier);
      if (!specifier.startsWith(".")) builtins.add(specifier);
      else if (!modules.includes(path)) modules.push(path);
    }
  }
  return [...builtins].sort();
}

async function exportsOf(dir: string): Promise<[string, { types: string; default: string }][]> {
  const json = JSON.parse(await Deno.readTextFile(`${dir}/package.json`));
  delete json.exports["./package.json"];
  assertEquals(Object.keys(json.exports), Object.keys(config.exports));
  return Object.entries(json.exports);
}

Deno.test("describePackage() makes the drivers optional peers, and has no dependency", () => {
  const json = describePackage(config);
  assertEquals(json.dependencies, {});
  const peers = json.peerDependencies as Record<string, string>;
  assert("pg" in peers);
  const optional = Object.fromEntries(Object.keys(peers).map((name) => [name, { optional: true }]));
  assertEquals(json.peerDependenciesMeta, optional);
});

Deno.test("packageJson() names a program if a command line is exported", () => {
  const plain: Config = {
    name: "a",
    version: "1.0.0",
    license: "MIT",
    exports: { ".": "./mod.ts" },
  };
  assertEquals(packageJson(plain).bin, undefined);
  const withCli = { ...plain, exports: { ...plain.exports, "./cli": "./cli.ts" } };
  assertEquals(packageJson(withCli).bin, { dnspool: "./dist/cli/program.js" });
});

Deno.test("no source of the npm package uses import.meta or new.target, for which dnt substitutes a ponyfill", async () => {
  for (const path of await publishedFiles()) {
    if (!path.endsWith(".ts") || path === "cli.ts") continue;
    const source = await Deno.readTextFile(new URL(`../../${path}`, import.meta.url));
    const code = source.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
    assertEquals(/\b(?:import\.meta|new\.target)\b/.exec(code)?.[0], undefined, path);
  }
  assertFalse(entriesOf(config).includes("./cli.ts"));
});

Deno.test("the program of the npm package runs where npm links to it, and where a runtime cannot tell the main module", async () => {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-test-" });
  try {
    await run("tar", "xzf", await buildPackage(dir), "-C", dir);
    await Deno.symlink(`${dir}/package/${packageJson(config).bin!.dnspool}`, `${dir}/dnspool`);
    assertStringIncludes(await run("node", `${dir}/dnspool`, "--help"), "dnspool resolve");
    const { mode } = await Deno.stat(`${dir}/dnspool`);
    assertEquals(mode! & 0o777, 0o755);
    assertEquals(await run("node", `${dir}/package/dist/cli/process.js`, "--help"), "");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("engineOf() chooses the engine that is named, and dnt only where JSR answers", async () => {
  assertEquals(await engineOf("dnt"), "dnt");
  assertEquals(await engineOf("files"), "files");
  const expected = await chooseStd() === "jsr" ? "dnt" : "files";
  assertEquals(await engineOf(undefined), expected);
  await assertRejects(() => engineOf("rolldown"), TypeError, '"--engine" must be "dnt" or "files"');
});

Deno.test("packAgain() keeps every file as it is, sorts by path, and refuses what is no file", async () => {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-test-" });
  try {
    const long = `package/${"folder/".repeat(16)}long.js`;
    const texts: Record<string, string> = {
      "package/b/z.d.ts": "",
      "package/c.js": "x".repeat(512),
      "package/b/a.js": "\u00e4",
      [long]: "y".repeat(513),
    };
    for (const [path, text] of Object.entries(texts)) {
      await Deno.mkdir(dirname(`${dir}/${path}`), { recursive: true });
      await Deno.writeTextFile(`${dir}/${path}`, text);
    }
    const tar = (...args: string[]) =>
      run("tar", ...["--format=ustar", "-czf", `${dir}/a.tgz`, "-C", dir], ...args);
    await tar(...Object.keys(texts));
    await Deno.writeFile(`${dir}/b.tgz`, await packAgain(await Deno.readFile(`${dir}/a.tgz`)));
    const paths = (await run("tar", "-tzf", `${dir}/b.tgz`)).trim().split("\n");
    assertEquals(paths, ["package/b/a.js", "package/c.js", long, "package/b/z.d.ts"]);
    for (const path of paths) {
      assertEquals(await run("tar", "-xzOf", `${dir}/b.tgz`, path), texts[path], path);
    }
    await tar("package/b");
    await assertRejects(
      async () => await packAgain(await Deno.readFile(`${dir}/a.tgz`)),
      Error,
      'Cannot pack "package/b/": it has the type "5"',
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("withReference() adds the library of a type to declarations of another compiler too", () => {
  const text = "export declare class A implements AsyncDisposable {}\n";
  assertEquals(withReference(text), `/// <reference lib="esnext.disposable" />\n${text}`);
  assertEquals(withReference("export {};\n"), "export {};\n");
});

Deno.test("bundleModules() puts all that the first entry loads into one chunk, and keeps every name", async () => {
  const { modules } = await build({
    "mod.ts":
      'export { A } from "./a.ts";\nexport const later = (): Promise<unknown> => import("./later.ts");\n',
    "b/other.ts": 'import { shared } from "../a.ts";\nexport { f } from "../f.ts";\nshared();\n',
    "a.ts": 'import x from "node:process";\n// A comment.\n' +
      "export class A { static make(): A { return new A(); } }\n" +
      "export function shared(): void { x.exit(); }\n",
    "f.ts": "export const f: () => void = function f() {};\n",
    "later.ts": "export const later: number = 1;\n",
    "unused.ts": "export {};\n",
  }, 2);
  assertEquals([...modules.keys()].toSorted(), [
    "b/other.js",
    "chunk-core.js",
    "chunk-later.js",
    "mod.js",
  ]);
  assertStringIncludes(modules.get("mod.js")!, 'from"./chunk-core.js"');
  assertStringIncludes(modules.get("b/other.js")!, "function f()");
  const core = modules.get("chunk-core.js")!;
  assertStringIncludes(core, 'from"node:process"');
  assertStringIncludes(core, "class A{");
  assertFalse(core.includes("A comment"));
});

Deno.test("bundleModules() keeps what a stack trace shows: the names, and a line for each statement", async () => {
  const { modules } = await build({
    "mod.ts": "export class Reader {\n  #at = 0;\n  readAll(lines: string[]): string {\n" +
      "    const parse = (line: string) => { this.#at++; throw new Error(line); };\n" +
      "    return `${lines.map((line) => { return parse(line); })}\n` + '{;}';\n  }\n}\n" +
      "export function readerOf(lines: string[]): string {\n  return new Reader().readAll(lines);\n}\n",
  });
  const code = modules.get("mod.js") ?? modules.get("chunk-core.js")!;
  const url = `data:text/javascript,${encodeURIComponent(code)}`;
  const { readerOf } = await import(url);
  assertEquals(readerOf([]), "\n{;}");
  const { stack } = assertThrows(() => readerOf(["a"]), Error, "a");
  const frames = stack!.replaceAll(url, "mod.js").split("\n").slice(1, 6).map((frame) =>
    frame.trim()
  );
  const [parse = "", , , readAll = "", readerFrame = ""] = frames;
  assertMatch(parse, /^at parse /);
  assertMatch(readAll, /^at Reader\.readAll /);
  assertMatch(readerFrame, /^at readerOf /);
  const lines = [parse, readAll, readerFrame].map((frame) => /:(\d+):\d+\)?$/.exec(frame)![1]);
  assertEquals(new Set(lines).size, 3, stack);
  assertFalse(code.includes("  "), code);
  assert(code.includes("const parse="), "what is constant stays so: compilers know its value");
});

Deno.test("bundleModules() escapes what is not ASCII, and the code means the same", async () => {
  const { modules } = await build({
    "mod.ts": "export const all: unknown[] =\n" +
      "  ['…', `“${1}😀`, /^[«😀]$/u.test('😀'), { 'ä': 1 }, 'C:\\\\x'];\n",
  });
  const code = modules.get("mod.js") ?? modules.get("chunk-core.js")!;
  // deno-lint-ignore no-control-regex -- the first 128 characters
  assertFalse(/[^\x00-\x7f]/.test(code), code);
  const { all } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  assertEquals(all, ["…", "“1😀", true, { "ä": 1 }, "C:\\x"]);
});

Deno.test("bundleModules() refuses imports that have no place in a package", async () => {
  for (const specifier of ["jsr:@std/assert@1", "pg", "npm:pg@^8", "https://a.internal/b.ts"]) {
    await assertRejects(
      () => build({ "mod.ts": `export { a } from "${specifier}";\n` }),
      Error,
      `mod.ts: "${specifier}" cannot be imported`,
    );
  }
});

Deno.test("writeDeclarations() follows the types, and takes the file endings of the package", async () => {
  const { declarations } = await build({
    "a/mod.ts": 'import { b } from "../b.ts";\nimport type { C } from "./c.ts";\n' +
      "/** Says so. */\nexport class A<T extends C> {\n  #t?: T;\n  b(): void {\n    b(this.#t);\n  }\n}\n",
    "b.ts": "export const b = (_: unknown) => 1;\n", // no declaration needs it, so it need not say its type
    "a/c.ts": "export interface C { c: 1 }\n",
  });
  assertEquals([...declarations.keys()], ["a/mod.d.ts", "a/c.d.ts"]);
  const text = declarations.get("a/mod.d.ts")!;
  assertStringIncludes(text, 'from "./c.js"');
  assertStringIncludes(text, "#private");
  assertStringIncludes(text, "/** Says so. */");
});

Deno.test("publicTypes() leaves what the types of the entries lead to, and nothing of other modules", async () => {
  const { declarations } = await build({
    "mod.ts": "/**\n * The door.\n *\n * @module\n */\n" +
      'import { type B, b } from "./b.ts";\nexport { type D as E } from "./c.ts";\n' +
      'export * from "./all.ts";\nexport type A = { b: B };\nb();\n',
    "b.ts": '/**\n * Internals.\n *\n * @module\n */\nimport type { C, Unused } from "./c.ts";\n' +
      "/** Says so. */\nexport interface B extends C {}\n" +
      "/** Is internal. */\nexport interface Hidden { unused: Unused; }\n" +
      "export function b(): void {}\n",
    "c.ts":
      'export { type C, type D } from "./d.ts";\nexport type { Unused } from "./unused.ts";\n',
    "d.ts": "export interface C { c: Own }\ntype Own = 1;\nexport type D = 2;\n",
    "unused.ts": "export interface Unused {}\n",
    "all.ts": 'export * from "./more.ts";\n',
    "more.ts": 'import type { Socket, Server } from "node:net";\n' +
      "export const more = (socket: Socket): void => void socket;\n" +
      "export const most: (server: Server) => void = () => {};\n",
  });
  const types = publicTypes(declarations, ["./mod.ts"]);
  assertEquals([...types.keys()].toSorted(), [
    "all.d.ts",
    "b.d.ts",
    "c.d.ts",
    "d.d.ts",
    "mod.d.ts",
    "more.d.ts",
  ]);
  assertEquals(types.get("mod.d.ts"), declarations.get("mod.d.ts"));
  assertEquals(
    types.get("b.d.ts"),
    'import type { C } from "./c.js";\n/** Says so. */\nexport interface B extends C {\n}\n',
  );
  assertEquals(types.get("c.d.ts"), 'export { type C, type D } from "./d.js";\n');
  assertStringIncludes(types.get("d.d.ts")!, "type Own = 1;");
  assertEquals(types.get("more.d.ts"), declarations.get("more.d.ts"));
});

Deno.test("writeDeclarations() refuses a type that is not written down, and names the line", async () => {
  await assertRejects(
    () => build({ "mod.ts": "\nexport const a = f();\nfunction f() { return 1 }\n" }),
    Error,
    "mod.ts:2: Variable must have an explicit type annotation",
  );
});

Deno.test("writeDeclarations() refuses types from outside the package", async () => {
  await assertRejects(
    () => build({ "mod.ts": 'import type { A } from "npm:pg";\nexport const a: A = 1;\n' }),
    Error,
    'mod.ts: "npm:pg" cannot be imported',
  );
});

Deno.test("writeDeclarations() references the library of a type that a user may lack", async () => {
  const { declarations } = await build({
    "mod.ts": "export class A {\n  async [Symbol.asyncDispose](): Promise<void> {}\n}\n",
  });
  const [reference, ...rest] = declarations.get("mod.d.ts")!.split("\n");
  assertEquals(reference, '/// <reference lib="esnext.disposable" />');
  assertEquals(rest.join("\n").match(/asyncDispose/g)?.length, 1);
});
