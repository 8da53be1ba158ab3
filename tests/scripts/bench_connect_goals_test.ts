/** The goals of bench:connect. */

import { assertEquals } from "@std/assert";
import { CONTENDERS } from "../../bench/connect/contenders.ts";
import { type ConnectTiming, goalsOf, type Results, SCENES } from "../../bench/connect/scenes.ts";

const LIMIT_MS = 20_000;

/** Results of one scene: milliseconds by contender, and ratios to the first. */
function timings(all: Readonly<Record<string, number | null>>): ConnectTiming[] {
  const [first] = Object.values(all);
  return Object.entries(all).map(([name, ms]) => ({
    name,
    ms,
    spread: ms === null ? null : [ms, ms],
    ratio: ms === null ? null : ms / first!,
  }));
}

const missed = (results: Results) =>
  goalsOf(results, LIMIT_MS, CONTENDERS).filter(({ met }) => !met).map(({ goal }) => goal);

const SILENT = { "dnspool": 262, "dnspool before": 3400, "dnspool, the writer alone": 10 };
const GOOD: Results = {
  build: timings({ "dnspool, one name": 10, "dnspool before": 10.1 }),
  one: timings({ "dnspool": 10, "pg, one name": 9 }),
  refuses: timings({ "dnspool": 11, "pg, one name": 12, "libpq": 13 }),
  dropped: timings({ ...SILENT, "pg, one name": 255, "libpq": null }),
  mute: timings({ ...SILENT, "pg, one name": null, "libpq": null }),
  writer: timings({ "dnspool": 30, "dnspool, the writer alone": 10 }),
  "next-writer": timings({ "dnspool, the writer alone": 10, "dnspool, three hosts": 10.5 }),
};

Deno.test("bench:connect: goals are met, and a contender above the limit counts with the limit", () => {
  assertEquals(missed(GOOD), []);
  const goals = goalsOf(GOOD, LIMIT_MS, CONTENDERS);
  const measured = new Map(goals.map(({ goal, measured }) => [goal, measured]));
  assertEquals(
    measured.get("mute: fastest peer with several hosts / dnspool"),
    LIMIT_MS / 262,
  );
});

Deno.test("bench:connect: each goal can be missed", () => {
  assertEquals(
    missed({ build: timings({ "dnspool, one name": 10.5, "dnspool before": 10 }) }),
    ["build: this one / the one before"],
  );
  assertEquals(missed({ refuses: timings({ "dnspool": 13, "libpq": 12 }) }), [
    "refuses: dnspool / fastest peer",
  ]);
  const slow = timings({
    "dnspool": 3000,
    "dnspool before": 3400,
    "pg, one name": 255,
    "libpq": 3000,
    "dnspool, the writer alone": 10,
  });
  assertEquals(missed({ dropped: slow }), [
    "dropped: dnspool, ms",
    "dropped: build before / dnspool",
    "dropped: fastest peer with several hosts / dnspool",
    "dropped: dnspool / fastest peer with one name",
  ]);
  assertEquals(
    missed({ writer: timings({ "dnspool": 600, "dnspool, the writer alone": 10 }) }),
    ["writer third: ms"],
  );
  for (const scene of ["next-writer", "next-dropped"]) {
    const late = timings({ "dnspool, the writer alone": 10, "dnspool, three hosts": 12 });
    assertEquals(missed({ [scene]: late }), [`${scene}: three hosts / the writer alone`]);
  }
});

Deno.test("bench:connect: a contender that did not take part misses nothing", () => {
  assertEquals(goalsOf({}, LIMIT_MS, CONTENDERS), []);
  assertEquals(missed({ dropped: timings({ "libpq": null }) }), []);
});

Deno.test("bench:connect: scenes have names of their own, and name contenders that exist", () => {
  assertEquals(new Set(SCENES.map(({ name }) => name)).size, SCENES.length);
  const named = SCENES.flatMap(({ entries = [] }) => entries.map(({ contender }) => contender));
  const known = new Set(CONTENDERS.map(({ name }) => name));
  assertEquals(named.filter((name) => !known.has(name)), []);
});
