/**
 * What a fresh answer costs: ours, cacheable-lookup's and undici's, in one run. `deno task bench:resolve`.
 *
 * Every lookup is answered at once from memory with a TTL of an hour, so that only hits are timed.
 *
 * @module
 */

import CacheableLookup from "npm:cacheable-lookup@7.0.0";
import { bench, do_not_optimize, run } from "npm:mitata@1.0.34";
import { interceptors } from "npm:undici@7.30.0";
import { now } from "../_clock.ts";
import type { Lookup } from "../lookups/lookup.ts";
import { readDnsOptions } from "../options.ts";
import { getIpWithTtl, viewOf } from "../resolver.ts";

const HOST = "db.internal";
const ADDRESS = "127.0.0.2";
const TTL = 3600;

const dnsLookup: Lookup = {
  name: "memory",
  lookup: () => Promise.resolve({ addresses: [ADDRESS], ttl: TTL }),
};

const dnsOptions = { dnsLookup, dnsMaxTtl: TTL };
await getIpWithTtl(HOST, dnsOptions);
const view = viewOf(HOST, readDnsOptions(dnsOptions, "bench").settings);
bench(
  "dnspool getIpWithTtl, with options",
  async () => do_not_optimize(await getIpWithTtl(HOST, dnsOptions)),
);
bench("dnspool synchronous hit of an engine", () => {
  if (view.usable(now())) do_not_optimize(view.addresses[0]);
});

const table = new Map([[HOST, { address: ADDRESS, untilMs: performance.now() + TTL * 1000 }]]);
bench("Map.get and one clock reading", () => {
  const entry = table.get(HOST)!;
  if (performance.now() < entry.untilMs) do_not_optimize(entry.address);
});

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
bench(
  "cacheable-lookup lookupAsync",
  async () => do_not_optimize(await cacheable.lookupAsync(HOST)),
);

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
bench("undici dns interceptor", () => {
  dispatch(request, handler);
  do_not_optimize(dispatched);
});

await run({ throw: true });
