import { assertEquals } from "@std/assert";
import { driverCounts } from "../../drop_in/shared/pool_counts.ts";

type Row = [
  what: string,
  counts: [inUse: number, retired: number, idle: number, connecting: number, waiting: number],
  expected: [total: number, idle: number, waiting: number],
];

const ROWS: readonly Row[] = [
  ["nothing", [0, 0, 0, 0, 0], [0, 0, 0]],
  ["all in use", [10, 0, 0, 0, 3], [10, 0, 3]],
  ["some for whom a connection is being opened", [7, 0, 0, 3, 5], [10, 0, 2]],
  ["some for whom one will be, once an answer is there", [4, 0, 0, 0, 3], [7, 0, 0]],
  ["more than there is room for", [8, 0, 0, 0, 5], [10, 0, 3]],
  ["some who will have the idle ones, once an answer is there", [2, 0, 3, 0, 2], [5, 3, 0]],
  ["more of them than are idle", [2, 0, 3, 0, 4], [6, 3, 0]],
  ["all idle, and more of them than those", [0, 0, 10, 0, 12], [10, 10, 2]],
  ["all retired, and some for whom one is being opened or will be", [10, 10, 0, 4, 12], [20, 0, 2]],
  ["some retired, and those who will have the others' room", [7, 4, 1, 0, 9], [14, 1, 2]],
];

Deno.test("driverCounts() counts as waiting who waits for a connection of somebody else's", () => {
  for (const [what, [inUse, retired, idle, connecting, waiting], expected] of ROWS) {
    const counts = driverCounts({ poolSize: 10, inUse, retired, idle, connecting, waiting });
    assertEquals([counts.total, counts.idle, counts.waiting], expected, what);
  }
});
