/**
 * An engine on a made-up database under a made-up name, for tests that move the name.
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

/** What a test holds in its hands. */
export interface Lab {
  readonly engine: Engine<FakeClient>;
  readonly adapter: FakeAdapter;
  readonly dns: FakeLookup;
}

/** An engine for `db.internal`, at first 10.0.0.1 with a TTL of 10 seconds. */
export function lab(
  options: EngineOptions<FakeClient> = {},
  behaviour: FakeBehavior = {},
): Lab {
  const dns = fakeLookup(["10.0.0.1"], 10);
  const adapter = fakeAdapter(behaviour);
  const engine = getDnsEngine("fake://app:secret@db.internal/orders", {
    adapter,
    dnsLookup: dns,
    dnsFallback: false,
    ...options,
  });
  return { engine, adapter, dns };
}

/** What must hold at every moment. */
export function balanced({ opened, closed, idle, inUse, detached }: EngineStatus): boolean {
  return opened === closed + idle + inUse + detached;
}
