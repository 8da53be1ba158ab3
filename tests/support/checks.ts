/**
 * Helpers for the tests of pool and engine: checks at the end, watched promises, hooks and loggers that record.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { HOOK_NAMES, type HookedConnection, type PoolHooks } from "../../pool/connection/hooks.ts";
import type { Lease } from "../../pool/lease.ts";
import type { Logger } from "../../internal/log.ts";
import type { FakeClient } from "../../testing/mod.ts";
import { balanced, type FakeEngine } from "./fake_engine.ts";

/** Checks that nothing is in use or under way, and that the counters add up. */
export function assertAtRest({ engine }: Pick<FakeEngine, "engine">): void {
  const status = engine.status();
  const { inUse, connecting, waiting } = status;
  assertEquals({ inUse, connecting, waiting }, { inUse: 0, connecting: 0, waiting: 0 });
  assert(balanced(status), JSON.stringify(status));
}

/** Closes an engine that is at rest, and checks that every connection was closed once. */
export async function closeAtRest(
  env: FakeEngine,
  detached: readonly FakeClient[] = [],
): Promise<void> {
  assertAtRest(env);
  await env.engine.close();
  const { opened, closed, ...rest } = env.engine.status();
  assertEquals(closed, opened - rest.detached);
  assert(balanced({ opened, closed, ...rest }));
  for (const client of env.adapter.clients) {
    if (detached.includes(client)) continue;
    const ends = client.log.filter((entry) => entry === "close" || entry === "terminate");
    assertEquals([client.id, client.open, ends.length], [client.id, false, 1]);
  }
}

/** Checks out a number of connections, one after the other. */
export async function checkoutMany(
  { engine }: Pick<FakeEngine, "engine">,
  count: number,
): Promise<Lease<FakeClient>[]> {
  const leases: Lease<FakeClient>[] = [];
  while (leases.length < count) leases.push(await engine.connect());
  return leases;
}

/** Releases leases, one after the other. */
export async function releaseAll(leases: Iterable<Lease<FakeClient>>): Promise<void> {
  for (const lease of leases) await lease.release();
}

/** The state of a promise. */
export interface Watched<T> {
  /** Whether it is settled, and how. */
  state: "pending" | "fulfilled" | "rejected";
  /** The value with which it was fulfilled. */
  value: T | undefined;
  /** The reason with which it was rejected. */
  error: unknown;
}

/** Watches a promise. A rejection counts as handled. */
export function watch<T>(promise: Promise<T>): Watched<T> {
  const watched: Watched<T> = { state: "pending", value: undefined, error: undefined };
  promise.then(
    (value) => Object.assign(watched, { state: "fulfilled", value }),
    (error) => Object.assign(watched, { state: "rejected", error }),
  );
  return watched;
}

/** Makes an error that the fake adapter classifies as a lost connection, or a read-only server. */
export function verdict(
  verdict: "disconnect" | "closed" | "read-only",
  message: string = verdict,
): Error & { verdict: string } {
  return Object.assign(new Error(message), { verdict });
}

/** Makes the error of a refused connect. */
export function refused(): Error {
  return Object.assign(new Error("connection refused"), { code: "ECONNREFUSED" });
}

/** Makes hooks that record their names and the connection's number: `"connect 1"`. */
export function noted(
  log: string[],
  only: readonly (keyof PoolHooks<FakeClient>)[] = HOOK_NAMES,
): PoolHooks<FakeClient> {
  return Object.fromEntries(only.map((name) => [
    name,
    ({ client }: HookedConnection<FakeClient>) => void log.push(`${name} ${client.id}`),
  ]));
}

/** Lets `Math.random()` return a fixed value until the returned object is disposed. */
export function fixedRandom(value: number): Disposable {
  const { random } = Math;
  Math.random = () => value;
  return { [Symbol.dispose]: () => void (Math.random = random) };
}

/** Makes a logger that records its lines: `"info [name] …"`. */
export function keepLines(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const writer = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return { lines, debug: writer("debug"), info: writer("info"), warn: writer("warn") };
}
