/**
 * An engine with a fake database and a fake lookup, for tests that move the name.
 *
 * @module
 */

import { type Engine, type EngineStatus, getDnsEngine } from "../../engine.ts";
import type { EngineOptions } from "../../engine/options.ts";
import {
  type FakeAdapter,
  fakeAdapter,
  type FakeBehavior,
  type FakeClient,
} from "../../testing/mod.ts";
import { type FakeLookup, fakeLookup } from "./fake_lookup.ts";

/** An engine and its fakes. */
export interface FakeEngine {
  readonly engine: Engine<FakeClient>;
  readonly adapter: FakeAdapter;
  readonly dns: FakeLookup;
}

/** Makes an engine for `db.internal`, whose answer is at first 10.0.0.1 with a TTL of 10 seconds. */
export function fakeEngine(
  options: EngineOptions<FakeClient> = {},
  behavior: FakeBehavior = {},
): FakeEngine {
  const dns = fakeLookup(["10.0.0.1"], 10);
  const adapter = fakeAdapter(behavior);
  const password = options.credentials === undefined ? ":secret" : "";
  const engine = getDnsEngine(`fake://app${password}@db.internal/orders`, {
    adapter,
    dnsLookup: dns,
    dnsFallback: false,
    ...options,
  });
  return { engine, adapter, dns };
}

/** Returns whether the counters add up, as they always must. */
export function balanced({ opened, closed, idle, inUse, detached }: EngineStatus): boolean {
  return opened === closed + idle + inUse + detached;
}
