/**
 * What goes wrong with DNS in the fault matrix.
 *
 * @module
 */

import { freePort } from "../../lab/free_port.ts";
import { DnsServer } from "../../testing/mod.ts";

/** The name in the database URL. */
export const HOST = "db.internal";

/** Two name servers with the same records. */
export class NameServers {
  readonly #at: readonly { readonly host: string; readonly port: number }[];
  #servers: readonly DnsServer[];
  /** Where the name points as a rule, and where it may point as well. */
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

  /** Starts them. */
  static async start(targets: { main: string; other: string }): Promise<NameServers> {
    const host = "127.0.0.1";
    const at = [{ host, port: await freePort([host]) }, { host, port: await freePort([host]) }];
    return new NameServers(await Promise.all(at.map((at) => DnsServer.start(at))), targets);
  }

  /** As `dnsNameservers` takes them. */
  get addresses(): string[] {
    return this.#servers.map(({ address }) => address);
  }

  /** All that run. */
  get servers(): readonly DnsServer[] {
    return this.#servers;
  }

  /** The record's TTL. */
  setTtl(ttl: number): void {
    for (const server of this.#servers) server.set(HOST, [this.#targets.main], { ttl });
  }

  /** The name points here and there in turn. */
  flap(every: number): void {
    const schedule = [[this.#targets.main], [this.#targets.other]];
    for (const server of this.#servers) server.set(HOST, { schedule, every }, { ttl: 0 });
  }

  /** They are gone, and their ports refuse. */
  async stop(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.close()));
  }

  /** They are back on the same ports, and know the same. */
  async restart(): Promise<void> {
    this.#servers = await Promise.all(this.#at.map((at) => DnsServer.start(at)));
    this.setTtl(1);
  }
}

/** One thing that goes wrong. */
export interface DnsFaultCase {
  readonly name: string;
  begin(dns: NameServers): void | Promise<void>;
  end(dns: NameServers): void | Promise<void>;
  /** Whether there is no answer while it lasts: who has none from before gets an error. */
  readonly noAnswer: boolean;
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

/** All of them; the first is none. */
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
  records("flapping", (dns) => dns.flap(0.3)),
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
