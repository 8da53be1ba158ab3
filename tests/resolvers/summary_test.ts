import { assert, assertEquals, assertThrows } from "@std/assert";
import results from "./results.json" with { type: "json" };
import type { Cell } from "./measure.ts";
import { SETUPS } from "./setups.ts";
import {
  isPrompt,
  plain,
  putTables,
  recovers,
  renderTables,
  summarize,
  type Summary,
  tablesIn,
} from "./summary.ts";

const summary: Summary = results;

Deno.test("docs/production.md has the figures of the last full test:resolvers", async () => {
  const text = await Deno.readTextFile(new URL("../../docs/production.md", import.meta.url));
  assertEquals(tablesIn(text), plain(renderTables(summary)));
});

Deno.test("the full run had every resolver, three runtimes, and ten moves where none takes a minute", () => {
  assertEquals(Object.keys(summary.setups), SETUPS.map(({ id }) => id));
  assertEquals(summary.runtimes.length, 3);
  for (const [id, { follows }] of Object.entries(summary.setups)) {
    for (const [key, { worst, count }] of Object.entries(follows)) {
      const least = worst !== null && worst < 20 ? 15 : 9;
      assert(count >= least, `${id}, ${key}: ${count} moves`);
    }
  }
});

Deno.test("every resolver that is slower than TTL + 0.3 s has a reason, and the setting that mends it", () => {
  const slow = SETUPS.filter(({ id }) => !isPrompt(summary.setups[id]!));
  assertEquals(slow.filter(({ why }) => !/`[^`]+`/.test(why ?? "")).map(({ id }) => id), []);
});

Deno.test("every resolver that is slow after an outage has a reason, and the setting that mends it", () => {
  const slow = SETUPS.filter(({ id }) => !recovers(summary.setups[id]!));
  assertEquals(
    slow.filter(({ whyAfter }) => !/`[^`]+`/.test(whyAfter ?? "")).map(({ id }) => id),
    [],
  );
});

Deno.test("figures go into the tables: those of all runtimes together", () => {
  const cell: Cell = {
    ...{ setup: "bind", runtime: "deno", lookup: "wire", ttl: 1, failures: {}, wait: 0 },
    ...{ moves: [0.2, 0.9, 7], late: [0, 0.1, 0.2], questions: 1, outages: { killed: null } },
  };
  const other = { ...cell, runtime: "bun@1", moves: [1.26], late: [0], outages: { killed: 3 } };
  const made = summarize({
    versions: { authority: "BIND 9", bind: "BIND 9", deno: "2.9", "bun@1": "1.4" },
    cells: [cell, other],
    sizes: [
      { setup: "bind", runtime: "deno", lookup: "wire", size: 100, result: 100 },
      { setup: "bind", runtime: "deno", lookup: "wire", size: 101, result: "RESOLVE_FAILED" },
    ],
  });
  assertEquals(made.setups.bind, {
    version: "BIND 9",
    follows: { "wire 1": { median: 0.9, most: 7, worst: 7, count: 4 } },
    questions: { "wire 1": 1 },
    outages: { killed: { median: 3, most: null, worst: null, count: 2 } },
    sizes: { 100: "100", 101: "RESOLVE_FAILED" },
  });
  assertEquals(made.late, 0.2);
  assertEquals(isPrompt(made.setups.bind!), false);
  const tables = plain(renderTables(made));
  for (
    const row of [
      "Measured with BIND 9 as the authority, on deno 2.9 and bun 1.4. The machine was busy: its timers were late by up to 0.2 s in nine of ten moves.",
      "| BIND 9 | 0.9 / 7.0 | 1.0 | |",
      "| BIND 9 | 3.0 / over 75 | all | `RESOLVE_FAILED` | |",
    ]
  ) {
    assert(tables.includes(row), `${row}\n${tables}`);
  }
  const place =
    "a\n<!-- resolvers: written by `deno task test:resolvers --full` --><!-- /resolvers -->b";
  assertEquals(tablesIn(putTables(place, tables)), tables);
  assertThrows(() => tablesIn("no place"), Error, "Cannot find the place of the tables");
});
