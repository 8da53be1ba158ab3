import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Lane, type LaneResult } from "../../scripts/demo/measure.ts";
import { describe, type Result, toJson, violations } from "../../scripts/demo/summary.ts";

const SERVERS = { old: "127.0.0.2", new: "127.0.0.3" };

/** A lane whose record moves at 3 s, TTL 1 s, with one answer at each of these moments. */
function lane(old: number[], fresh: number[]): Lane {
  const lane = new Lane("dnspool", SERVERS, 1000);
  let id = 0;
  const all = [
    ...old.map((atMs) => ({ atMs, server: SERVERS.old })),
    ...fresh.map((atMs) => ({ atMs, server: SERVERS.new })),
  ].sort((a, b) => a.atMs - b.atMs);
  for (const { atMs, server } of all) {
    if (atMs >= 3000) lane.moved(3000);
    lane.answered(atMs, server, id++);
  }
  return lane;
}

Deno.test("Lane counts an answer of the old server as misrouted only later than TTL + 250 ms after the move", () => {
  for (
    const [atMs, misrouted] of [[2999, 0], [3001, 0], [4250, 0], [4250.1, 1], [7000, 1]] as const
  ) {
    assertEquals(lane([100, atMs], []).result(8000).misrouted, misrouted, `at ${atMs}`);
  }
});

Deno.test("Lane measures the times to the first answer of the new server, and until only that server answered", () => {
  const moments = (old: number[], fresh: number[]) => {
    const { flipToFirstMs, flipToAllMs } = lane(old, fresh).result(8000);
    return [flipToFirstMs, flipToAllMs];
  };
  assertEquals(moments([2990], [3400, 7999]), [400, 400]);
  assertEquals(moments([2990, 3600.4], [3400, 7999]), [400, 600]);
  assertEquals(moments([2990, 7800], [3400, 7999]), [400, null]);
  assertEquals(moments([2990, 7999], []), [null, null]);
});

Deno.test("Lane counts failures, and an answer of neither server as one, and keeps the first message", () => {
  const one = lane([100], [3500]);
  one.failed(3600, new Error("Connection terminated"));
  one.answered(3700, "127.0.0.9", 77);
  const { queries, failed } = one.result(8000);
  assertEquals([queries, failed], [4, 2]);
  assertEquals(one.firstError, "Connection terminated");
  assertEquals(one.acknowledged.get(SERVERS.old), [0]);
  assertEquals(one.acknowledged.get(SERVERS.new), [1]);
});

function result(dnspool: Partial<LaneResult> = {}, lostRows = 0): Result {
  const good = { queries: 6785, misrouted: 0, failed: 0, flipToFirstMs: 400, flipToAllMs: 412 };
  return {
    ttlMs: 1000,
    dnspool: { ...good, ...dnspool },
    lostRows,
    plain: { queries: 6974, misrouted: 3538, failed: 2, flipToFirstMs: null, flipToAllMs: null },
  };
}

Deno.test("toJson() has exactly the promised fields, in order, on one line", () => {
  assertEquals(
    toJson(result()),
    '{"ttlMs":1000,"flipToFirstMs":400,"flipToAllMs":412,"queries":6785,"misrouted":0,"failed":0,' +
      '"lostRows":0,"plain":{"queries":6974,"misrouted":3538,"failed":2}}',
  );
});

Deno.test("violations() names everything that dnspool did not keep, and nothing about the ordinary pool", () => {
  assertEquals(violations(result()), []);
  assertEquals(violations(result({ misrouted: 1 })), ["1 query misrouted"]);
  assertEquals(violations(result({ failed: 2 })), ["2 queries failed"]);
  assertEquals(violations(result({}, 3)), ["3 acknowledged rows lost"]);
  assertEquals(violations(result({ flipToAllMs: null })), [
    "not all queries reached the new server",
  ]);
});

Deno.test("describe() describes the result in lines of fewer than 80 characters", () => {
  const lines = describe(result(), { plain: "Connection terminated" });
  assertEquals(lines.slice(0, 5), [
    "dnspool   6,785 queries: 0 misrouted, 0 failed, 0 rows lost.",
    "          The new server answered after 0.40 s, and only it from 0.41 s on.",
    "pg.Pool   6,974 queries: 3,538 misrouted, 2 failed.",
    "          The new server never answered.",
    "          The first error: Connection terminated",
  ]);
  for (const line of lines) assert(line.length < 80, line);
  const bad = describe(result({ misrouted: 7, flipToAllMs: null }), {}).join("\n");
  assertStringIncludes(bad, "but the old one continued as well");
  assertStringIncludes(bad, "dnspool did not keep its promise: 7 queries misrouted;");
});
