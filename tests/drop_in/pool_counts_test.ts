import { assertEquals } from "@std/assert";
import { driverCounts } from "../../drop_in/shared/pool_counts.ts";

type Row = [
  what: string,
  counts: [inUse: number, retired: number, idle: number, connecting: number, waiting: number],
  expected: [total: number, idle: number, waiting: number],
];

const ROWS: readonly Row[] = [
  ["nothing", [0, 0, 0, 0, 0], [0, 0, 0]],
  ["all in use, and some waiting", [10, 0, 0, 0, 3], [10, 0, 3]],
  ["some waiting, for three of which a connection is being opened", [7, 0, 0, 3, 5], [10, 0, 2]],
  ["some waiting, for which one will be opened once there is an answer", [4, 0, 0, 0, 3], [
    7,
    0,
    0,
  ]],
  ["more waiting than can be opened", [8, 0, 0, 0, 5], [10, 0, 3]],
  ["some waiting, which will get the idle ones once there is an answer", [2, 0, 3, 0, 2], [
    5,
    3,
    0,
  ]],
  ["more waiting than are idle", [2, 0, 3, 0, 4], [6, 3, 0]],
  ["all idle, and more waiting than those", [0, 0, 10, 0, 12], [10, 10, 2]],
  ["all retired, and some waiting for which one is being or will be opened", [10, 10, 0, 4, 12], [
    20,
    0,
    2,
  ]],
  ["some retired, and some waiting for which others will be opened", [7, 4, 1, 0, 9], [14, 1, 2]],
];

Deno.test("driverCounts() counts callers as waiting that wait for a connection to be released", () => {
  for (const [what, [inUse, retired, idle, connecting, waiting], expected] of ROWS) {
    const counts = driverCounts({ poolSize: 10, inUse, retired, idle, connecting, waiting });
    assertEquals([counts.total, counts.idle, counts.waiting], expected, what);
  }
});
