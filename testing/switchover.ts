/**
 * A rehearsed switchover: moves a name while checkouts go on, and says how an engine or a pool followed.
 *
 * @module
 */

import { canonicalIp } from "../internal/ip.ts";
import { delay } from "../internal/async.ts";
import { now, type Timer, timer } from "../internal/clock.ts";
import {
  checkAddresses,
  checkKeys,
  checkNumber,
  checkTtl,
  type Subject,
  wrongType,
} from "./dns/validate.ts";
import { type SwitchoverResult, Tally, type TallySettings } from "./switchover/tally.ts";
import type { DnsServer } from "./dns_server.ts";

export type { SwitchoverResult } from "./switchover/tally.ts";

/** The part of an engine that a switchover needs. */
export interface SwitchoverEngine {
  /** Runs a function with a connection. */
  use<T>(fn: (lease: { readonly address: string }) => T | Promise<T>): Promise<T>;
}

/** What moves, who is to follow, and how it is watched. All times are seconds. */
export interface SwitchoverOptions {
  /** The address, or addresses, that the name has before. */
  readonly from: string | readonly string[];
  /** Those that it has afterwards; at least one is new. */
  readonly to: string | readonly string[];
  /**
   * Who is to follow: an engine, or a function that takes a connection from any pool, works with it as it likes, gives
   * it back, and returns the address of the server that it reached.
   */
  readonly follower: SwitchoverEngine | (() => string | Promise<string>);
  /** The record's TTL, before and after: whole seconds, 0 to 4294967295. Default: 1. */
  readonly ttl?: number | undefined;
  /** How many take connections at the same time, 1 to 1000. Default: 4. */
  readonly workers?: number | undefined;
  /** How long each of them rests after a checkout, 0 to 3600. Default: 0.01. */
  readonly pause?: number | undefined;
  /** On top of the TTL: how late a checkout on an old address may begin and not be misrouted, 0 to 3600. Default: 0.3. */
  readonly slack?: number | undefined;
  /** How long after the move to wait for the follower, above 0 to 3600. Default: the TTL and 10 seconds. */
  readonly deadline?: number | undefined;
  /** Called right after the record moved, such as to stop the old server. What it throws ends the switchover. */
  readonly atMove?: (() => void | Promise<void>) | undefined;
}

/** Seconds: nobody waits longer for a test. */
const LONGEST_WAIT = 3600;
/** Milliseconds for the follower to be on the old addresses, before the move. */
const READY_MS = 10_000;
/** "Only new addresses" has to last so long before it counts. */
const SETTLED_MS = 500;
/** How often it is looked whether it does. */
const LOOK_MS = 20;
/** Checkouts under way at the end may take so long to end as well. */
const LAST_MS = 2000;

/**
 * Moves a name from one address to another while workers take connections without a break, and waits until the
 * follower has followed, or the deadline is over.
 *
 * First it sets the name to `from`, and waits until every worker has reached one of these addresses. Then the record
 * moves. The follower has followed when for half a second all that was taken was on new addresses, by every worker. The
 * figures are there in either case, for the test to assert on: nothing is thrown because the follower is slow. Checkouts
 * that still hang at the deadline are left behind.
 *
 * @param dns The server that the follower asks, directly or through a server that caches it.
 * @param name The host name.
 * @param options What moves, and who is to follow.
 * @returns How it went.
 * @throws {TypeError} for an option that cannot be meant.
 * @throws {RangeError} for a number outside its range.
 * @throws {Error} when the follower is not on the old addresses within 10 seconds, with its last error as `cause`.
 *
 * @example An engine follows within the TTL
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { DnsServer, fakeAdapter, switchover } from "@dnspool/dnspool/testing";
 * import { assert, assertEquals } from "@std/assert";
 *
 * await using dns = await DnsServer.start();
 * await using engine = getDnsEngine("fake://db.internal/orders", {
 *   adapter: fakeAdapter(),
 *   dnsNameservers: [dns.address],
 * });
 * const { followed, misrouted, failed } = await switchover(dns, "db.internal", {
 *   from: "127.0.0.2",
 *   to: "127.0.0.3",
 *   follower: engine,
 * });
 * assert(followed);
 * assertEquals([misrouted, failed], [0, 0]);
 * ```
 *
 * @example Something that never follows
 * ```ts
 * import { DnsServer, switchover } from "@dnspool/dnspool/testing";
 * import { assertEquals } from "@std/assert";
 *
 * await using dns = await DnsServer.start();
 * const { followed, first } = await switchover(dns, "db.internal", {
 *   from: "127.0.0.2",
 *   to: "127.0.0.3",
 *   follower: () => "127.0.0.2", // the address that it looked up when it started
 *   ttl: 0,
 *   deadline: 0.5,
 * });
 * assertEquals([followed, first], [false, undefined]);
 * ```
 */
export async function switchover(
  dns: DnsServer,
  name: string,
  options: SwitchoverOptions,
): Promise<SwitchoverResult> {
  const settings = readOptions(name, options);
  const { from, to, ttl, workers, atMove, deadlineMs } = settings;
  const tally = new Tally(settings);
  const over = new AbortController();
  dns.set(name, from, { ttl });
  const working = Array.from(
    { length: workers },
    (_, worker) => work(worker, { settings, tally, over: over.signal }),
  );
  try {
    if (!await until(() => tally.ready, now() + READY_MS)) throw notReady(name, from, tally);
    dns.set(name, to, { ttl });
    const movedAtMs = now();
    tally.moved(movedAtMs);
    await atMove?.();
    await until(() => tally.settled(now(), SETTLED_MS), movedAtMs + deadlineMs);
    return tally.result(now(), SETTLED_MS);
  } finally {
    over.abort();
    await atMost(LAST_MS, Promise.all(working));
  }
}

/** {@linkcode SwitchoverOptions}, checked, with defaults. */
interface Settings extends TallySettings {
  readonly ttl: number;
  readonly checkout: Checkout;
  readonly pauseMs: number;
  readonly deadlineMs: number;
  readonly atMove: SwitchoverOptions["atMove"];
}

/** Takes a connection: the address, and when it was handed out. */
type Checkout = () => Promise<{ readonly address: string; readonly atMs: number }>;

/** One worker, until it is over. It never rejects. */
async function work(
  worker: number,
  { settings, tally, over }: {
    readonly settings: Settings;
    readonly tally: Tally;
    readonly over: AbortSignal;
  },
): Promise<void> {
  while (!over.aborted) {
    const beganMs = now();
    tally.began(worker, beganMs);
    try {
      const { address, atMs } = await settings.checkout();
      tally.reached(canonicalIp(address) ?? String(address), { worker, beganMs, endedMs: atMs });
    } catch (error) {
      tally.failed(error, { worker, beganMs, endedMs: now() });
    }
    // Not at all is not meant: nobody else would have a turn.
    await delay(Math.max(settings.pauseMs, 1), over).catch(() => {});
  }
}

/** Waits until something holds; false when it does not in time. */
async function until(holds: () => boolean, endMs: number): Promise<boolean> {
  while (!holds()) {
    if (now() >= endMs) return false;
    await delay(Math.min(LOOK_MS, endMs - now()));
  }
  return true;
}

/** Waits for a promise, but not for longer than that. */
async function atMost(limitMs: number, promise: Promise<unknown>): Promise<void> {
  let limit: Timer | undefined;
  await Promise.race([promise, new Promise<void>((resolve) => limit = timer(limitMs, resolve))]);
  limit?.clear();
}

function notReady(name: string, from: readonly string[], { lastError }: Tally): Error {
  const why = lastError === undefined ? "" : ": the last checkout failed";
  return new Error(
    `Cannot rehearse a switchover of "${name}" within ${READY_MS / 1000} seconds: not every ` +
      `worker was given a connection to ${from.join(" or ")}${why}`,
    lastError === undefined ? undefined : { cause: lastError },
  );
}

const KEYS = ["from", "to", "follower", "ttl", "workers", "pause", "slack", "deadline", "atMove"];

function readOptions(name: string, options: unknown): Settings {
  const action = `Cannot rehearse a switchover of "${name}"`;
  const at = (argument: string): Subject => ({ action, argument });
  const given = checkKeys(at("options"), options, KEYS);
  const { ttl = 1, workers = 4, pause = 0.01, slack = 0.3, atMove } = given;
  const seconds = checkTtl(at("ttl"), ttl);
  const { deadline = Math.min(seconds + 10, LONGEST_WAIT) } = given;
  const from = readAddresses(at("from"), given.from);
  const to = readAddresses(at("to"), given.to);
  if (to.every((address) => from.includes(address))) {
    throw wrongType(at("to"), "at least one address that is not in from", given.to);
  }
  if (atMove !== undefined && typeof atMove !== "function") {
    throw wrongType(at("atMove"), "a function", atMove);
  }
  const toMs = (argument: string, value: unknown, least = 0) =>
    checkNumber(at(argument), value, { least, most: LONGEST_WAIT, unit: "seconds" }) * 1000;
  return {
    from,
    to,
    ttl: seconds,
    checkout: readFollower(at("follower"), given.follower),
    workers: checkNumber(at("workers"), workers, { least: 1, most: 1000, whole: true }),
    pauseMs: toMs("pause", pause),
    slackMs: toMs("slack", slack),
    deadlineMs: toMs("deadline", deadline, 0.001),
    ttlMs: seconds * 1000,
    atMove: atMove as Settings["atMove"],
  };
}

function readAddresses(subject: Subject, value: unknown): readonly string[] {
  const list = checkAddresses(subject, typeof value === "string" ? [value] : value);
  if (list.length === 0) throw wrongType(subject, "at least one IP address", value);
  return list.map((address) => canonicalIp(address)!);
}

function readFollower(subject: Subject, follower: unknown): Checkout {
  if (typeof follower === "function") {
    const take = follower as () => string | Promise<string>;
    return async () => ({ address: await take(), atMs: now() });
  }
  const engine = follower as SwitchoverEngine | undefined | null;
  if (typeof engine?.use !== "function") {
    throw wrongType(subject, "an engine or a function", follower);
  }
  return () => engine.use(({ address }) => ({ address, atMs: now() }));
}
