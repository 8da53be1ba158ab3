/**
 * A headless service in Kubernetes: one name, an address for each pod that is ready, and pods that come and go. Here they
 * are replicas that answer reports.
 *
 *     DATABASE_URL=postgresql://app:secret@replicas.shop.svc.cluster.local/orders deno run -A examples/headless_service.ts
 *
 * Write the whole name. DNS is asked for it as it stands, whatever `search` and `ndots` say in a pod's /etc/resolv.conf
 * (on Deno, this takes a dot at its end, `--allow-sys=networkInterfaces`, or `dnsNameservers`). A short one
 * (`replicas.shop`) is known to the operating system alone, which is not asked here: see `dnsFallback`.
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
    // A new connection goes to the pod that has the fewest of this process. "random" and "round-robin" do not count;
    // "ordered", the default, fills the first pod of the answer, which is right for one primary and no more.
    loadBalance: "least-connections",
    // Open connections stay where they are, so a pod that is new gets its share as they are replaced: within 5 minutes.
    poolRecycle: 300,
    // The cluster's DNS may say 30 seconds (kubeadm does); a pod that left is noticed within 5.
    dnsMaxTtl: 5,
    // Work on a pod that left may go on for so long: less than its `terminationGracePeriodSeconds`.
    retireGrace: 25,
    // With DNS out of order, the operating system would be asked, and without a dot at the end it tries search domains.
    dnsFallback: false,
    // "auto" takes A records, and AAAA where there are none; in a cluster with both, `"both"` takes the pods by either.
    dnsFamily: "auto",
    ...options,
  });
}

/** Work that takes its time; a pod that leaves meanwhile lets it end. */
export function report(engine: Engine<pg.Client>, text: string) {
  return engine.use(async ({ client, address }) => {
    const { rows } = await client.query(text);
    return { pod: address, rows };
  });
}

/** How many connections each pod has. */
export function spread(engine: Engine<pg.Client>): Record<string, number> {
  const pods = Object.entries(engine.status().byAddress);
  return Object.fromEntries(pods.map(([pod, { idle, inUse }]) => [pod, idle + inUse]));
}

if (import.meta.main) {
  await using engine = openEngine(process.env.DATABASE_URL!);
  engine.addEventListener("addresschange", ({ detail }) => console.log("pods", detail.addresses));
  engine.addEventListener("retire", ({ detail }) => console.log("ends its work", detail));
  engine.addEventListener("terminate", ({ detail }) => console.log("did not end in time", detail));
  await Promise.all(Array.from({ length: 9 }, () => report(engine, "SELECT pg_sleep(0.1)")));
  console.log(spread(engine));
}
