/**
 * The demo's result as text, as JSON, and the violations that decide the exit status.
 *
 * @module
 */

import { type LaneResult, SLACK_MS } from "./measure.ts";
import { thousands } from "./view.ts";

/** The result of the demo. */
export interface Result {
  /** The TTL of the record. */
  readonly ttlMs: number;
  readonly dnspool: LaneResult;
  /** Rows inserted through dnspool that a server acknowledged and did not have afterwards. */
  readonly lostRows: number;
  /** The ordinary pool. */
  readonly plain: LaneResult;
}

/** Returns the result as one JSON object on one line. */
export function toJson({ ttlMs, dnspool, lostRows, plain }: Result): string {
  const { flipToFirstMs, flipToAllMs, queries, misrouted, failed } = dnspool;
  return JSON.stringify({
    ttlMs,
    flipToFirstMs,
    flipToAllMs,
    queries,
    misrouted,
    failed,
    lostRows,
    plain: { queries: plain.queries, misrouted: plain.misrouted, failed: plain.failed },
  });
}

/** Returns what dnspool promises and did not keep; empty if it kept everything. */
export function violations({ dnspool, lostRows }: Result): string[] {
  const { misrouted, failed, flipToAllMs } = dnspool;
  return [
    misrouted > 0 && `${queries(misrouted)} misrouted`,
    failed > 0 && `${queries(failed)} failed`,
    lostRows > 0 && `${thousands(lostRows)} acknowledged rows lost`,
    flipToAllMs === null && "not all queries reached the new server",
  ].filter((violation) => violation !== false);
}

/** The first error of each pool, if there was one. */
export interface FirstErrors {
  readonly dnspool?: string | undefined;
  readonly plain?: string | undefined;
}

/** Describes the result, one line per entry. */
export function describe(result: Result, errors: FirstErrors): string[] {
  const { dnspool, plain, lostRows, ttlMs } = result;
  const limit = `${(ttlMs + SLACK_MS) / 1000} s`;
  const bad = violations(result);
  return [
    `dnspool   ${counts(dnspool)}, ${thousands(lostRows)} rows lost.`,
    ...moved(dnspool),
    ...firstError(errors.dnspool),
    `pg.Pool   ${counts(plain)}.`,
    ...moved(plain),
    ...firstError(errors.plain),
    "",
    "Times are measured from the move of the record. Misrouted: answered by the old",
    `server later than TTL + ${SLACK_MS} ms (${limit}) after the move.`,
    ...plain.misrouted > 0
      ? [
        `${
          thousands(plain.misrouted)
        } rows of pg.Pool went to a server that is no longer the primary.`,
      ]
      : [],
    ...bad.length > 0 ? ["", `dnspool did not keep its promise: ${bad.join("; ")}.`] : [],
  ];
}

function counts({ queries: all, misrouted, failed }: LaneResult): string {
  return `${queries(all)}: ${thousands(misrouted)} misrouted, ${thousands(failed)} failed`;
}

function moved({ flipToFirstMs, flipToAllMs }: LaneResult): string[] {
  if (flipToFirstMs === null) return ["          The new server never answered."];
  const first = `          The new server answered after ${precise(flipToFirstMs)}`;
  return flipToAllMs === null
    ? [`${first}, but the old one continued as well.`]
    : [`${first}, and only it from ${precise(flipToAllMs)} on.`];
}

function firstError(message: string | undefined): string[] {
  return message === undefined ? [] : [`          The first error: ${message}`];
}

function queries(count: number): string {
  return `${thousands(count)} ${count === 1 ? "query" : "queries"}`;
}

function precise(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
