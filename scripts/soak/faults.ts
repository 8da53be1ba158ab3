/**
 * Injects faults into servers, network and DNS during the soak test, in an order that a seed decides.
 *
 * @module
 */

import type { PostgresServer } from "../../lab/postgres.ts";
import { pause } from "../../lab/processes.ts";
import type { DnsFault, DnsServer, TcpProxy } from "../../testing/mod.ts";

/** A server, and the proxy in front of it. */
export interface Site {
  readonly server: PostgresServer;
  readonly proxy: TcpProxy;
}

/** The targets of the faults. */
export interface Setup {
  readonly name: string;
  readonly dns: DnsServer;
  readonly sites: readonly [Site, Site];
}

const DNS_FAULTS: readonly DnsFault[] = [
  { drop: true },
  { rcode: "SERVFAIL" },
  { rcode: "REFUSED" },
  { rcode: "NXDOMAIN" },
  { emptySuccess: true },
  { garbage: true },
  { delay: 0.3 },
  { wrongId: true, thenCorrect: true },
];

/** Injects faults for a number of seconds, and clears them; resolves with the number of each kind. */
export async function injectFaults(
  { name, dns, sites }: Setup,
  seconds: number,
  random: () => number,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const count = (kind: string) => counts[kind] = (counts[kind] ?? 0) + 1;
  let current = 0;
  const flip = () => {
    current = 1 - current;
    count("flips");
    dns.set(name, [sites[current]!.proxy.host], { ttl: 1 });
  };
  const faults: Record<string, (site: Site) => Promise<void>> = {
    async kills({ server }) {
      await server.kill();
      await pause(random() * 1000);
      await server.start();
    },
    async freezes({ server }) {
      await server.freeze();
      await pause(500 + random() * 2000);
      await server.thaw();
    },
    async drops({ proxy }) {
      await proxy.fault({ drop: "both" });
      await pause(500 + random() * 1500);
      await proxy.clearFaults();
    },
    async delays({ proxy }) {
      await proxy.fault({ delay: random() / 5 });
      await pause(1000);
      await proxy.clearFaults();
    },
    async cuts({ proxy }) {
      await proxy.fault({ cutAfter: 1 + Math.floor(random() * 1000) });
      await pause(300);
      proxy.cut();
      await proxy.clearFaults();
    },
    async dns() {
      dns.fault("*", DNS_FAULTS[Math.floor(random() * DNS_FAULTS.length)]!);
      await pause(500 + random() * 1500);
      dns.clearFaults();
    },
  };
  const names = Object.keys(faults);
  const endMs = performance.now() + seconds * 1000;
  for (let turn = 0; performance.now() < endMs; turn++) {
    await pause(1000 + random() * 1500);
    // In turn: the fault before the name moves, and after it.
    if (turn % 2 === 0) flip();
    const kind = names[Math.floor(random() * names.length)]!;
    count(kind);
    const site = sites[random() < 0.7 ? current : 1 - current]!;
    const done = faults[kind]!(site);
    if (random() < 0.5) {
      await pause(random() * 1000);
      flip();
    }
    await done;
  }
  return counts;
}
