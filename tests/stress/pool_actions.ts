/**
 * What may happen to an engine, how often, and with which options.
 *
 * @module
 */

import fc from "npm:fast-check@^4";
import type { Trouble, WorldPlan } from "./pool_world.ts";
import type { ServerState } from "./pool_servers.ts";

/** What may be tried with a lease that was released. */
export type Again = "release" | "invalidate" | "detach";

/** One action. `which` chooses one of the objects that there are at that moment. */
export type Action =
  | { do: "checkout"; timeout: number | undefined; abortAfter: number | undefined }
  | { do: "use"; ms: number; trouble: Trouble }
  | { do: "abort"; which: number }
  | { do: "release"; which: number; trouble: Trouble }
  | { do: "invalidate"; which: number; trouble: Trouble; soft: boolean }
  | { do: "detach"; which: number }
  | { do: "again"; which: number; how: Again }
  | { do: "kill"; which: number }
  | { do: "server"; which: number; state: ServerState }
  | { do: "role"; which: number; standby: boolean; reports: boolean }
  | { do: "name"; addresses: number[] }
  | { do: "dns"; failure: "transient" | "negative" | undefined; delayMs: number }
  | { do: "advance"; ms: number }
  | { do: "stall"; seconds: number }
  | { do: "finish"; most: number }
  | { do: "warm"; count: number }
  | { do: "invalidate all" }
  | { do: "dispose" }
  | { do: "close"; drain: number };

/** Weights a case. */
function often<T>(weight: number, arbitrary: fc.Arbitrary<T>) {
  return { weight, arbitrary };
}

/** Chooses one of the values; a value given twice is chosen twice as often. */
function oneOf<const T>(...values: T[]): fc.Arbitrary<T> {
  return fc.constantFrom(...values);
}

/** Creates plain objects, which read better in a report. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) {
  return fc.record(model, { noNullPrototype: true });
}

/** Creates the name of an action. */
function its<K extends Action["do"]>(name: K): fc.Arbitrary<K> {
  return fc.constant(name);
}

const which = fc.nat(1000);
const trouble = oneOf<Trouble>(
  "none",
  "none",
  "none",
  "disconnect",
  "read-only",
  "harmless",
  "odd",
);

/** Any action. */
export const anyAction: fc.Arbitrary<Action> = fc.oneof(
  often(
    80,
    record({
      do: its("checkout"),
      timeout: oneOf(undefined, undefined, 0, 0.2, 3, Infinity),
      // In microtasks: so that each `await` is hit.
      abortAfter: fc.oneof(often(3, fc.constant(undefined)), often(1, fc.nat(40))),
    }),
  ),
  often(24, record({ do: its("use"), ms: fc.nat(3000), trouble })),
  often(10, record({ do: its("abort"), which })),
  often(40, record({ do: its("release"), which, trouble })),
  often(6, record({ do: its("invalidate"), which, trouble, soft: fc.boolean() })),
  often(4, record({ do: its("detach"), which })),
  often(
    10,
    record({ do: its("again"), which, how: oneOf<Again>("release", "invalidate", "detach") }),
  ),
  often(5, record({ do: its("kill"), which })),
  often(
    8,
    record({
      do: its("server"),
      which,
      state: oneOf<ServerState>(
        "up",
        "up",
        "up",
        "up",
        "up",
        "refusing",
        "frozen",
        "full",
        "unreachable",
      ),
    }),
  ),
  often(
    3,
    record({ do: its("role"), which, standby: fc.boolean(), reports: fc.boolean() }),
  ),
  often(
    12,
    record({
      do: its("name"),
      addresses: fc.oneof(
        often(8, fc.uniqueArray(fc.nat(2), { minLength: 1, maxLength: 3 })),
        often(1, fc.constant<number[]>([])),
      ),
    }),
  ),
  often(
    6,
    record({
      do: its("dns"),
      failure: oneOf(undefined, undefined, undefined, "transient", "negative"),
      delayMs: oneOf(0, 0, 5, 300, 5000),
    }),
  ),
  often(
    40,
    record({ do: its("advance"), ms: oneOf(0, 1, 1, 7, 7, 50, 300, 1000, 2500, 11_000) }),
  ),
  often(3, record({ do: its("stall"), seconds: oneOf(0.1, 2, 12) })),
  often(40, record({ do: its("finish"), most: fc.integer({ min: 1, max: 6 }) })),
  often(3, record({ do: its("warm"), count: fc.integer({ min: 1, max: 3 }) })),
  often(3, record({ do: its("invalidate all") })),
  often(2, record({ do: its("dispose") })),
  often(1, record({ do: its("close"), drain: oneOf(0, 1, 10) })),
);

/** The options that matter here, each mostly at its default. */
const anyOptions = (poolClasses: readonly PoolClass[]) =>
  record({
    poolSize: oneOf(1, 1, 2, 3, 4, 0),
    maxOverflow: oneOf(0, 0, 1, 2, -1),
    poolTimeout: oneOf(30, 30, 0.5, 5, Infinity),
    poolUseLifo: fc.boolean(),
    poolClass: oneOf(...poolClasses),
    poolPrePing: fc.boolean(),
    prePingAfter: oneOf(0, 0, 1),
    poolRecycle: oneOf(Infinity, Infinity, 0.001, 3, 20),
    poolResetOnReturn: oneOf("rollback", "commit", "reset", null),
    maxUses: oneOf(Infinity, Infinity, 1, 3),
    idleTimeout: oneOf(Infinity, Infinity, 0.05, 4),
    minIdle: oneOf(0, 0, 1),
    minSize: oneOf(0, 0, 1),
    connectRetry: oneOf(true, true, false),
    connectConcurrency: oneOf(4, 1, 2),
    connectTimeout: oneOf(2, 0.5),
    probeTimeout: oneOf(1, 0.2),
    dnsTimeout: oneOf(2, 12),
    dnsGraceTtl: oneOf(30, 3, 0),
    dnsMinTtl: oneOf(0.25, 0.25, 0),
    dnsAddressLinger: oneOf(0, 0, 0.5, 6),
    dnsRefresh: oneOf("ahead", "ahead", "on-demand"),
    retireGrace: oneOf(Infinity, Infinity, 0, 2),
    leaseProbeAfter: oneOf(Infinity, 1.5),
    leaseWarnAfter: oneOf(Infinity, 1),
    loadBalance: oneOf("ordered", "random", "round-robin", "least-connections"),
    targetSessionAttrs: oneOf("any", "any", "any", "primary", "prefer-standby"),
  }).map(({ poolSize, maxOverflow, minIdle, minSize, ...options }) => {
    // Other classes have limits of their own.
    if (options.poolClass !== "queue") return options;
    return { ...options, poolSize, maxOverflow, minIdle, minSize };
  });

/** The pool classes, by how often each is chosen. */
const POOL_CLASSES = [...Array<"queue">(8).fill("queue"), "null", "assertion", "static"] as const;

/** A pool class. */
export type PoolClass = (typeof POOL_CLASSES)[number];

/** Any world, or any with a given pool class. */
export function anyWorld(poolClass?: PoolClass): fc.Arbitrary<WorldPlan> {
  return record({
    seed: fc.integer(),
    options: anyOptions(poolClass === undefined ? POOL_CLASSES : [poolClass]),
    faults: oneOf(0, 0.02, 0.1, 0.4),
    hooks: oneOf(0, 0, 255).chain((most) => fc.nat(most)),
    ttl: oneOf(2, 0, 1, 10),
  });
}
