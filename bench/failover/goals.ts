/**
 * The goals of dnspool in the drill.
 *
 * @module
 */

import { type Figures, SLACK_MS, TTL_MS } from "./figures.ts";
import { POOL_SIZE, WORKERS } from "./lanes.ts";

/** Maximum duration of a call that is stuck. */
const MAX_STUCK_MS = 3000;

/** Tolerance of a maximum time: two processes with clocks of whole milliseconds, and a busy machine. */
const NOISE_MS = 100;

/** Returns the maximum number of connects to a failing server: four a second, and a few at both ends. */
const maxProbes = (outageMs: number) => 5 + Math.ceil(outageMs / 250);

const MAX_MOVE_MS = TTL_MS + SLACK_MS + NOISE_MS;

/** Maximum time after a change of roles that DNS has no part in. */
const MAX_ROLE_MS = 500;

/** Conditions that some goals depend on. */
export interface Conditions {
  /** Time without a server to connect to, or without one in the record. */
  readonly outageMs?: number | undefined;
  /** Whether the pool closes the client of each failed query, as `pg.Pool` does. */
  readonly closesOnError?: boolean | undefined;
}

type Goal = (figures: Figures, conditions: Conditions) => string | false;

const within = (name: string, ms: number | null, maxMs: number) =>
  (ms === null || ms > maxMs) && `${name}: ${ms ?? "never"} of ${maxMs} ms`;

const atMost = (name: string, count: number, max: number) =>
  count > max && `${name}: ${count} of ${max}`;

const first: Goal = ({ firstMs }) => within("first on the new server", firstMs, MAX_MOVE_MS);
const all: Goal = ({ allMs }) => within("all on the new server", allMs, MAX_MOVE_MS);
const allAfterRoles: Goal = ({ allMs }) =>
  within("all on the new server", allMs, MAX_ROLE_MS + NOISE_MS);
const startedOnOld: Goal = (figures) =>
  atMost("started on the old address afterwards", figures.startedOnOld, 0);
const misrouted: Goal = (figures) => atMost("misrouted", figures.misrouted, 0);
const noStorm: Goal = (figures) =>
  atMost("dials in a second", figures.dialsPerSecond, 3 * POOL_SIZE);
const dials: Goal = (figures, { outageMs = 0, closesOnError = false }) =>
  atMost(
    "dials",
    figures.dials,
    POOL_SIZE + maxProbes(outageMs) + (closesOnError ? figures.failed : 0),
  );
const notHung: Goal = (figures) => atMost("hung", figures.hung, 0);
const stuck: Goal = (figures) => within("longest call", figures.longestMs, MAX_STUCK_MS + NOISE_MS);
const none: Goal = (figures) => atMost("failed", figures.failed, 0);
/** Allows failures of running operations, and of writes that the old server refused before the record moved. */
const inFlight: Goal = ({ failed, refused }) => atMost("failed", failed - refused, WORKERS);

const caught: Goal = (figures) => atMost("uncaught errors", figures.uncaught, 0);

const GOALS: Readonly<Record<string, readonly Goal[]>> = {
  "a": [first, all, misrouted, startedOnOld, dials, inFlight, notHung],
  "a-reads": [first, all, misrouted, startedOnOld, dials, none, notHung],
  "a2": [first, all, misrouted, startedOnOld, dials, inFlight, notHung],
  "b": [first, all, misrouted, startedOnOld, inFlight, noStorm, notHung],
  // No goal for the first answer: while all workers of a closed loop are stuck, none starts an operation.
  "c": [startedOnOld, misrouted, stuck, notHung],
  "c-open": [first, startedOnOld, misrouted, stuck, notHung],
  "d": [startedOnOld, misrouted, stuck, notHung],
  "e": [(figures) => atMost("off the record", figures.offRecord, 0), noStorm, notHung],
  "f": [none, notHung],
  "h": [allAfterRoles, misrouted, startedOnOld, inFlight, noStorm, notHung],
  "h-kill": [allAfterRoles, misrouted, startedOnOld, inFlight, noStorm, notHung],
  "i": [first, all, misrouted, startedOnOld, dials, inFlight, notHung],
  "j": [startedOnOld, misrouted, stuck, notHung],
  "j-stays": [stuck, inFlight, notHung],
  "g": [none, (figures) => atMost("dials", figures.dials, 0), notHung],
};

/** Describes the missed goals; empty if there are none. */
export function missedGoals(
  scenario: string,
  figures: Figures,
  conditions: Conditions = {},
): string[] {
  return [...GOALS[scenario] ?? [], caught].flatMap((goal) => goal(figures, conditions) || []);
}
