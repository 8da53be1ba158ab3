import { assertEquals } from "@std/assert";
import { printable, span, table } from "../../cli/format.ts";

Deno.test("span() formats in one unit, and rounds up to the next one", () => {
  const spans = [0, 0.0004, 0.5, 0.99996, 1, 59.94, 59.96, 61.4, 3599.6];
  assertEquals(spans.map(span), [
    "0.0 ms",
    "0.4 ms",
    "500.0 ms",
    "1.0 s",
    "1.0 s",
    "59.9 s",
    "1 min 0 s",
    "1 min 1 s",
    "60 min 0 s",
  ]);
});

Deno.test("table() makes each column as wide as its widest cell, without trailing spaces", () => {
  const rows = [[{ text: "a" }, { text: "7", right: true }], [{ text: "bcd" }, {
    text: "42",
    right: true,
  }], [{ text: "e" }]];
  assertEquals(table(rows, (text) => text), ["a     7", "bcd  42", "e"]);
});

Deno.test("printable() replaces control characters", () => {
  assertEquals(printable(" two\n lines, \x1b[31mred\x07 "), "two lines, \u{fffd}[31mred\u{fffd}");
});
