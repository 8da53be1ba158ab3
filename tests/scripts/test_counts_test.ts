import { assertEquals } from "@std/assert";
import { BROKEN, countsIn, lineOf, NO_TESTS, sumOf } from "../../scripts/test/counts.ts";

const count = (tests: number, steps = 0) => ({ tests, steps });

Deno.test("countsIn() reads the last line of deno test, with or without steps and ignored tests", () => {
  const output = "ok | 1 passed | 0 failed (1ms)\nrunning 2 tests\n\n" +
    "FAILED | 12 passed (3 steps) | 2 failed (1 step) | 1 ignored (2 steps) | 4 filtered out (1m2s)\n";
  assertEquals(countsIn(output), {
    passed: count(12, 3),
    failed: count(2, 1),
    ignored: count(1, 2),
  });
  assertEquals(countsIn("ok | 2007 passed (77 steps) | 0 failed (225s)"), {
    ...NO_TESTS,
    passed: count(2007, 77),
  });
  assertEquals(countsIn("error: Type checking failed."), undefined);
});

Deno.test("sumOf() and lineOf() write the counts of several runs as deno test does", () => {
  const one = { passed: count(2, 1), failed: count(0), ignored: count(0) };
  assertEquals(lineOf(sumOf([one, one]), 3.4), "ok | 4 passed (2 steps) | 0 failed (3s)");
  assertEquals(lineOf(sumOf([one, BROKEN]), 0), "FAILED | 2 passed (1 step) | 1 failed (0s)");
  const other = { passed: count(1), failed: count(3), ignored: count(2, 1) };
  const line = lineOf(sumOf([one, other]), 61);
  assertEquals(line, "FAILED | 3 passed (1 step) | 3 failed | 2 ignored (1 step) (61s)");
  assertEquals(countsIn(line), sumOf([one, other]));
  assertEquals(lineOf(NO_TESTS, 0), "ok | 0 passed | 0 failed (0s)");
});
