/**
 * What is done to servers, network and DNS during the soak test, in the order of a seed.
 *
 * @module
 */

import type { PostgresServer } from "../../lab/postgres.ts";
import { pause } from "../../lab/processes.ts";
import type { DnsFault, DnsServer, TcpProxy } from "../../testing/mod.ts";

/** One of two servers, and the proxy in front of it. */
export interface Site {
  readonly server: PostgresServer;
  readonly proxy: TcpProxy;
}

/** What harm is done to. */
export interface Scene {
  readonly name: string;
  readonly dns: DnsServer;
  readonly sites: readonly [Site, Site];
}

const DNS: readonly DnsFault[] = [
  { drop: true },
  { rcode: "SERVFAIL" },
  { rcode: "REFUSED" },
  { rcode: "NXDOMAIN" },
  { emptySuccess: true },
  { garbage: true },
  { delay: 0.3 },
  { wrongId: true, thenCorrect: true },
];

/** Does harm until the time is up, and makes all good again. */
export async function doHarm(
  { name, dns, sites }: Scene,
  seconds: number,
  dice: () => number,
): Promise<Record<string, number>> {
  const told: Record<string, number> = {};
  const count = (what: string) => told[what] = (told[what] ?? 0) + 1;
  let now = 0;
  const flip = () => {
    now = 1 - now;
    count("flips");
    dns.set(name, [sites[now]!.proxy.host], { ttl: 1 });
  };
  const acts: Record<string, (site: Site) => Promise<void>> = {
    async kills({ server }) {
      await server.kill();
      await pause(dice() * 1000);
      await server.start();
    },
    async freezes({ server }) {
      await server.freeze();
      await pause(500 + dice() * 2000);
      await server.thaw();
    },
    async drops({ proxy }) {
      await proxy.fault({ drop: "both" });
      await pause(500 + dice() * 1500);
      await proxy.clearFaults();
    },
    async delays({ proxy }) {
      await proxy.fault({ delay: dice() / 5 });
      await pause(1000);
      await proxy.clearFaults();
    },
    async cuts({ proxy }) {
      await proxy.fault({ cutAfter: 1 + Math.floor(dice() * 1000) });
      await pause(300);
      proxy.cut();
      await proxy.clearFaults();
    },
    async dns() {
      dns.fault("*", DNS[Math.floor(dice() * DNS.length)]!);
      await pause(500 + dice() * 1500);
      dns.clearFaults();
    },
  };
  const names = Object.keys(acts);
  const endMs = performance.now() + seconds * 1000;
  for (let turn = 0; performance.now() < endMs; turn++) {
    await pause(1000 + dice() * 1500);
    // A server goes, and then the name moves; or the name moves, and then what is left behind goes.
    if (turn % 2 === 0) flip();
    const what = names[Math.floor(dice() * names.length)]!;
    count(what);
    const site = sites[dice() < 0.7 ? now : 1 - now]!;
    const done = acts[what]!(site);
    if (dice() < 0.5) {
      await pause(dice() * 1000);
      flip();
    }
    await done;
  }
  return told;
}
