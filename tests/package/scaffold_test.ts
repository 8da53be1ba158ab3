import { assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { systemSpecifiers } from "../../scripts/check/lock.ts";
import stdMap from "../std/import_map.json" with { type: "json" };

const imports: Record<string, string> = config.imports;
const exports: Record<string, string> = config.exports;

Deno.test("the import map of the stand-in has the entries of deno.json", () => {
  const expected = Object.entries(imports)
    .filter(([name]) => !name.startsWith("@std/"))
    .map(([name, target]) => [name, target.replace(/^\.\//, "../../")]);
  const found = Object.entries(stdMap.imports).filter(([name]) => !/^(@std\/|jsr:)/.test(name));
  assertEquals(Object.fromEntries(found), Object.fromEntries(expected));
});

Deno.test("the import map of the stand-in has a module for each @std package of deno.json", async () => {
  const packages = Object.keys(imports).filter((name) => name.startsWith("@std/"));
  const standIns = Object.entries(stdMap.imports).filter(([name]) => name.startsWith("@std/"));
  assertEquals(standIns.map(([name]) => name), packages);
  for (const [, file] of standIns) await Deno.stat(new URL(`../std/${file}`, import.meta.url));
});

Deno.test("the import map of the stand-in replaces the import of the example of @db/postgres", async () => {
  const example = await Deno.readTextFile(
    new URL("../../examples/db_postgres.ts", import.meta.url),
  );
  const imported = [...example.matchAll(/ from "(jsr:[^"]+)";/g)].map(([, name]) => name);
  const mapped = Object.entries(stdMap.imports).filter(([name]) => name.startsWith("jsr:"));
  assertEquals(mapped, imported.map((name) => [name!, "../support/db_postgres_stand_in.ts"]));
  assertEquals(imported.length, 1);
});

Deno.test("every export of deno.json can be imported by its name in tests and examples", () => {
  const expected = Object.entries(exports).map((
    [path, file],
  ) => [config.name + path.slice(1), file]);
  const found = Object.entries(imports).filter(([name]) => name.startsWith(config.name));
  assertEquals(Object.fromEntries(found), Object.fromEntries(expected));
});

Deno.test("deno.lock names no package that is made for one system, for Deno would download it on the others", async () => {
  const lock = JSON.parse(await Deno.readTextFile(new URL("../../deno.lock", import.meta.url)));
  assertEquals(systemSpecifiers(lock), [], "`deno task lock` takes them out");
});

Deno.test("systemSpecifiers() finds packages that are made for one system, whatever their names look like", () => {
  const lock = {
    specifiers: {
      "npm:@a/b@1": "1.2.0",
      "npm:@a/c": "2.0.0",
      "npm:d@^3": "3.1.0",
      "npm:e@4": "4.0.0",
    },
    npm: {
      "@a/b@1.2.0": { os: ["linux"] },
      "@a/c@2.0.0": { os: [] },
      "d@3.1.0": { os: [] },
      "e@4.0.0": {},
    },
  };
  assertEquals(systemSpecifiers(lock), ["npm:@a/b@1", "npm:@a/c", "npm:d@^3"]);
});
