import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { buildPackage } from "../../scripts/package/npm.ts";
import { emit } from "../../scripts/package/npm/emit.ts";
import { type Config, describePackage, packageJson } from "../../scripts/package/npm/package.ts";

/** Emits modules that stand in a table; the first is the entry. */
function emitThese(modules: Record<string, string>): ReturnType<typeof emit> {
  const [entry = ""] = Object.keys(modules);
  return emit([entry], (path) => Promise.resolve(modules[path]!));
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

    const paths = (await run("tar", "tzf", first)).trim().split("\n");
    const documents = ["CHANGELOG.md", "LICENSE", "README.md", "package.json"];
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
      const code = text.replace(/\/\*[^]*?\*\/|\/\/.*/g, "");
      const foreign = /\b(?:from |import\(|import )["'](?:npm:|jsr:|[^"']*\.ts["'])/.exec(code);
      assertEquals(foreign?.[0], undefined, path);
      assertEquals(/\busing \w+ =|__addDisposableResource/.exec(code)?.[0], undefined, path);
    }
    assertEquals(
      await builtinsOf(`${dir}/package/dist/mod.js`),
      ["node:dns/promises", "node:events", "node:process"],
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

Deno.test("the package's drivers are optional peers, and it has no dependency", () => {
  const json = describePackage(config, {});
  assertEquals(json.dependencies, {});
  const peers = json.peerDependencies as Record<string, string>;
  assert("pg" in peers);
  const optional = Object.fromEntries(Object.keys(peers).map((name) => [name, { optional: true }]));
  assertEquals(json.peerDependenciesMeta, optional);
  assertThrows(
    () => describePackage(config, { "pg": "^8" }),
    Error,
    'Cannot make "pg" a dependency',
  );
});

Deno.test("the package has a program where there is a command line", () => {
  const plain: Config = {
    name: "a",
    version: "1.0.0",
    license: "MIT",
    exports: { ".": "./mod.ts" },
  };
  assertEquals(packageJson(plain, {}).bin, undefined);
  const withCli = { ...plain, exports: { ...plain.exports, "./cli": "./cli.ts" } };
  assertEquals(packageJson(withCli, {}).bin, { dnspool: "./dist/cli.js" });
});

Deno.test("emit() writes what is reachable, as JavaScript and as declarations, each where it is needed", async () => {
  const { modules, declarations, dependencies } = await emitThese({
    "a/mod.ts": 'import b from "../b.ts";\nimport type { C } from "./c.ts";\n' +
      "/** Says so. */\nexport class A<T extends C> {\n  #t?: T;\n  b(): void {\n    b(this.#t);\n  }\n}\n",
    "b.ts": 'import x from "npm:@x/y@^1.2.3/z";\nexport default (t: unknown): void => x(t);\n',
    "a/c.ts": "export interface C { c: 1 }\n",
  });
  assertEquals([...modules.keys()], ["a/mod.js", "b.js"]);
  assertEquals([...declarations.keys()], ["a/mod.d.ts", "a/c.d.ts"]);
  assertEquals(dependencies, { "@x/y": "^1.2.3" });
  assertStringIncludes(modules.get("b.js")!, 'from "@x/y/z"');
  assertStringIncludes(modules.get("a/mod.js")!, 'from "../b.js"');
  assertStringIncludes(declarations.get("a/mod.d.ts")!, 'from "./c.js"');
  assertStringIncludes(declarations.get("a/mod.d.ts")!, "#private");
  assertStringIncludes(declarations.get("a/mod.d.ts")!, "/** Says so. */");
});

Deno.test("emit() refuses a declaration whose type is not written down, and says where", async () => {
  await assertRejects(
    () => emitThese({ "mod.ts": "\nexport const a = f();\nfunction f() { return 1 }\n" }),
    Error,
    "mod.ts:2: Variable must have an explicit type annotation",
  );
});

Deno.test("emit() refuses imports that have no place in a package", async () => {
  for (const specifier of ["jsr:@std/assert@1", "pg", "./data.json", "https://a.internal/b.ts"]) {
    await assertRejects(
      () => emitThese({ "mod.ts": `export { a } from "${specifier}";\n` }),
      Error,
      `mod.ts: "${specifier}" cannot be imported`,
    );
  }
});

Deno.test("emit() names the types that a consumer may lack", async () => {
  const { declarations } = await emitThese({
    "mod.ts": "export class A {\n  async [Symbol.asyncDispose](): Promise<void> {}\n}\n",
  });
  const [reference, ...rest] = declarations.get("mod.d.ts")!.split("\n");
  assertEquals(reference, '/// <reference lib="esnext.disposable" />');
  assertEquals(rest.join("\n").match(/asyncDispose/g)?.length, 1);
});
