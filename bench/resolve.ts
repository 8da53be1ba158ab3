/**
 * `deno task bench:resolve`: the cost of a fresh answer, compared with cacheable-lookup and undici.
 *
 * Every lookup is answered at once from memory with a TTL of an hour, so only cache hits are timed. `bench/rounds.ts`
 * says how it is measured. With `--names`: `bench/names.ts`; with `--hits`: `bench/hits.ts`.
 *
 * @module
 */

import CacheableLookup from "npm:cacheable-lookup@7.0.0";
import { interceptors } from "npm:undici@7.30.0";
import process from "node:process";
import type { Lookup } from "../lookups/lookup.ts";
import { readDnsOptions } from "../engine/options.ts";
import { clearDnsCache, getIpWithTtl, viewOf } from "../resolver.ts";
import { runHits } from "./hits.ts";
import { runNames } from "./names.ts";
import { finish, quick, ROUNDS, runtimeName, show } from "./report.ts";
import { compare, type Contender } from "./rounds.ts";

if (process.argv.includes("--names")) {
  await runNames();
  await new Promise(() => {}); // the server's process goes on
}

if (process.argv.includes("--hits")) await runHits();

const HOST = "db.internal";
const ADDRESS = "127.0.0.2";
const TTL = 3600;

/** The last result, stored so that no compiler removes the code that produces it. */
let kept: unknown;

let queries = 0;
const dnsLookup: Lookup = {
  name: "memory",
  lookup: () => {
    queries++;
    return Promise.resolve({ addresses: [ADDRESS], ttl: TTL });
  },
};

/** Repeats an asynchronous call. */
function awaited(name: string, call: () => Promise<unknown>): Contender {
  return {
    name,
    async run(operations) {
      for (let i = 0; i < operations; i++) kept = await call();
    },
  };
}

/** Repeats a synchronous call. */
function direct(name: string, call: () => unknown): Contender {
  return {
    name,
    run(operations) {
      for (let i = 0; i < operations; i++) kept = call();
      return Promise.resolve();
    },
  };
}

const dnsOptions = { dnsLookup, dnsMaxTtl: TTL };
const view = viewOf(HOST, readDnsOptions(dnsOptions, "bench").settings);
await getIpWithTtl(HOST, dnsOptions);
// Like an engine with an open connection.
view.keepFresh();

const table = new Map([[HOST, { address: ADDRESS, untilMs: performance.now() + TTL * 1000 }]]);

type Done = (error: null, records: { address: string; ttl: number }[]) => void;
const resolver = {
  getServers: () => [],
  setServers: () => {},
  resolve4: (_host: string, _options: unknown, done: Done) =>
    done(null, [{ address: ADDRESS, ttl: TTL }]),
  resolve6: (_host: string, _options: unknown, done: Done) => done(null, []),
};
type CacheableOptions = NonNullable<ConstructorParameters<typeof CacheableLookup>[0]>;
const cacheable = new CacheableLookup(
  { resolver, maxTtl: TTL, lookup: false } as unknown as CacheableOptions,
);
await cacheable.lookupAsync(HOST);

type Dispatch = ReturnType<ReturnType<typeof interceptors.dns>>;
let dispatched: unknown;
const dispatch = interceptors.dns({
  maxTTL: TTL * 1000,
  lookup: (_origin, _options, done) => {
    queueMicrotask(() => done(null, [{ address: ADDRESS, family: 4, ttl: TTL * 1000 }]));
  },
})(
  ((options: unknown) => {
    dispatched = options;
    return true;
  }) as Dispatch,
);
const request = { origin: `http://${HOST}:80`, path: "/", method: "GET" as const };
const handler = {} as Parameters<Dispatch>[1];
dispatch(request, handler);
await new Promise((resolve) => setTimeout(resolve, 10));

console.log(`${runtimeName()}${quick ? ", quick" : ""}`);
const hits = await compare([
  awaited("dnspool getIpWithTtl", () => getIpWithTtl(HOST, dnsOptions)),
  awaited("cacheable-lookup lookupAsync", () => cacheable.lookupAsync(HOST)),
  direct("undici dns interceptor", () => {
    dispatch(request, handler);
    return dispatched;
  }),
  // The lower bound for a promise of the address and the remaining seconds.
  awaited("Map.get, one clock reading, a promise", () => {
    const { address, untilMs } = table.get(HOST)!;
    const nowMs = performance.now();
    if (nowMs >= untilMs) throw new Error("stale");
    return Promise.resolve([address, Math.ceil((untilMs - nowMs) / 1000)]);
  }),
], ROUNDS);
show("A fresh answer", hits);
const engine = await compare([
  direct("engine's synchronous hit", () => view.isFresh() && view.addresses[0]),
  direct("Map.get and one clock reading", () => {
    const entry = table.get(HOST)!;
    return performance.now() < entry.untilMs && entry.address;
  }),
], ROUNDS);
show("Without a promise, as in the engine", engine);

clearDnsCache();
queries = 0;
await Promise.all(Array.from({ length: 10_000 }, () => getIpWithTtl(HOST, dnsOptions)));
console.log(
  `\n10,000 concurrent callers after expiry send ${queries} ${queries === 1 ? "query" : "queries"}`,
);
finish({ hits, engine, queries, kept: typeof kept });
