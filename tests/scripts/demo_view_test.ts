import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Counts, noCounts, SLICE_MS } from "../../scripts/demo/measure.ts";
import {
  cellMs,
  frame,
  type LaneScene,
  plainLine,
  recordChange,
  type Scene,
} from "../../scripts/demo/view.ts";

const SERVERS = { old: "127.0.0.2", new: "127.0.0.3" };

/** A lane in which each stretch of time has one answer of a kind in every slice. */
function lane(name: string, stretches: [untilMs: number, ...kinds: (keyof Counts)[]][]): LaneScene {
  const slices: Counts[] = [];
  const total = noCounts();
  for (const [untilMs, ...kinds] of stretches) {
    while (slices.length * SLICE_MS < untilMs) {
      const slice = noCounts();
      for (const kind of kinds) {
        slice[kind]++;
        total[kind]++;
      }
      slices.push(slice);
    }
  }
  return { name, slices, total };
}

function scene(elapsedMs: number, movedAtMs: number | undefined, ...lanes: LaneScene[]): Scene {
  return {
    title: "Two servers, one name",
    host: "db.internal",
    servers: SERVERS,
    ttlMs: 1000,
    elapsedMs,
    totalMs: 8000,
    movedAtMs,
    lanes,
  };
}

const MOVING = scene(
  6000,
  3000,
  lane("dnspool", [[3400, "old"], [3500, "old", "new"], [6000, "new"]]),
  lane("pg.Pool", [[4250, "old"], [5000, "misrouted"], [5500], [6000, "failed"]]),
);

Deno.test("frame() shows which server answered at each time, on two rows for each lane", () => {
  assertEquals(frame(MOVING, { columns: 120, color: false }), [
    "Two servers, one name",
    "",
    "  db.internal  A  127.0.0.3   TTL 1 s   moved 3.0 s ago",
    "",
    `${" ".repeat(40)}▼ moved     ┆ TTL + 250 ms`,
    ` dnspool  ${"░".repeat(35)}${"█".repeat(25)}`,
    `          ${"░".repeat(34)}${"█".repeat(26)}`,
    "          127.0.0.2 140   127.0.0.3 104   misrouted 0   failed 0",
    "",
    ` pg.Pool  ${"░".repeat(43)}${"▚".repeat(7)}·····×××××`,
    `          ${"░".repeat(42)}${"▚".repeat(8)}·····×××××`,
    "          127.0.0.2 200   127.0.0.3 0   misrouted 30   failed 20",
    "",
    "          0         1         2         3         4         5         6         7         8 s",
    "",
    "  ░ old 127.0.0.2   █ new 127.0.0.3   ▚ misrouted: old, too late   × failed",
  ]);
});

Deno.test("frame() shows the record's old value, and no mark, before the move", () => {
  const lines = frame(scene(1000, undefined, lane("dnspool", [[1000, "old"]])), {
    columns: 80,
    color: false,
  });
  assertEquals(lines[2], "  db.internal  A  127.0.0.2   TTL 1 s");
  assertEquals(lines[4]?.trim(), "");
});

Deno.test("frame() says AAAA if the record holds an IPv6 address", () => {
  const lines = frame({ ...MOVING, servers: { old: "127.0.0.1", new: "::1" } }, {
    columns: 80,
    color: false,
  });
  assertStringIncludes(lines[2]!, "db.internal  AAAA  ::1");
});

Deno.test("frame() fits every width, with and without color, and color changes nothing else", () => {
  for (const columns of [20, 40, 60, 79, 80, 100, 120, 200]) {
    const plain = frame(MOVING, { columns, color: false });
    const colored = frame(MOVING, { columns, color: true });
    for (const line of plain) assert(line.length <= columns, `${columns}: ${line.length}: ${line}`);
    // deno-lint-ignore no-control-regex
    assertEquals(colored.map((line) => line.replaceAll(/\x1b\[[\d;]*m/g, "")), plain);
    assertMatch(colored.join("\n"), /\[32m█/);
  }
});

Deno.test("frame() gives each result a color, and ends every color", () => {
  const text = frame(MOVING, { columns: 120, color: true }).join("\n");
  for (const start of ["\x1b[33m░", "\x1b[32m█", "\x1b[31m▚", "\x1b[1;35m×"]) {
    assertStringIncludes(text, start);
  }
  assertEquals(text.split("\x1b[0m").length * 2 - 1, text.split("\x1b[").length);
});

Deno.test("cellMs() returns the shortest cell with which the whole run fits", () => {
  assertEquals(cellMs(8000, 200), 100);
  assertEquals(cellMs(8000, 100), 100);
  assertEquals(cellMs(8000, 80), 125);
  assertEquals(cellMs(8000, 40), 500);
  for (const columns of [1, 12, 20, 33]) assertEquals(cellMs(8000, columns) % SLICE_MS, 0);
});

Deno.test("plainLine() describes one period for each lane", () => {
  assertEquals(
    plainLine(MOVING, 3000, 3500),
    " 3.5 s  dnspool: 20 from 127.0.0.2, 4 from 127.0.0.3   pg.Pool: 20 from 127.0.0.2",
  );
  assertEquals(
    plainLine(MOVING, 4500, 5500),
    " 5.5 s  dnspool: 40 from 127.0.0.3   pg.Pool: 20 from 127.0.0.2 (misrouted)",
  );
  assertStringIncludes(plainLine(MOVING, 5000, 5500), "pg.Pool: no answer");
  assertStringIncludes(plainLine(MOVING, 5500, 6000), "pg.Pool: 20 failed");
});

Deno.test("recordChange() describes the record", () => {
  assertEquals(
    recordChange({ ...MOVING, movedAtMs: undefined }),
    " 0.0 s  The record: db.internal A 127.0.0.2, TTL 1 s",
  );
  assertEquals(recordChange(MOVING), " 3.0 s  The record moves: db.internal A 127.0.0.3, TTL 1 s");
});
