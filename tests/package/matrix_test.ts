import { assertEquals, assertStringIncludes } from "@std/assert";
import { matrix } from "../../scripts/test/matrix.ts";
import type { Outcome } from "../../scripts/test/runtimes/outcome.ts";

function outcome(runtime: string, subject: string, counts: Partial<Outcome> = {}): Outcome {
  return { runtime, version: "1.2.3", subject, passed: 1, failed: 0, skipped: 0, ...counts };
}

/** The cells of the row that begins with a label. */
function row(markdown: string, label: string): string[] {
  const line = markdown.split("\n").find((line) => line.startsWith(`| ${label} |`)) ?? "";
  return line.split("|").slice(2, -1).map((cell) => cell.trim());
}

Deno.test("matrix() says yes for what passed, and not for what failed, was skipped or did not run", () => {
  const own = ["resolver", "pool", "engine"];
  const markdown = matrix([
    ...own.map((subject) => outcome("deno", subject)),
    ...own.map((subject) => outcome("node@20", subject)),
    outcome("node@20", "pool", { passed: 30, failed: 1 }),
    ...own.slice(1).map((subject) => outcome("node@22", subject)),
    outcome("bun@1", "lookups"),
    outcome("deno", "every export, npm:"),
    outcome("node@24", "every export, import"),
    outcome("node@24", "every export, require()"),
    outcome("node@24", "failover of MariaDB with mysql2, import"),
    outcome("node@24", "failover of MariaDB with mysql2, require()", { passed: 0, failed: 1 }),
    outcome("bun@1", "failover of MariaDB with mysql2, import", { passed: 0, skipped: 1 }),
    outcome("node@22", "failover of MariaDB with mysql2 3.0.0, import"),
  ]);
  const no = "–";
  assertEquals(row(markdown, "tests of resolver, pool and engine"), ["yes", no, no, no, no]);
  assertEquals(row(markdown, "the lookups' contract"), [no, no, no, no, "yes"]);
  assertEquals(row(markdown, "`import` of each export"), ["yes", no, no, "yes", no]);
  assertEquals(row(markdown, "`require()` of each export"), [no, no, no, "yes", no]);
  assertEquals(row(markdown, "a failover of MariaDB with `mysql2`"), [no, no, no, "yes", no]);
});

Deno.test("matrix() names the versions of TypeScript if all of them read the types", () => {
  const types = (version: string, counts = {}) => ({
    ...outcome("typescript", "types, nodenext", counts),
    version,
  });
  const good = [types("~5.4.5"), types("latest")];
  assertStringIncludes(matrix(good), "TypeScript 5.4 and the latest read");
  const bad = [...good, types("~5.9.3", { passed: 0, failed: 1 })];
  assertStringIncludes(matrix(bad), "No version of TypeScript");
});
