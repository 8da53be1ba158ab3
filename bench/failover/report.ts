/**
 * The tables of the drill.
 *
 * @module
 */

import { table } from "../report.ts";
import type { Figures } from "./figures.ts";
import type { Scenario } from "./scenarios.ts";

/** The result of one lane in one scenario. */
export interface LaneResult {
  readonly lane: string;
  /** The median of each figure over the runs; `undefined` if the lane did not start. */
  readonly figures?: Figures | undefined;
  readonly runs: readonly Figures[];
  readonly error?: string | undefined;
  /** The most frequent errors, with their counts. */
  readonly errors: readonly (readonly [error: string, count: number])[];
  /** Descriptions of the missed goals. */
  readonly missed: readonly string[];
}

/** The results of one scenario. */
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

/** Returns whether the record moves. */
const moves = (scenario: string) => !["f", "g", "j-stays"].includes(scenario);
/** Returns whether the record moves exactly once. */
const settles = (scenario: string) => moves(scenario) && scenario !== "e";

const seconds = (ms: number | null) => ms === null ? "never" : (ms / 1000).toFixed(2);

/** Returns whether nothing shows the move but the servers. */
const isHidden = ({ naming }: Scenario) => naming === "several hosts";

/** Prints the table of one scenario: seconds after the record moved, and counts. */
export function showScenario(scenario: Scenario, lanes: readonly LaneResult[]): void {
  const { name, title } = scenario;
  const rows = lanes.map(({ lane, figures, error, missed, runs }) => {
    if (!figures) return [lane, error ?? ""];
    return [
      missed.length > 0 ? `${lane} (missed)` : lane,
      moves(name) && !isHidden(scenario) ? seconds(figures.shownMs) : "",
      moves(name) ? seconds(figures.firstMs) : "",
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
