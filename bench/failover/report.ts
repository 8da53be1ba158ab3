/**
 * The drill's tables.
 *
 * @module
 */

import { table } from "../report.ts";
import type { Figures } from "./figures.ts";
import type { Scenario } from "./scenarios.ts";

/** What came of one lane in one scenario. */
export interface LaneResult {
  readonly lane: string;
  /** The median of every figure, of so many runs; without it, the lane did not get to work. */
  readonly figures?: Figures | undefined;
  readonly runs: readonly Figures[];
  readonly error?: string | undefined;
  /** The commonest errors, and how often each came. */
  readonly errors: readonly (readonly [error: string, count: number])[];
  /** The goals that were missed, in words. */
  readonly missed: readonly string[];
}

/** All of one scenario. */
export interface ScenarioResult {
  readonly scenario: string;
  readonly title: string;
  readonly lanes: readonly LaneResult[];
}

const HEAD = [
  "",
  "shown",
  "first",
  "all",
  "misrouted",
  "started old",
  "failed",
  "refused",
  "hung",
  "longest",
  "dials",
  "dials/s",
  "uncaught",
  "runs",
];

/** Whether the record moves at all; and whether it moves once, and for good. */
const moves = (scenario: string) => scenario !== "f" && scenario !== "g";
const settles = (scenario: string) => moves(scenario) && scenario !== "e";

const seconds = (ms: number | null) => ms === null ? "never" : (ms / 1000).toFixed(2);

/** Prints the table of one scenario: seconds after the record moved, and counts. */
export function showScenario({ name, title }: Scenario, lanes: readonly LaneResult[]): void {
  const rows = lanes.map(({ lane, figures, error, missed, runs }) => {
    if (!figures) return [lane, error ?? ""];
    return [
      missed.length > 0 ? `${lane} (missed)` : lane,
      ...moves(name) ? [figures.shownMs, figures.firstMs].map(seconds) : ["", ""],
      settles(name) ? seconds(figures.allMs) : "",
      String(settles(name) ? figures.misrouted : name === "e" ? figures.offRecord : ""),
      String(settles(name) ? figures.startedOnOld : ""),
      String(figures.failed),
      String(figures.refused),
      String(figures.hung),
      seconds(figures.longestMs),
      String(figures.dials),
      String(figures.dialsPerSecond),
      String(figures.uncaught),
      String(runs.length),
    ];
  });
  table(`(${name}) ${title}`, HEAD, rows);
  for (const { lane, missed } of lanes) {
    for (const miss of missed) console.log(`  missed by ${lane}: ${miss}`);
  }
}
