/**
 * A rehearsed switchover: moves a name during checkouts, and measures how an engine or a pool follows.
 *
 * @module
 */

import { mustBe } from "../internal/argument_error.ts";
import { delay } from "../internal/async.ts";
import { now, type Timer, timer } from "../internal/clock.ts";
import { canonicalIp } from "../internal/ip.ts";
import { OptionReader } from "../internal/option_reader.ts";
import type { DnsServer } from "./dns_server.ts";
import { checkAddresses, TTL } from "./shared/arguments.ts";
import { type SwitchoverResult, Tally, type TallySettings } from "./switchover/tally.ts";

export type { SwitchoverResult } from "./switchover/tally.ts";

/** The part of an engine that a switchover needs. */
export interface SwitchoverEngine {
  /** Runs a function with a connection. */
  use<T>(fn: (lease: { readonly address: string }) => T | Promise<T>): Promise<T>;
}

/** The options of {@linkcode switchover}. All times are seconds. */
export interface SwitchoverOptions {
  /** The address, or addresses, of the name before the move. */
  readonly from: string | readonly string[];
  /** The address, or addresses, after the move; at least one is new. */
  readonly to: string | readonly string[];
  /**
   * The engine or pool that has to follow: an engine, or a function that takes a connection from any pool, uses it,
   * releases it, and returns the address of the server that it reached.
   */
  readonly follower: SwitchoverEngine | (() => string | Promise<string>);
  /** The record's TTL, before and after the move: whole seconds, 0 to 4294967295. Default: 1. */
  readonly ttl?: number | undefined;
  /** Number of workers that take connections at the same time, 1 to 1000. Default: 4. */
  readonly workers?: number | undefined;
  /** Pause of a worker after each checkout, 0 to 3600. Default: 0.01. */
  readonly pause?: number | undefined;
  /** Tolerance after the TTL: a checkout on an old address that begins later is misrouted, 0 to 3600. Default: 0.3. */
  readonly slack?: number | undefined;
  /** Maximum wait for the follower after the move, 0.001 to 3600. Default: the TTL and 10 seconds. */
  readonly deadline?: number | undefined;
  /**
   * Called directly after the move, for example to stop the old server. An error that it throws ends the switchover.
   */
  readonly atMove?: (() => void | Promise<void>) | undefined;
}

/** Maximum of every time option, in seconds. */
const MAX_SECONDS = 3600;
/** Maximum wait for all workers to reach the old addresses before the move, in milliseconds. */
const READY_TIMEOUT_MS = 10_000;
/** Time for which only new addresses must be reached before the follower has followed, in milliseconds. */
const SETTLED_MS = 500;
/** Interval of the checks for that, in milliseconds. */
const POLL_MS = 20;
/** Maximum wait for the checkouts under way at the end, in milliseconds. */
const DRAIN_MS = 2000;

/**
 * Moves a name from one address to another while workers take connections without a break, and waits until the follower
 * has followed, or the deadline is over.
 *
 * First it sets the name to `from`, and waits until every worker has reached one of these addresses. Then it moves the
 * record. The follower has followed when for half a second all workers have reached only new addresses. A slow follower
 * is not an error: the result holds its figures, for the test to assert on. Checkouts that still hang at the deadline
 * are abandoned.
 *
 * @param dns The server that the follower asks, directly or through a server that caches it.
 * @param name The host name.
 * @param options The addresses, the follower, and the timing.
 * @returns The figures.
 * @throws {TypeError} if an option is unknown, missing or of the wrong type.
 * @throws {RangeError} if a number is out of range.
 * @throws {Error} if the follower does not reach the old addresses within 10 seconds, with its last error as `cause`.
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
 * @example A follower that never follows
 * ```ts
 * import { DnsServer, switchover } from "@dnspool/dnspool/testing";
 * import { assertEquals } from "@std/assert";
 *
 * await using dns = await DnsServer.start();
 * const { followed, first } = await switchover(dns, "db.internal", {
 *   from: "127.0.0.2",
 *   to: "127.0.0.3",
 *   follower: () => "127.0.0.2", // the address that it resolved when it started
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
  const settings = readOptions(options);
  const { from, to, ttl, workers, atMove, deadlineMs } = settings;
  const tally = new Tally(settings);
  const stop = new AbortController();
  dns.set(name, from, { ttl });
  const running = Array.from(
    { length: workers },
    (_, worker) => runWorker(worker, { settings, tally, stop: stop.signal }),
  );
  try {
    if (!await until(() => tally.ready, now() + READY_TIMEOUT_MS)) {
      throw notReady(name, from, tally);
    }
    dns.set(name, to, { ttl });
    const movedAtMs = now();
    tally.moved(movedAtMs);
    await atMove?.();
    await until(() => tally.settled(now(), SETTLED_MS), movedAtMs + deadlineMs);
    return tally.result(now(), SETTLED_MS);
  } finally {
    stop.abort();
    await settledWithin(DRAIN_MS, Promise.all(running));
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

/** Takes a connection; returns its address, and the time of the checkout. */
type Checkout = () => Promise<{ readonly address: string; readonly atMs: number }>;

/** Takes connections until `stop` is aborted. Never rejects. */
async function runWorker(
  worker: number,
  { settings, tally, stop }: {
    readonly settings: Settings;
    readonly tally: Tally;
    readonly stop: AbortSignal;
  },
): Promise<void> {
  while (!stop.aborted) {
    const beganMs = now();
    tally.began(worker, beganMs);
    try {
      const { address, atMs } = await settings.checkout();
      tally.reached(canonicalIp(address) ?? String(address), { worker, beganMs, endedMs: atMs });
    } catch (error) {
      tally.failed(error, { worker, beganMs, endedMs: now() });
    }
    // At least 1 ms, even without a pause: otherwise no other code would run.
    await delay(Math.max(settings.pauseMs, 1), stop).catch(() => {});
  }
}

/** Waits until a condition holds; returns `false` if it does not in time. */
async function until(holds: () => boolean, endMs: number): Promise<boolean> {
  while (!holds()) {
    if (now() >= endMs) return false;
    await delay(Math.min(POLL_MS, endMs - now()));
  }
  return true;
}

/** Waits for a promise, at most for `limitMs`. */
async function settledWithin(limitMs: number, promise: Promise<unknown>): Promise<void> {
  let limit: Timer | undefined;
  await Promise.race([promise, new Promise<void>((resolve) => limit = timer(limitMs, resolve))]);
  limit?.clear();
}

function notReady(name: string, from: readonly string[], { lastError }: Tally): Error {
  const reason = lastError === undefined ? "" : ": the last checkout failed";
  return new Error(
    `Cannot rehearse a switchover of "${name}" within ${READY_TIMEOUT_MS / 1000} seconds: not ` +
      `every worker was given a connection to ${from.join(" or ")}${reason}`,
    lastError === undefined ? undefined : { cause: lastError },
  );
}

function readOptions(options: unknown): Settings {
  const reader = new OptionReader(options, "switchover");
  const limits = { min: 0, max: MAX_SECONDS };
  const ttl = reader.number("ttl", 1, TTL);
  const from = reader.required("from", readAddresses);
  const settings: Settings = {
    from,
    to: reader.required("to", (value, name) => readNewAddresses(value, name, from)),
    ttl,
    checkout: reader.required("follower", readFollower),
    workers: reader.number("workers", 4, { min: 1, max: 1000, whole: true }),
    pauseMs: reader.secondsAsMs("pause", 0.01, limits),
    slackMs: reader.secondsAsMs("slack", 0.3, limits),
    deadlineMs: reader.secondsAsMs("deadline", Math.min(ttl + 10, MAX_SECONDS), {
      ...limits,
      min: 0.001,
    }),
    ttlMs: ttl * 1000,
    atMove: reader.value<SwitchoverOptions["atMove"]>("atMove", undefined, readFunction),
  };
  reader.done();
  return settings;
}

function readAddresses(value: unknown, argument: string): readonly string[] {
  const list = checkAddresses(typeof value === "string" ? [value] : value, argument);
  if (list.length === 0) throw mustBe(argument, "at least one IP address", value);
  return list.map((address) => canonicalIp(address)!);
}

function readNewAddresses(
  value: unknown,
  argument: string,
  from: readonly string[],
): readonly string[] {
  const to = readAddresses(value, argument);
  if (to.some((address) => !from.includes(address))) return to;
  throw mustBe(argument, 'at least one address that is not in "from"', value);
}

function readFollower(value: unknown, argument: string): Checkout {
  if (typeof value === "function") {
    const take = value as () => string | Promise<string>;
    return async () => ({ address: await take(), atMs: now() });
  }
  const engine = value as SwitchoverEngine | undefined | null;
  if (typeof engine?.use !== "function") {
    throw mustBe(argument, "an engine or a function", value);
  }
  return () => engine.use(({ address }) => ({ address, atMs: now() }));
}

function readFunction(value: unknown, argument: string): () => void | Promise<void> {
  if (typeof value === "function") return value as () => void | Promise<void>;
  throw mustBe(argument, "a function", value);
}
