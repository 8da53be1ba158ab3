/**
 * What dnspool has to reach in the drill, and what it missed. Pure.
 *
 * @module
 */

import { type Figures, SLACK_MS, TTL_MS } from "./figures.ts";
import { POOL_SIZE, WORKERS } from "./lanes.ts";

/** Stuck calls are rejected within that. */
const STUCK_MS = 3000;

/** Two processes' clocks of whole milliseconds, and a busy machine: what a bound on time may be passed by. */
const NOISE_MS = 100;

/** Attempts at a server that is failing: four a second at the most, and a few at the ends. */
const probes = (outageMs: number) => 5 + Math.ceil(outageMs / 250);

const BOUND_MS = TTL_MS + SLACK_MS + NOISE_MS;

/** What some goals depend on. */
export interface Allowance {
  /** How long there was no server to connect to, or none that the record named. */
  readonly outageMs?: number | undefined;
  /** Whether the pool closes the client of every query that fails, as `pg.Pool` does. */
  readonly closesOnError?: boolean | undefined;
}

type Goal = (figures: Figures, allowance: Allowance) => string | false;

const within = (name: string, ms: number | null, mostMs: number) =>
  (ms === null || ms > mostMs) && `${name}: ${ms ?? "never"} of ${mostMs} ms`;

const atMost = (name: string, count: number, most: number) =>
  count > most && `${name}: ${count} of ${most}`;

const first: Goal = ({ firstMs }) => within("first on the new server", firstMs, BOUND_MS);
const all: Goal = ({ allMs }) => within("all on the new server", allMs, BOUND_MS);
const startedOnOld: Goal = (figures) =>
  atMost("started on the old address afterwards", figures.startedOnOld, 0);
const misrouted: Goal = (figures) => atMost("misrouted", figures.misrouted, 0);
const noStorm: Goal = (figures) =>
  atMost("dials in a second", figures.dialsPerSecond, 3 * POOL_SIZE);
const dials: Goal = (figures, { outageMs = 0, closesOnError = false }) =>
  atMost(
    "dials",
    figures.dials,
    POOL_SIZE + probes(outageMs) + (closesOnError ? figures.failed : 0),
  );
const notHung: Goal = (figures) => atMost("hung", figures.hung, 0);
const stuck: Goal = (figures) => within("longest call", figures.longestMs, STUCK_MS + NOISE_MS);
const none: Goal = (figures) => atMost("failed", figures.failed, 0);
/** Failed only what was in flight, and writes that the old server refused before DNS knew. */
const inFlight: Goal = ({ failed, refused }) => atMost("failed", failed - refused, WORKERS);

const caught: Goal = (figures) => atMost("uncaught errors", figures.uncaught, 0);

const GOALS: Readonly<Record<string, readonly Goal[]>> = {
  "a": [first, all, misrouted, startedOnOld, dials, inFlight, notHung],
  "a-reads": [first, all, misrouted, startedOnOld, dials, none, notHung],
  "a2": [first, all, misrouted, startedOnOld, dials, inFlight, notHung],
  "b": [first, all, misrouted, startedOnOld, inFlight, noStorm, notHung],
  // In a closed loop nobody arrives while all workers are stuck; in the open one they do.
  "c": [startedOnOld, misrouted, stuck, notHung],
  "c-open": [first, startedOnOld, misrouted, stuck, notHung],
  "d": [startedOnOld, misrouted, stuck, notHung],
  "e": [(figures) => atMost("off the record", figures.offRecord, 0), noStorm, notHung],
  "f": [none, notHung],
  "g": [none, (figures) => atMost("dials", figures.dials, 0), notHung],
};

/** The goals that were missed, in words; empty: none. */
export function missedGoals(
  scenario: string,
  figures: Figures,
  allowance: Allowance = {},
): string[] {
  return [...GOALS[scenario] ?? [], caught].flatMap((goal) => goal(figures, allowance) || []);
}
