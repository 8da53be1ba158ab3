/**
 * The demo's result: in words, as one JSON object, and as an exit status.
 *
 * @module
 */

import { type LaneResult, SLACK_MS } from "./measure.ts";
import { thousands } from "./view.ts";

/** What came out. */
export interface Result {
  /** The record's TTL. */
  readonly ttlMs: number;
  /** dnspool's lane. */
  readonly dnspool: LaneResult;
  /** Rows that a server acknowledged to dnspool's lane and did not have afterwards. */
  readonly lostRows: number;
  /** The ordinary pool's lane. */
  readonly plain: LaneResult;
}

/** The result as one JSON object on one line. */
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

/** What dnspool did not keep of what it promises; nothing, if all is well. */
export function complaints({ dnspool, lostRows }: Result): string[] {
  const { misrouted, failed, flipToAllMs } = dnspool;
  return [
    misrouted > 0 && `${queries(misrouted)} misrouted`,
    failed > 0 && `${queries(failed)} failed`,
    lostRows > 0 && `${thousands(lostRows)} acknowledged rows lost`,
    flipToAllMs === null && "not all queries reached the new server",
  ].filter((complaint) => complaint !== false);
}

/** What each lane failed with first, if it did. */
export interface FirstErrors {
  readonly dnspool?: string | undefined;
  readonly plain?: string | undefined;
}

/** The result in words, line by line. */
export function words(result: Result, errors: FirstErrors): string[] {
  const { dnspool, plain, lostRows, ttlMs } = result;
  const limit = `${(ttlMs + SLACK_MS) / 1000} s`;
  const bad = complaints(result);
  return [
    `dnspool   ${counts(dnspool)}, ${thousands(lostRows)} rows lost.`,
    ...moved(dnspool),
    ...firstError(errors.dnspool),
    `pg.Pool   ${counts(plain)}.`,
    ...moved(plain),
    ...firstError(errors.plain),
    "",
    "Times count from the moment the record moved. Misrouted: answered by the old",
    `server later than TTL + ${SLACK_MS} ms (${limit}) after it.`,
    ...plain.misrouted > 0
      ? [
        `${
          thousands(plain.misrouted)
        } rows of pg.Pool's went to a server that is the primary no more.`,
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
    ? [`${first}, but the old one went on as well.`]
    : [`${first}, and it alone from ${precise(flipToAllMs)} on.`];
}

function firstError(message: string | undefined): string[] {
  return message === undefined ? [] : [`          The first failure: ${message}`];
}

function queries(count: number): string {
  return `${thousands(count)} ${count === 1 ? "query" : "queries"}`;
}

function precise(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
