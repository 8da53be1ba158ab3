/**
 * The questions of the lookup contract (tests/contracts/lookup.ts): what the DNS server holds and does, and what a
 * lookup has to make of it.
 *
 * @module
 */

import type { LookupErrorKind } from "../../errors.ts";
import type { DnsServer } from "../../testing/mod.ts";

/** How a question ends. */
export type Outcome =
  /** With an answer; its `ttl` is `"none"` where the lookup cannot tell. */
  | { readonly addresses: readonly string[]; readonly ttl: number | "none" }
  /** With an error; what is not given is not there. */
  | {
    readonly kind: LookupErrorKind;
    readonly reason?: string;
    readonly negativeTtl?: number;
  }
  /** Not at all, until its signal ends it. */
  | "silence";

/** One question. */
export interface Case {
  /** Sets the server up. */
  readonly server: (dns: DnsServer) => void | Promise<void>;
  /** Default `"db.internal"`. */
  readonly name?: string;
  /** Default 4. */
  readonly family?: 4 | 6;
  /** Where the server listens. Default `"127.0.0.1"`. */
  readonly host?: string;
  readonly expected: Outcome;
}

const NAME = "db.internal";
/** 253 characters, in labels of 63 and fewer. */
const LONGEST = `${`${"a".repeat(63)}.`.repeat(3)}${"b".repeat(61)}`;
const RIGHT = { addresses: ["127.0.0.2"], ttl: 60 } as const;
const NO_NAME = { kind: "negative", reason: "NXDOMAIN", negativeTtl: 7 } as const;
const NO_DATA = { kind: "negative", reason: "NODATA", negativeTtl: 7 } as const;
const BARE_NO_DATA = { kind: "negative", reason: "NODATA" } as const;
const UNUSABLE = { kind: "transient", reason: "EBADRESP" } as const;

const one = (dns: DnsServer) => dns.set(NAME, ["127.0.0.2"], { ttl: 60 });

/** One name, and what goes wrong with it. */
function oneWith(fault: Parameters<DnsServer["fault"]>[1]): (dns: DnsServer) => void {
  return (dns) => {
    one(dns);
    dns.fault(NAME, fault);
  };
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

const CHAINED = { addresses: ["127.0.0.2", "127.0.0.3"], ttl: 3 } as const;
const MANY = Array.from({ length: 200 }, (_, index) => `127.0.1.${index}`);

/** Every question, by the sentence that it stands for. */
export const CASES = {
  "gives the address and the TTL of an A record": { server: one, expected: RIGHT },
  "gives the address and the TTL of an AAAA record, in its shortest spelling": {
    server: (dns) => dns.set(NAME, ["127.0.0.2", "fd00:0:0::02"], { ttl: 60 }),
    family: 6,
    expected: { addresses: ["fd00::2"], ttl: 60 },
  },
  "gives several addresses in the server's order": {
    server: (dns) => dns.set(NAME, ["127.0.0.9", "127.0.0.2", "127.0.0.5"], { ttl: 60 }),
    expected: { addresses: ["127.0.0.9", "127.0.0.2", "127.0.0.5"], ttl: 60 },
  },
  "gives an address that comes twice once": {
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
  "asks for a name as long as names may be": {
    server: (dns) => dns.set(LONGEST, ["127.0.0.2"], { ttl: 60 }),
    name: LONGEST,
    expected: RIGHT,
  },

  "takes the TTL of the first alias where it is the smallest of the chain": {
    server: chain([3, 30, 300]),
    expected: CHAINED,
  },
  "takes the TTL of the second alias where it is the smallest of the chain": {
    server: chain([300, 3, 30]),
    expected: CHAINED,
  },
  "takes the TTL of the record where it is the smallest of the chain": {
    server: chain([300, 30, 3]),
    expected: CHAINED,
  },
  "takes the smallest TTL of several records": {
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
  "gives a TTL of 0 as it is": {
    server: (dns) => dns.set(NAME, ["127.0.0.2"], { ttl: 0 }),
    expected: { addresses: ["127.0.0.2"], ttl: 0 },
  },
  "gives the longest TTL as it is": {
    server: (dns) => dns.set(NAME, ["127.0.0.2"], { ttl: 2 ** 31 - 1 }),
    expected: { addresses: ["127.0.0.2"], ttl: 2 ** 31 - 1 },
  },
  "counts a TTL with the top bit set as 0": {
    server: (dns) => dns.set(NAME, ["127.0.0.2"], { ttl: 2 ** 31 }),
    expected: { addresses: ["127.0.0.2"], ttl: 0 },
  },
  "counts a TTL with the top bit set as 0 within a chain too": {
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
  "takes a response with nothing but records that are not on the chain for NODATA": {
    server: oneWith({
      emptySuccess: true,
      extraRecords: [{ name: "other.internal", address: "127.0.0.66" }],
    }),
    expected: BARE_NO_DATA,
  },
  "takes an alias that leads to no record for NODATA": {
    server: (dns) => {
      dns.set(NAME, { cname: "a.internal" }, { ttl: 60 });
      dns.set("a.internal", ["fd00::2"], { ttl: 60 });
    },
    expected: NO_DATA,
  },
  "takes an alias that leads to no name for NXDOMAIN, remembered no longer than the alias": {
    server: (dns) => dns.set(NAME, { cname: "gone.internal" }, { ttl: 2 }),
    expected: { ...NO_NAME, negativeTtl: 2 },
  },
  "takes an alias alone for NODATA": {
    server: oneWith({ emptySuccess: true, extraRecords: [{ name: NAME, cname: "a.internal" }] }),
    expected: BARE_NO_DATA,
  },
  "takes aliases that go round in circles for NODATA": {
    server: (dns) => {
      dns.set(NAME, { cname: "a.internal" }, { ttl: 60 });
      dns.set("a.internal", { cname: NAME }, { ttl: 60 });
    },
    expected: BARE_NO_DATA,
  },
  "takes an alias to itself for NODATA": {
    server: (dns) => dns.set(NAME, { cname: NAME }, { ttl: 60 }),
    expected: BARE_NO_DATA,
  },
  "takes an empty success for NODATA": {
    server: oneWith({ emptySuccess: true }),
    expected: BARE_NO_DATA,
  },
  "reports NODATA as a negative answer, with the time that it may be remembered": {
    server: (dns) => dns.set(NAME, ["fd00::2"]),
    expected: NO_DATA,
  },
  "reports NXDOMAIN as a negative answer, with the time that it may be remembered": {
    server: () => {},
    expected: NO_NAME,
  },
  "reports NXDOMAIN for a name under .invalid, and does not make up an address": {
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
  "reports a server that is not there as transient": {
    server: async (dns) => {
      await dns.close();
    },
    expected: { kind: "transient", reason: "ECONNREFUSED" },
  },

  "asks over TCP for what does not fit": {
    server: (dns) => dns.set(NAME, MANY, { ttl: 60 }),
    expected: { addresses: MANY, ttl: 60 },
  },
  "asks over TCP for what is said to be truncated": {
    server: oneWith({ truncate: true }),
    expected: RIGHT,
  },
  "asks over TCP for a truncated NXDOMAIN": {
    server: (dns) => dns.fault(NAME, { truncate: true }),
    expected: NO_NAME,
  },
  "puts an answer over TCP together that comes in pieces": {
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
  "reports an answer over TCP to a wrong question as transient": {
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

  "passes over garbage, and takes the answer behind it": {
    server: oneWith({ garbage: 5, thenCorrect: true }),
    expected: RIGHT,
  },
  "passes over a message that is cut short, and takes the answer behind it": {
    server: oneWith({ cutShort: true, thenCorrect: true }),
    expected: RIGHT,
  },
  "passes over a wrong id, and takes the answer behind it": {
    server: oneWith({ wrongId: true, addresses: ["127.0.0.66"], thenCorrect: true }),
    expected: RIGHT,
  },
  "passes over a wrong question, and takes the answer behind it": {
    server: oneWith({ wrongQuestion: true, addresses: ["127.0.0.66"], thenCorrect: true }),
    expected: RIGHT,
  },
  "passes over a wrong peer, and takes the answer behind it": {
    server: oneWith({
      protocol: "udp",
      wrongPeer: true,
      addresses: ["127.0.0.66"],
      thenCorrect: true,
    }),
    expected: RIGHT,
  },
  "takes garbage alone for silence": { server: oneWith({ garbage: 5 }), expected: "silence" },
  "takes a wrong id alone for silence": { server: oneWith({ wrongId: true }), expected: "silence" },
  "takes a wrong question alone for silence": {
    server: oneWith({ wrongQuestion: true }),
    expected: "silence",
  },
  "takes a wrong peer alone for silence": {
    server: oneWith({ protocol: "udp", wrongPeer: true }),
    expected: "silence",
  },
} satisfies Record<string, Case>;

/** The sentence of a question. */
export type CaseName = keyof typeof CASES;
