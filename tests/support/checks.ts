/**
 * What the tests of pool and engine have in common: what must hold at the end, promises watched from outside, hooks
 * and loggers that write down what they are told.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { HOOK_NAMES, type HookedConnection, type PoolHooks } from "../../pool/connection/hooks.ts";
import type { Lease } from "../../pool/lease.ts";
import type { Logger } from "../../internal/log.ts";
import type { FakeClient } from "../../testing/mod.ts";
import { balanced, type Lab } from "./fake_engine.ts";

/** Nothing is out, nothing under way, and the counters add up. */
export function assertAtRest({ engine }: Pick<Lab, "engine">): void {
  const status = engine.status();
  const { inUse, connecting, waiting } = status;
  assertEquals({ inUse, connecting, waiting }, { inUse: 0, connecting: 0, waiting: 0 });
  assert(balanced(status), JSON.stringify(status));
}

/** Closes an engine that is at rest, and finds every connection closed once and no more. */
export async function end(lab: Lab, detached: readonly FakeClient[] = []): Promise<void> {
  assertAtRest(lab);
  await lab.engine.close();
  const { opened, closed, ...rest } = lab.engine.status();
  assertEquals(closed, opened - rest.detached);
  assert(balanced({ opened, closed, ...rest }));
  for (const client of lab.adapter.clients) {
    if (detached.includes(client)) continue;
    const ends = client.log.filter((entry) => entry === "close" || entry === "terminate");
    assertEquals([client.id, client.open, ends.length], [client.id, false, 1]);
  }
}

/** Checks out so many connections, one after the other. */
export async function take(
  { engine }: Pick<Lab, "engine">,
  count: number,
): Promise<Lease<FakeClient>[]> {
  const leases: Lease<FakeClient>[] = [];
  while (leases.length < count) leases.push(await engine.connect());
  return leases;
}

/** Gives connections back, one after the other. */
export async function give(leases: Iterable<Lease<FakeClient>>): Promise<void> {
  for (const lease of leases) await lease.release();
}

/** A promise seen from outside. */
export interface Watched<T> {
  /** How it stands. */
  state: "pending" | "fulfilled" | "rejected";
  /** What it was fulfilled with. */
  value: T | undefined;
  /** What it was rejected with. */
  error: unknown;
}

/** Watches a promise, which counts as handled from then on. */
export function watch<T>(promise: Promise<T>): Watched<T> {
  const watched: Watched<T> = { state: "pending", value: undefined, error: undefined };
  promise.then(
    (value) => Object.assign(watched, { state: "fulfilled", value }),
    (error) => Object.assign(watched, { state: "rejected", error }),
  );
  return watched;
}

/** An error that the fake adapter takes for a lost connection, or a read-only server. */
export function verdict(
  verdict: "disconnect" | "read-only",
  message: string = verdict,
): Error & { verdict: string } {
  return Object.assign(new Error(message), { verdict });
}

/** A refused connect, as a driver tells of it. */
export function refused(): Error {
  return Object.assign(new Error("connection refused"), { code: "ECONNREFUSED" });
}

/** Hooks that write down their names and the connection's number: `"connect 1"`. */
export function noted(
  log: string[],
  only: readonly (keyof PoolHooks<FakeClient>)[] = HOOK_NAMES,
): PoolHooks<FakeClient> {
  return Object.fromEntries(only.map((name) => [
    name,
    ({ client }: HookedConnection<FakeClient>) => void log.push(`${name} ${client.id}`),
  ]));
}

/** Until it is disposed, dice always show the same. */
export function dice(value: number): Disposable {
  const { random } = Math;
  Math.random = () => value;
  return { [Symbol.dispose]: () => void (Math.random = random) };
}

/** A logger that keeps its lines: `"info [name] …"`. */
export function keepLines(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const writer = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return { lines, debug: writer("debug"), info: writer("info"), warn: writer("warn") };
}
