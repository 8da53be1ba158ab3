/**
 * The cases of the lookup contract (tests/contracts/lookup.ts): the state of the DNS server, and the outcome that a
 * lookup must have.
 *
 * @module
 */

import type { LookupErrorKind } from "../../errors.ts";
import type { DnsServer } from "../../testing/mod.ts";

/** The outcome of a question. */
export type Outcome =
  /** An answer; its `ttl` is `"none"` if the lookup does not report it. */
  | { readonly addresses: readonly string[]; readonly ttl: number | "none" }
  /** An error with these properties, and no others. */
  | {
    readonly kind: LookupErrorKind;
    readonly reason?: string;
    readonly negativeTtl?: number;
  }
  /** None until the signal ends it. */
  | "silence";

/** One case. */
export interface Case {
  /** Prepares the server. */
  readonly server: (dns: DnsServer) => void | Promise<void>;
  /** Default `"db.internal"`. */
  readonly name?: string;
  /** Default 4. */
  readonly family?: 4 | 6 | "srv";
  /** The address that the server listens on. Default `"127.0.0.1"`. */
  readonly host?: string;
  readonly expected: Outcome;
}

const NAME = "db.internal";
/** 253 characters, in labels of 63 and fewer. */
const MAX_LENGTH_NAME = `${`${"a".repeat(63)}.`.repeat(3)}${"b".repeat(61)}`;
const RIGHT = { addresses: ["127.0.0.2"], ttl: 60 } as const;
const NO_NAME = { kind: "negative", reason: "NXDOMAIN", negativeTtl: 7 } as const;
const NO_DATA = { kind: "negative", reason: "NODATA", negativeTtl: 7 } as const;
const BARE_NO_DATA = { kind: "negative", reason: "NODATA" } as const;
const UNUSABLE = { kind: "transient", reason: "EBADRESP" } as const;

const one = (dns: DnsServer) => dns.set(NAME, ["127.0.0.2"], { ttl: 60 });

/** Sets one name, and a fault in its answers. */
function oneWith(fault: Parameters<DnsServer["fault"]>[1]): (dns: DnsServer) => void {
  return (dns) => {
    one(dns);
    dns.fault(NAME, fault);
  };
}

const SERVICE = "_postgresql._tcp.db.internal";
const SERVICES = {
  addresses: ["10 60 5432 a.internal", "10 40 5433 b.internal", "20 0 65535 c.internal"],
  ttl: 60,
} as const;

function services(dns: DnsServer, name: string): void {
  const srv = [
    { priority: 10, weight: 60, port: 5432, target: "a.internal" },
    { priority: 10, weight: 40, port: 5433, target: "b.internal" },
    { priority: 20, port: 65535, target: "c.internal" },
  ];
  dns.set(name, { srv }, { ttl: 60 });
}

function chain(ttls: readonly [number, number, number]): (dns: DnsServer) => void {
  return (dns) => {
    dns.set(NAME, { cname: "a.internal" }, { ttl: ttls[0] });
    dns.set("a.internal", { cname: "b.internal" }, { ttl: ttls[1] });
    dns.set("b.internal", ["127.0.0.2", "127.0.0.3"], { ttl: ttls[2] });
  };
}

function chainWith(fault: Parameters<DnsServer["fault"]>[1]): (dns: DnsServer) => void {
  return (dns) => {
    chain([4, 3, 5])(dns);
    dns.fault(NAME, fault);
  };
}

/** Answers with an alias to a name of another zone, and nothing else, as the servers of a zone do. */
function aliasAlone(prepare: (dns: DnsServer) => void): (dns: DnsServer) => void {
  return (dns) => {
    const alias = { name: NAME, cname: "a.other", ttl: 3 };
    dns.fault(NAME, { emptySuccess: true, extraRecords: [alias] });
    prepare(dns);
  };
}

const CHAINED = { addresses: ["127.0.0.2", "127.0.0.3"], ttl: 3 } as const;
const MANY = Array.from({ length: 200 }, (_, index) => `127.0.1.${index}`);

/** The cases, by the sentences that they show. */
export const CASES = {
  "returns the address and the TTL of an A record": { server: one, expected: RIGHT },
  "returns the address and the TTL of an AAAA record, in its shortest spelling": {
    server: (dns) => dns.set(NAME, ["127.0.0.2", "fd00:0:0::02"], { ttl: 60 }),
    family: 6,
    expected: { addresses: ["fd00::2"], ttl: 60 },
  },
  "returns several addresses in the server's order": {
    server: (dns) => dns.set(NAME, ["127.0.0.9", "127.0.0.2", "127.0.0.5"], { ttl: 60 }),
    expected: { addresses: ["127.0.0.9", "127.0.0.2", "127.0.0.5"], ttl: 60 },
  },
  "returns a repeated address once": {
    server: (dns) => dns.set(NAME, ["127.0.0.2", "127.0.0.3", "127.0.0.2"], { ttl: 60 }),
    expected: { addresses: ["127.0.0.2", "127.0.0.3"], ttl: 60 },
  },
  "asks a server with an IPv6 address": { server: one, host: "::1", expected: RIGHT },
  "waits for a late answer": { server: oneWith({ delay: 0.2 }), expected: RIGHT },
  "asks for a name with an underscore": {
    server: (dns) => dns.set("my_db.internal", ["127.0.0.2"], { ttl: 60 }),
    name: "my_db.internal",
    expected: RIGHT,
  },
  "asks for a name of the maximum length": {
    server: (dns) => dns.set(MAX_LENGTH_NAME, ["127.0.0.2"], { ttl: 60 }),
    name: MAX_LENGTH_NAME,
    expected: RIGHT,
  },

  "returns the TTL of the first alias if it is the smallest of the chain": {
    server: chain([3, 30, 300]),
    expected: CHAINED,
  },
  "returns the TTL of the second alias if it is the smallest of the chain": {
    server: chain([300, 3, 30]),
    expected: CHAINED,
  },
  "returns the TTL of the record if it is the smallest of the chain": {
    server: chain([300, 30, 3]),
    expected: CHAINED,
  },
  "returns the smallest TTL of several records": {
    server: (dns) => {
      dns.set(NAME, ["127.0.0.2"], { ttl: 4 });
      dns.fault(NAME, { extraRecords: [{ name: NAME, address: "127.0.0.3", ttl: 3 }] });
    },
    expected: CHAINED,
  },
  "follows a chain whose records come in reverse order": {
    server: chainWith({ order: "reversed" }),
    expected: { addresses: ["127.0.0.3", "127.0.0.2"], ttl: 3 },
  },
  "follows a chain in mixed letter case": {
    server: (dns) => {
      dns.set(NAME, { cname: "Node-A.Internal" }, { ttl: 60 });
      dns.set("node-a.internal", [], { ttl: 60 });
      const record = { name: "NODE-A.internal", address: "127.0.0.2", ttl: 60 };
      dns.fault(NAME, { extraRecords: [record] });
    },
    expected: RIGHT,
  },
  "returns a TTL of 0 unchanged": {
    server: (dns) => dns.set(NAME, ["127.0.0.2"], { ttl: 0 }),
    expected: { addresses: ["127.0.0.2"], ttl: 0 },
  },
  "returns the largest TTL unchanged": {
    server: (dns) => dns.set(NAME, ["127.0.0.2"], { ttl: 2 ** 31 - 1 }),
    expected: { addresses: ["127.0.0.2"], ttl: 2 ** 31 - 1 },
  },
  "counts a TTL with the top bit set as 0": {
    server: (dns) => dns.set(NAME, ["127.0.0.2"], { ttl: 2 ** 31 }),
    expected: { addresses: ["127.0.0.2"], ttl: 0 },
  },
  "counts a TTL with the top bit set within a chain as 0": {
    server: chain([2 ** 32 - 1, 30, 300]),
    expected: { addresses: ["127.0.0.2", "127.0.0.3"], ttl: 0 },
  },

  "ignores records that are not on the chain": {
    server: oneWith({
      extraRecords: [
        { name: "other.internal", address: "127.0.0.66", ttl: 1 },
        { name: "other.internal", cname: NAME, ttl: 1 },
      ],
    }),
    expected: RIGHT,
  },
  "ignores records of the other family": {
    server: oneWith({ extraRecords: [{ name: NAME, address: "fd00::66", ttl: 1 }] }),
    expected: RIGHT,
  },
  "reports a response with only records that are not on the chain as NODATA": {
    server: oneWith({
      emptySuccess: true,
      extraRecords: [{ name: "other.internal", address: "127.0.0.66" }],
    }),
    expected: BARE_NO_DATA,
  },
  "reports an alias to a name without such a record as NODATA": {
    server: (dns) => {
      dns.set(NAME, { cname: "a.internal" }, { ttl: 60 });
      dns.set("a.internal", ["fd00::2"], { ttl: 60 });
    },
    expected: NO_DATA,
  },
  "reports an alias to a name that does not exist as NXDOMAIN, with at most the TTL of the alias": {
    server: (dns) => dns.set(NAME, { cname: "gone.internal" }, { ttl: 2 }),
    expected: { ...NO_NAME, negativeTtl: 2 },
  },
  "asks for what an alias leads to if the alias comes alone": {
    server: aliasAlone((dns) => dns.set("a.other", ["127.0.0.2"], { ttl: 60 })),
    expected: { addresses: ["127.0.0.2"], ttl: 3 },
  },
  "reports an alias alone whose target does not exist as NXDOMAIN": {
    server: aliasAlone(() => {}),
    expected: { ...NO_NAME, negativeTtl: 3 },
  },
  "reports an alias alone whose target the server does not know as transient": {
    server: aliasAlone((dns) => dns.fault("a.other", { rcode: "REFUSED" })),
    expected: { kind: "transient", reason: "REFUSED" },
  },
  "reports aliases in a circle as NODATA": {
    server: (dns) => {
      dns.set(NAME, { cname: "a.internal" }, { ttl: 60 });
      dns.set("a.internal", { cname: NAME }, { ttl: 60 });
    },
    expected: BARE_NO_DATA,
  },
  "reports an alias to itself as NODATA": {
    server: (dns) => dns.set(NAME, { cname: NAME }, { ttl: 60 }),
    expected: BARE_NO_DATA,
  },
  "reports an empty success as NODATA": {
    server: oneWith({ emptySuccess: true }),
    expected: BARE_NO_DATA,
  },
  "reports NODATA as a negative answer, with its TTL": {
    server: (dns) => dns.set(NAME, ["fd00::2"]),
    expected: NO_DATA,
  },
  "reports NXDOMAIN as a negative answer, with its TTL": {
    server: () => {},
    expected: NO_NAME,
  },
  "reports NXDOMAIN for a name under .invalid, without an address": {
    server: () => {},
    name: "test.invalid",
    expected: NO_NAME,
  },
  "reports SERVFAIL as transient": {
    server: oneWith({ rcode: "SERVFAIL" }),
    expected: { kind: "transient", reason: "SERVFAIL" },
  },
  "reports REFUSED as transient": {
    server: oneWith({ rcode: "REFUSED" }),
    expected: { kind: "transient", reason: "REFUSED" },
  },
  "reports FORMERR as transient": {
    server: oneWith({ rcode: "FORMERR" }),
    expected: { kind: "transient", reason: "FORMERR" },
  },
  "reports NOTIMP as transient": {
    server: oneWith({ rcode: "NOTIMP" }),
    expected: { kind: "transient", reason: "NOTIMP" },
  },
  "waits for a silent server until it is aborted": {
    server: oneWith({ drop: true }),
    expected: "silence",
  },
  "reports a closed port as transient": {
    server: async (dns) => {
      await dns.close();
    },
    expected: { kind: "transient", reason: "ECONNREFUSED" },
  },

  "asks over TCP for an answer that is too large for UDP": {
    server: (dns) => dns.set(NAME, MANY, { ttl: 60 }),
    expected: { addresses: MANY, ttl: 60 },
  },
  "asks over TCP for an answer that is marked as truncated": {
    server: oneWith({ truncate: true }),
    expected: RIGHT,
  },
  "asks over TCP for a truncated NXDOMAIN": {
    server: (dns) => dns.fault(NAME, { truncate: true }),
    expected: NO_NAME,
  },
  "assembles an answer over TCP that arrives in pieces": {
    server: oneWith({ truncate: true, inPieces: true }),
    expected: RIGHT,
  },
  "reports an answer over TCP that is cut short as transient": {
    server: oneWith([{ protocol: "udp", truncate: true }, { protocol: "tcp", cutShort: true }]),
    expected: { kind: "transient", reason: "ECONNRESET" },
  },
  "reports garbage over TCP as transient": {
    server: oneWith([{ protocol: "udp", truncate: true }, { protocol: "tcp", garbage: 5 }]),
    expected: UNUSABLE,
  },
  "reports an answer over TCP with a wrong id as transient": {
    server: oneWith([{ protocol: "udp", truncate: true }, { protocol: "tcp", wrongId: true }]),
    expected: UNUSABLE,
  },
  "reports an answer over TCP with a wrong question as transient": {
    server: oneWith([
      { protocol: "udp", truncate: true },
      { protocol: "tcp", wrongQuestion: true },
    ]),
    expected: UNUSABLE,
  },
  "waits for a server that is silent over TCP until it is aborted": {
    server: oneWith([{ protocol: "udp", truncate: true }, { protocol: "tcp", drop: true }]),
    expected: "silence",
  },

  "returns SRV records": {
    server: (dns) => services(dns, SERVICE),
    name: SERVICE,
    family: "srv",
    expected: SERVICES,
  },
  "returns the addresses that come along with SRV records, and the smallest TTL": {
    server: (dns) => {
      services(dns, SERVICE);
      dns.set("a.internal", ["127.0.0.2", "127.0.0.3", "fd00::2"], { ttl: 50 });
      dns.set("c.internal", ["127.0.0.4"], { ttl: 40 });
      dns.set("d.internal", ["127.0.0.5"], { ttl: 1 });
    },
    name: SERVICE,
    family: "srv",
    expected: {
      addresses: [
        "10 60 5432 a.internal 127.0.0.2 127.0.0.3 fd00::2",
        "10 40 5433 b.internal",
        "20 0 65535 c.internal 127.0.0.4",
      ],
      ttl: 40,
    },
  },
  "returns SRV records at the end of an alias": {
    server: (dns) => {
      dns.set(SERVICE, { cname: "service.internal" }, { ttl: 90 });
      services(dns, "service.internal");
    },
    name: SERVICE,
    family: "srv",
    expected: SERVICES,
  },
  "returns the SRV record of a service that is not available": {
    server: (dns) => dns.set(SERVICE, { srv: [{ port: 0, target: "." }] }, { ttl: 60 }),
    name: SERVICE,
    family: "srv",
    expected: { addresses: ["0 0 0 ."], ttl: 60 },
  },
  "reports a name without SRV records as NODATA": {
    server: (dns) => dns.set(SERVICE, ["127.0.0.2"], { ttl: 60 }),
    name: SERVICE,
    family: "srv",
    expected: NO_DATA,
  },
  "reports a service that does not exist as NXDOMAIN": {
    server: one,
    name: SERVICE,
    family: "srv",
    expected: NO_NAME,
  },

  "ignores garbage, and accepts the answer after it": {
    server: oneWith({ garbage: 5, thenCorrect: true }),
    expected: RIGHT,
  },
  "ignores a message that is cut short, and accepts the answer after it": {
    server: oneWith({ cutShort: true, thenCorrect: true }),
    expected: RIGHT,
  },
  "ignores a wrong id, and accepts the answer after it": {
    server: oneWith({ wrongId: true, addresses: ["127.0.0.66"], thenCorrect: true }),
    expected: RIGHT,
  },
  "ignores a wrong question, and accepts the answer after it": {
    server: oneWith({ wrongQuestion: true, addresses: ["127.0.0.66"], thenCorrect: true }),
    expected: RIGHT,
  },
  "ignores a wrong peer, and accepts the answer after it": {
    server: oneWith({
      protocol: "udp",
      wrongPeer: true,
      addresses: ["127.0.0.66"],
      thenCorrect: true,
    }),
    expected: RIGHT,
  },
  "waits after garbage until it is aborted": {
    server: oneWith({ garbage: 5 }),
    expected: "silence",
  },
  "waits after a wrong id until it is aborted": {
    server: oneWith({ wrongId: true }),
    expected: "silence",
  },
  "waits after a wrong question until it is aborted": {
    server: oneWith({ wrongQuestion: true }),
    expected: "silence",
  },
  "waits after a wrong peer until it is aborted": {
    server: oneWith({ protocol: "udp", wrongPeer: true }),
    expected: "silence",
  },
} satisfies Record<string, Case>;

/** The sentence of a case. */
export type CaseName = keyof typeof CASES;
