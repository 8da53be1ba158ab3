import { assertEquals, assertThrows } from "@std/assert";
import { NO_CELLS, plain, putTables, renderTables, rowsIn } from "./table.ts";

Deno.test("docs/reliability.md says of each fault what the tests hold the code to", async () => {
  const text = await Deno.readTextFile(new URL("../../docs/reliability.md", import.meta.url));
  assertEquals(
    rowsIn(text),
    plain(renderTables(NO_CELLS)),
    "`deno task test:faults` writes the tables",
  );
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
  const condition = { subject: "pg", condition: "5 % loss", errors: 0, lagMs: 0, problems: [] };
  const tables = renderTables({
    cells: [
      { ...cell, longest: 1.04, recovery: 0 },
      { ...cell, dns: "slow", longest: 0.5, recovery: 2.26 },
    ],
    conditions: [
      { ...condition, dns: "fine", longest: 3.51, most: 6 },
      { ...condition, dns: "slow", longest: 3.6, most: 5 },
    ],
  });
  const figures = ["1.0 / 2.3", "1.0 / 0.0", "0.5 / 2.3", "3.6 / 6"];
  assertEquals(tables.match(/\d\.\d \/ \d(\.\d)?/g), figures);
  assertEquals(plain(tables), plain(renderTables(NO_CELLS)));
  const place = "before\n<!-- faults: written by `deno task test:faults` --> old <!-- /faults -->";
  const text = putTables(`${place}\nafter`, tables);
  assertEquals(rowsIn(text), plain(tables));
  assertEquals([text.startsWith("before\n"), text.endsWith("\nafter")], [true, true]);
  assertThrows(() => rowsIn("no place"), Error, "Cannot find the place of the tables");
});
