/**
 * A headless service in Kubernetes: one name with an address for each ready pod. In this example the pods are replicas
 * for reports.
 *
 *     DATABASE_URL=postgresql://app:secret@replicas.shop.svc.cluster.local/orders deno run -A examples/headless_service.ts
 *
 * Use the full name. It is queried unchanged, without `search` and `ndots` of the pod's /etc/resolv.conf (on Deno, this
 * needs a dot at its end, `--allow-read=/etc/resolv.conf`, or `dnsNameservers`). Only the operating system resolves a
 * short name (`replicas.shop`), and it is not used here: see `dnsFallback`.
 */

import { type Engine, type EngineOptions, getDnsEngine } from "@dnspool/dnspool";
import { pgAdapter } from "@dnspool/dnspool/adapters/pg";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

export function openEngine(url: string, options: EngineOptions<pg.Client> = {}): Engine<pg.Client> {
  return getDnsEngine(url, {
    adapter: pgAdapter(pg),
    poolSize: 9,
    // A new connection goes to the pod with the fewest connections of this process. "random" and "round-robin" do not
    // count them; "ordered", the default, prefers the first address of the answer, which suits a single primary.
    loadBalance: "least-connections",
    // Open connections stay on their pod. A new pod gets its share as they are replaced, within 5 minutes.
    poolRecycle: 300,
    // The TTL of the cluster's DNS may be 30 seconds (kubeadm). With this, a pod that left is noticed within 5 seconds.
    dnsMaxTtl: 5,
    // Maximum time for work on a pod that left: less than its `terminationGracePeriodSeconds`.
    retireGrace: 25,
    // If DNS fails, the operating system would be queried, which tries search domains for a name without a final dot.
    dnsFallback: false,
    // "auto" uses A records, and AAAA records if there are none. In a dual-stack cluster, "both" uses all of them.
    dnsFamily: "auto",
    ...options,
  });
}

/** Runs a report. If its pod leaves meanwhile, the report continues for up to `retireGrace`. */
export function report(engine: Engine<pg.Client>, text: string) {
  return engine.use(async ({ client, address }) => {
    const { rows } = await client.query(text);
    return { pod: address, rows };
  });
}

/** Returns the number of connections to each pod. */
export function spread(engine: Engine<pg.Client>): Record<string, number> {
  const pods = Object.entries(engine.status().byAddress);
  return Object.fromEntries(pods.map(([pod, { idle, inUse }]) => [pod, idle + inUse]));
}

if (import.meta.main) {
  await using engine = openEngine(process.env.DATABASE_URL!);
  engine.addEventListener("addresschange", ({ detail }) => console.log("pods", detail.addresses));
  engine.addEventListener("retire", ({ detail }) => console.log("retired", detail));
  engine.addEventListener("terminate", ({ detail }) => console.log("terminated", detail));
  await Promise.all(Array.from({ length: 9 }, () => report(engine, "SELECT pg_sleep(0.1)")));
  console.log(spread(engine));
}
