/**
 * `deno task bench:resolve --hits`: the cost of a fresh answer with 100,000 names that engines follow, compared with that of
 * ten. A map of as many names shows what the machine's own caches cost.
 *
 * @module
 */

import { readDnsOptions } from "../engine/options.ts";
import type { Lookup } from "../lookups/lookup.ts";
import { getIpWithTtl, viewOf } from "../resolver.ts";
import { finish, quick, ROUNDS, runtimeName, show } from "./report.ts";
import { compare, type Contender } from "./rounds.ts";

const COUNTS = [10, 100_000];
const TTL = 3600;

/** The last result, stored so that no compiler removes the code that produces it. */
let kept: unknown;

const dnsLookup: Lookup = {
  name: "memory",
  lookup: () => Promise.resolve({ addresses: ["127.0.0.2"], ttl: TTL }),
};

/** Makes a contender that takes the names in turn. */
function inTurn(what: string, count: number, call: (index: number) => unknown): Contender {
  let index = 0;
  return {
    name: `${what}, ${count} names`,
    async run(operations) {
      for (let i = 0; i < operations; i++) {
        const result = call(index);
        kept = result instanceof Promise ? await result : result;
        if (++index === count) index = 0;
      }
    },
  };
}

/** Runs the benchmark. */
export async function runHits(): Promise<never> {
  const options = { dnsLookup, dnsMaxTtl: TTL, dnsFallback: false };
  const { settings } = readDnsOptions(options, "bench");
  const names = Array.from({ length: COUNTS.at(-1)! }, (_, index) => `name-${index}.internal`);
  const views = names.map((name) => {
    const view = viewOf(name, settings);
    view.keepFresh(); // like an engine with an open connection
    return view;
  });
  for (let from = 0; from < views.length; from += 1000) {
    await Promise.all(views.slice(from, from + 1000).map((view) => view.waitUntilFresh()));
  }
  // As many hosts are remembered for an options object.
  for (const name of names) await getIpWithTtl(name, options);
  const table = new Map(views.map((view, index) => [names[index]!, view]));

  console.log(`${runtimeName()}${quick ? ", quick" : ""}`);
  const results: Record<string, unknown> = {};
  const calls: Record<string, (index: number) => unknown> = {
    "getIpWithTtl": (index) => getIpWithTtl(names[index]!, options),
    "engine's synchronous hit": (index) => views[index]!.isFresh() && views[index]!.addresses[0],
    "Map.get": (index) => table.get(names[index]!)!.addresses[0],
  };
  for (const [what, call] of Object.entries(calls)) {
    const timings = await compare(COUNTS.map((count) => inTurn(what, count, call)), ROUNDS);
    show(what, timings);
    results[what] = timings;
  }
  finish({ results, kept: typeof kept });
}
