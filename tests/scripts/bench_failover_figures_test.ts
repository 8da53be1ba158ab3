/**
 * Figures, goals and picture of the drill.
 */

import { assert, assertEquals, assertFalse, assertStringIncludes } from "@std/assert";
import {
  figuresOf,
  median,
  medianFigures,
  slicesOf,
  type Timeline,
} from "../../bench/failover/figures.ts";
import { missedGoals } from "../../bench/failover/goals.ts";
import type { LaneReport } from "../../bench/failover/lanes.ts";
import { picture } from "../../bench/failover/picture.ts";

const OLD = "127.0.0.2";
const NEW = "127.0.0.3";

/** The workers start at 0, the record moves at 2 s, and the run ends at 10 s. */
const TIMELINE: Timeline = {
  startMs: 0,
  faultMs: 2000,
  faultDoneMs: 2010,
  movedMs: 2000,
  shownMs: 2600,
  endMs: 10_000,
  record: [{ fromMs: -1000, addresses: [OLD] }, { fromMs: 2000, addresses: [NEW] }],
  old: OLD,
};

const RESULTS = [
  { server: OLD },
  { server: NEW },
  { error: "25006 cannot write", readOnly: true },
  { error: "ECONNRESET", readOnly: false },
];
const [BY_OLD, BY_NEW, REFUSED, RESET] = [0, 1, 2, 3];

type Operation = LaneReport["operations"][number];

function report(operations: readonly Operation[], dials: readonly number[] = []): LaneReport {
  return { operations, results: RESULTS, dials: dials.map((atMs) => [atMs, NEW]), uncaught: [] };
}

Deno.test("figuresOf() measures the times to the first answer of the new server, and until only that server answered", () => {
  const { firstMs, allMs, shownMs, misrouted, failed } = figuresOf(
    report([[1900, 10, BY_OLD], [2700, 10, BY_NEW], [2750, 30, BY_OLD], [2800, 5, BY_NEW]]),
    TIMELINE,
  );
  assertEquals({ firstMs, allMs, shownMs }, { firstMs: 710, allMs: 780, shownMs: 600 });
  assertEquals([misrouted, failed], [0, 0]);
});

Deno.test("figuresOf() has no time if the old server answered, or refused writes, to the end", () => {
  for (const end of [BY_OLD, REFUSED]) {
    const figures = figuresOf(report([[2700, 10, BY_NEW], [9800, 10, end]]), TIMELINE);
    assertEquals(figures.allMs, null);
    assertEquals([figures.misrouted, figures.startedOnOld], [1, 1]);
  }
});

Deno.test("figuresOf() counts an operation that only ends late as misrouted, not as started on the old server", () => {
  const figures = figuresOf(report([[3200, 200, BY_OLD]]), TIMELINE);
  assertEquals([figures.misrouted, figures.startedOnOld], [1, 0]);
});

Deno.test("figuresOf() takes a shorter grace, and any server but the old one for a new one", () => {
  const third = { ...report([[2100, 10, RESULTS.length], [2550, 10, BY_OLD]]) };
  const results = [...RESULTS, { server: "127.0.0.4" }];
  const figures = figuresOf({ ...third, results }, { ...TIMELINE, graceMs: 500 });
  assertEquals([figures.firstMs, figures.allMs, figures.startedOnOld], [110, 560, 1]);
  assertEquals(missedGoals("h", figures), [
    "misrouted: 1 of 0",
    "started on the old address afterwards: 1 of 0",
  ]);
});

Deno.test("figuresOf() distinguishes failures in flight, refusals and hung calls", () => {
  const figures = figuresOf(
    report([
      [100, 5, RESET], // before the fault
      [1990, 30, RESET],
      [2200, 5, REFUSED],
      [2500, 5, RESET],
      [1995, -1, -1],
      [9900, -1, -1], // too young to hang
    ]),
    TIMELINE,
  );
  const { failed, refused, failedInFlight, hung, longestMs } = figures;
  assertEquals(
    { failed, refused, failedInFlight, hung, longestMs },
    { failed: 3, refused: 1, failedInFlight: 1, hung: 1, longestMs: 8005 },
  );
});

Deno.test("figuresOf() counts the connects since the fault, and the maximum within a second", () => {
  const { dials, dialsPerSecond } = figuresOf(
    report([], [500, 2000, 2100, 2999, 3000, 3100, 5000]),
    TIMELINE,
  );
  assertEquals([dials, dialsPerSecond], [6, 3]);
});

Deno.test("figuresOf() counts answers of a server that had left the record for longer than the TTL", () => {
  const record = [
    { fromMs: 0, addresses: [OLD] },
    { fromMs: 2000, addresses: [NEW] },
    { fromMs: 6000, addresses: [OLD] },
  ];
  const { offRecord } = figuresOf(
    report([
      [3200, 10, BY_OLD],
      [3400, 10, BY_OLD], // off: gone for 1.4 s
      [6100, 10, BY_OLD],
      [7200, 10, BY_NEW],
      [7400, 10, BY_NEW], // off
    ]),
    { ...TIMELINE, record },
  );
  assertEquals(offRecord, 2);
});

Deno.test("medianFigures() takes the median of each figure, with never after every time", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([null, 1, 2]), 2);
  assertEquals(median<number | null>([null, null, 2]), null);
  const one = figuresOf(report([[2700, 10, BY_NEW]]), TIMELINE);
  const never = figuresOf(report([]), TIMELINE);
  assertEquals(medianFigures([never, one, one]), one);
});

Deno.test("missedGoals() is empty for a switchover in time, and describes what is late", () => {
  const good = figuresOf(report([[2700, 10, BY_NEW]], [2650]), TIMELINE);
  assertEquals(missedGoals("a", good), []);
  const late = figuresOf(report([[4000, 10, BY_NEW]]), TIMELINE);
  assertEquals(missedGoals("a", late), [
    "first on the new server: 2010 of 1400 ms",
    "all on the new server: 2010 of 1400 ms",
  ]);
  const storm = figuresOf(report([[2700, 10, BY_NEW]], Array(40).fill(2700)), TIMELINE);
  assertEquals(missedGoals("b", storm), ["dials in a second: 40 of 30"]);
  assertEquals(missedGoals("a", storm), ["dials: 40 of 15"]);
  assertEquals(missedGoals("a", storm, { outageMs: 6000 }), ["dials: 40 of 39"]);
  assertEquals(missedGoals("h", late), ["all on the new server: 2010 of 600 ms"]);
  const refusing = { ...storm, failed: 25, refused: 25 };
  assertEquals(missedGoals("a", refusing, { closesOnError: true }), []);
});

Deno.test("slicesOf() and picture() show the server that answered, and escape text once", () => {
  const span = { fromMs: -1000, toMs: 3000, stepMs: 500 };
  const slices = slicesOf(
    report([[1500, 10, BY_OLD], [2100, 10, REFUSED], [2700, 10, BY_NEW], [3900, 10, BY_OLD]]),
    TIMELINE,
    span,
  );
  assertEquals(slices.map((slice) => Object.entries(slice).find(([, count]) => count)?.[0]), [
    undefined,
    "old",
    "failed",
    "new",
    undefined,
    "misrouted",
    undefined,
    undefined,
  ]);
  const rows = [{ name: "a < b & c", ours: true, slices, note: "moved after 0.7 s" }];
  const svg = picture([{ title: "(a) planned", rows }], span);
  assertStringIncludes(svg, "a &lt; b &amp; c");
  assertStringIncludes(svg, "prefers-color-scheme: dark");
  assert(/<rect class="misrouted"[^>]+>/.test(svg));
  assertFalse(/NaN|undefined|null/.test(svg));
});
