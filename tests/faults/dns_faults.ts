/**
 * The faults of DNS in the fault matrix.
 *
 * @module
 */

import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { DnsServer } from "../../testing/mod.ts";
import { pause } from "../support/waiting.ts";

/** Maximum number of attempts to start a name server again. */
const MAX_STARTS = 20;

/** The name in the database URL. */
export const HOST = "db.internal";

/** The addresses of the servers. */
export interface Targets {
  /** The address of the name as a rule. */
  readonly main: string;
  /** Another that it may have. */
  readonly other: string;
  /** Whether it has both. */
  readonly both?: boolean;
}

/** Two name servers with the same records. */
export class NameServers {
  readonly #at: readonly { readonly host: string; readonly port: number }[];
  #servers: readonly DnsServer[];
  readonly #targets: Targets;
  /** What the record holds, unless it alternates. */
  #addresses: readonly string[];
  #ttl = 1;
  #flaps = false;

  private constructor(servers: readonly DnsServer[], targets: Targets) {
    this.#servers = servers;
    this.#at = servers.map(({ host, port }) => ({ host, port }));
    this.#targets = targets;
    this.#addresses = targets.both ? [targets.main, targets.other] : [targets.main];
    this.setTtl(1);
  }

  /** Starts two servers. */
  static async start(targets: Targets): Promise<NameServers> {
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

  /** Sets the record's TTL; it alternates no more. */
  setTtl(ttl: number): void {
    this.#ttl = ttl;
    this.#flaps = false;
    for (const server of this.#servers) server.set(HOST, [...this.#addresses], { ttl });
  }

  /** Moves the name to its other address, unless it alternates between both. */
  move(): void {
    this.#addresses = [this.#targets.other];
    if (!this.#flaps) this.setTtl(this.#ttl);
  }

  /** Makes the name alternate: between both addresses, or between both and the other one alone. */
  flap(every: number): void {
    this.#flaps = true;
    const { main, other, both } = this.#targets;
    const schedule = [both ? [main, other] : [main], [other]];
    for (const server of this.#servers) server.set(HOST, { schedule, every }, { ttl: 0 });
  }

  /** Stops the servers: their ports refuse. */
  async stop(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.close()));
  }

  /** Starts the servers again, on the same ports and with the same record. */
  async restart(): Promise<void> {
    this.#servers = await Promise.all(this.#at.map(startAgain));
    this.setTtl(1);
  }
}

/** Starts a server on the port of one that was closed, which a busy machine may not have noticed yet. */
async function startAgain(at: { host: string; port: number }): Promise<DnsServer> {
  for (let tries = 1;; tries++) {
    try {
      return await DnsServer.start(at);
    } catch (error) {
      if (tries === MAX_STARTS) throw error;
      await pause(100);
    }
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
