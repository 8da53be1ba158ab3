/**
 * The faults of DNS in the fault matrix.
 *
 * @module
 */

import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { DnsServer } from "../../testing/mod.ts";

/** The name in the database URL. */
export const HOST = "db.internal";

/** Two name servers with the same records. */
export class NameServers {
  readonly #at: readonly { readonly host: string; readonly port: number }[];
  #servers: readonly DnsServer[];
  /** The address of the name as a rule, and another that it may have. */
  readonly #targets: { readonly main: string; readonly other: string };

  private constructor(
    servers: readonly DnsServer[],
    targets: { readonly main: string; readonly other: string },
  ) {
    this.#servers = servers;
    this.#at = servers.map(({ host, port }) => ({ host, port }));
    this.#targets = targets;
    this.setTtl(1);
  }

  /** Starts two servers. */
  static async start(targets: { main: string; other: string }): Promise<NameServers> {
    const hosts = await loopbackPair();
    const at = await Promise.all(
      hosts.map(async (host) => ({ host, port: await freePort([host]) })),
    );
    return new NameServers(await Promise.all(at.map((at) => DnsServer.start(at))), targets);
  }

  /** As `dnsNameservers` takes them. */
  get addresses(): string[] {
    return this.#servers.map(({ address }) => address);
  }

  /** The servers that run. */
  get servers(): readonly DnsServer[] {
    return this.#servers;
  }

  /** Sets the record's TTL. */
  setTtl(ttl: number): void {
    for (const server of this.#servers) server.set(HOST, [this.#targets.main], { ttl });
  }

  /** Makes the name alternate between both addresses. */
  flap(every: number): void {
    const schedule = [[this.#targets.main], [this.#targets.other]];
    for (const server of this.#servers) server.set(HOST, { schedule, every }, { ttl: 0 });
  }

  /** Stops the servers: their ports refuse. */
  async stop(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.close()));
  }

  /** Starts the servers again, on the same ports and with the same record. */
  async restart(): Promise<void> {
    this.#servers = await Promise.all(this.#at.map((at) => DnsServer.start(at)));
    this.setTtl(1);
  }
}

/** A fault. */
export interface DnsFaultCase {
  readonly name: string;
  begin(dns: NameServers): void | Promise<void>;
  end(dns: NameServers): void | Promise<void>;
  /** Whether there is no answer meanwhile: an engine that has none from before reports an error. */
  readonly noAnswer: boolean;
  /** Whether a connect may be abandoned before it fails, because its address has left the answer. */
  readonly abandonsConnects?: boolean;
}

function answers(name: string, fault: Parameters<DnsServer["fault"]>[1]): DnsFaultCase {
  return {
    name,
    begin: ({ servers }) => servers.forEach((server) => server.fault("*", fault)),
    end: ({ servers }) => servers.forEach((server) => server.clearFaults()),
    noAnswer: true,
  };
}

function records(name: string, change: (dns: NameServers) => void): DnsFaultCase {
  return { name, begin: change, end: (dns) => dns.setTtl(1), noAnswer: false };
}

/** All faults; the first is none. */
export const DNS_FAULTS: readonly DnsFaultCase[] = [
  { name: "fine", begin: () => {}, end: () => {}, noAnswer: false },
  answers("silent", { drop: true }),
  answers("SERVFAIL", { rcode: "SERVFAIL" }),
  answers("REFUSED", { rcode: "REFUSED" }),
  answers("NXDOMAIN", { rcode: "NXDOMAIN" }),
  answers("empty", { emptySuccess: true }),
  answers("garbage", { garbage: true }),
  { ...answers("slow", { delay: 0.1 }), noAnswer: false },
  records("TTL 0", (dns) => dns.setTtl(0)),
  records("TTL huge", (dns) => dns.setTtl(2 ** 31 - 1)),
  { ...records("flapping", (dns) => dns.flap(0.3)), abandonsConnects: true },
  {
    name: "half the nameservers dead",
    begin: ({ servers }) => servers[0]!.fault("*", { drop: true }),
    end: ({ servers }) => servers[0]!.clearFaults(),
    noAnswer: false,
  },
  {
    name: "nameservers restarted",
    begin: (dns) => dns.stop(),
    end: (dns) => dns.restart(),
    noAnswer: true,
  },
];
