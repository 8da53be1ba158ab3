import { assertEquals, assertThrows } from "@std/assert";
import { plain, putTables, renderTables, rowsIn } from "./table.ts";

Deno.test("docs/reliability.md says of each fault what the tests hold the code to", async () => {
  const text = await Deno.readTextFile(new URL("../../docs/reliability.md", import.meta.url));
  assertEquals(rowsIn(text), plain(renderTables([])), "`deno task test:faults` writes the tables");
});

Deno.test("figures go into the tables, and make no other rows", () => {
  const cell = {
    database: "PostgreSQL",
    server: "fine",
    dns: "silent",
    seen: {},
    results: 1,
    lagMs: 0,
    problems: [],
  };
  const tables = renderTables([
    { ...cell, longest: 1.04, recovery: 0 },
    { ...cell, dns: "slow", longest: 0.5, recovery: 2.26 },
  ]);
  assertEquals(tables.match(/\d\.\d \/ \d\.\d/g), ["1.0 / 2.3", "1.0 / 0.0", "0.5 / 2.3"]);
  assertEquals(plain(tables), plain(renderTables([])));
  const place = "before\n<!-- faults: written by `deno task test:faults` --> old <!-- /faults -->";
  const text = putTables(`${place}\nafter`, tables);
  assertEquals(rowsIn(text), plain(tables));
  assertEquals([text.startsWith("before\n"), text.endsWith("\nafter")], [true, true]);
  assertThrows(() => rowsIn("no place"), Error, "Cannot find the place of the tables");
});
