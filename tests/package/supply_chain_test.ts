/**
 * The published files, their dependencies, and the rights to publish them.
 */

import { assert, assertEquals, assertFalse, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { publishedFiles } from "../../scripts/package/jsr.ts";

const ROOT = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, ROOT));

/** Returns the specifiers that a source imports, literally; comments are left out. */
function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const statements = code.matchAll(/^(?:import |(?:import|export|\})[^\n"]* from )"([^"\n]+)";$/gm);
  const calls = code.matchAll(/\bimport\(\s*"([^"]+)"/g);
  return [...statements, ...calls].map(([, specifier]) => specifier!);
}

Deno.test("deno.json publishes sources and documents: no test, no script, no benchmark, no hidden file", async () => {
  const files = await publishedFiles();
  const odd = files.filter((file) =>
    !/^(?:(?:adapters|cli|drop_in|engine|internal|lookups|pool|resolver|testing)\/)?(?:[a-z0-9][a-z0-9_]*\/)*[a-z0-9][a-z0-9_]*\.ts$/
      .test(file)
  );
  assertEquals(odd, ["CHANGELOG.md", "LICENSE", "README.md", "deno.json"]);
  assertEquals(files.filter((file) => /_test\.ts$/.test(file)), []);
});

Deno.test("everything that a published source imports is published, and every export is", async () => {
  const files = new Set(await publishedFiles());
  for (const entry of Object.values(config.exports)) assert(files.has(entry.slice(2)), entry);
  for (const file of [...files].filter((file) => file.endsWith(".ts"))) {
    for (const specifier of importsOf(await read(file))) {
      if (!specifier.startsWith(".")) continue;
      const path = new URL(specifier, new URL(file, ROOT)).href.slice(ROOT.href.length);
      assert(files.has(path), `${file} imports ${path}, which is not published`);
    }
  }
});

Deno.test("a published source imports no package, as SECURITY.md says", async () => {
  for (const file of await publishedFiles()) {
    if (!file.endsWith(".ts")) continue;
    for (const specifier of importsOf(await read(file))) {
      assert(/^(\.|node:)/.test(specifier), `${file} imports ${specifier}`);
    }
  }
  const text = (await read("SECURITY.md")).replace(/\s+/g, " ");
  assertStringIncludes(text, "## What it depends on On no other package, at run time");
});

Deno.test("an import of a module opens neither standard input nor standard output: the command line alone imports node:process", async () => {
  const importing: string[] = [];
  for (const file of await publishedFiles()) {
    if (!file.endsWith(".ts") || /^cli[./]/.test(file)) continue;
    const code = (await read(file)).replace(/^import type .*$/gm, "");
    if (importsOf(code).includes("node:process")) importing.push(file);
  }
  assertEquals(importing, []);
});

Deno.test("a workflow has no rights but those it names, and runs actions by their commits", async () => {
  for await (const { name } of Deno.readDir(new URL(".github/workflows/", ROOT))) {
    const text = await read(`.github/workflows/${name}`);
    assert(/^permissions:/m.test(text), `${name} names no permissions`);
    assertFalse(/write-all|secrets\.|pull_request_target/.test(text), name);
    for (const [, what] of text.matchAll(/uses: (\S+)/g)) {
      assert(/@[0-9a-f]{40}$/.test(what!), `${name} uses ${what}`);
    }
    // Only a job that publishes may prove its identity, and no job may write to the repository.
    const writes = [...text.matchAll(/^ +([a-z-]+): write/gm)].map(([, what]) => what);
    assertEquals(writes, name === "publish.yml" ? ["id-token", "id-token"] : [], name);
  }
});

Deno.test("importsOf() finds imports of every form, and none in comments and texts", () => {
  const source = `
/** import { a } from "in-a-comment"; */
import { a } from "./a.ts";
import type { B } from "./b.ts";
import {
  c,
} from "npm:c@1";
import "./d.ts";
export * from "./e.ts";
export { f } from "./f.ts";
export type Echo = boolean | "debug";
const g = await import("./g.ts");
const text = 'import { h } from "in-a-text"';
`;
  const expected = ["./a.ts", "./b.ts", "npm:c@1", "./d.ts", "./e.ts", "./f.ts", "./g.ts"];
  assertEquals(importsOf(source), expected);
});
