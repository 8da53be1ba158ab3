/**
 * DNS responses: valid ones, and the same with bytes changed at random.
 *
 * @module
 */

import { type Query, writeQuery } from "../../lookups/internal/message.ts";
import type { Random } from "../../testing/dns/random.ts";
import { a, FLAGS, OPT, type RawRecord, reply, TRUNCATED } from "../support/raw_dns.ts";

export const NAME = "db.internal";
/** Offset of the answers, behind header and question. */
const ANSWERS_AT = 12 + NAME.length + 2 + 4;

const cname = (name: string, data: string): RawRecord => ({ name, type: "CNAME", ttl: 60, data });
const aaaa = (name: string, data: string): RawRecord => ({ name, type: "AAAA", ttl: 60, data });
const NS = { name: "internal", type: "NS", ttl: 60, data: "ns.internal" };
const SOA = {
  ...{ name: "internal", type: "SOA", ttl: 60 },
  data: { mname: "a", rname: "b", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 50 },
};
const OTHERS = [
  { name: NAME, type: "TXT", ttl: 60, data: ["some", "text"] },
  { name: NAME, type: "MX", ttl: 60, data: { preference: 1, exchange: "mx.internal" } },
];

const RESPONSES: readonly ((query: Uint8Array) => Uint8Array)[] = [
  (query) => reply(query, { answers: [a(NAME, "127.0.0.2")] }),
  (query) => reply(query, { answers: [aaaa(NAME, "fd00::2"), a(NAME, "127.0.0.2")] }),
  (query) => reply(query, { answers: [1, 2, 3, 4].map((n) => a(NAME, `127.0.0.${n}`)) }),
  (query) => reply(query, { answers: [cname(NAME, "x.internal"), a("x.internal", "127.0.0.2")] }),
  (query) => reply(query, { answers: [aaaa("x.internal", "::1"), cname(NAME, "x.internal")] }),
  (query) => reply(query, { answers: [cname(NAME, "x.internal"), cname("x.internal", NAME)] }),
  (query) => reply(query, { answers: [...OTHERS, a(NAME, "127.0.0.2")], additionals: [OPT] }),
  (query) => reply(query, { flags: FLAGS | 3, authorities: [SOA], additionals: [OPT] }),
  (query) => reply(query, { authorities: [SOA] }),
  (query) => reply(query, { authorities: [NS], additionals: [a("ns.internal", "127.0.0.3")] }),
  (query) => reply(query, { flags: FLAGS | 2 }),
  (query) => reply(query, { flags: FLAGS | TRUNCATED }),
  (query) => compressed(query, 20),
];

/** A response whose records point to one another's names. */
function compressed(query: Uint8Array, count: number): Uint8Array {
  const bytes = [...reply(query)];
  bytes[7] = count;
  for (let index = 0; index < count; index++) {
    const owner = index % 2 ? [0xc0, ANSWERS_AT + 1] : [1, 97, 0xc0, 12];
    const target = [1, 98, 0xc0, 12];
    const type = index % 2 ? [0, 1] : [0, 5];
    const data = index % 2 ? [127, 0, 0, index] : target;
    bytes.push(...owner, ...type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data);
  }
  return Uint8Array.from(bytes);
}

const BOUNDARIES = [0, 1, 2, 4, 12, 16, 41, 63, 64, 127, 128, 191, 192, 254, 255];

type Mutation = (bytes: number[], random: Random) => void;
const below = (random: Random, limit: number) => Math.floor(random() * limit);

const MUTATIONS: readonly Mutation[] = [
  // a bit, a byte, a number of two bytes
  (bytes, random) => void (bytes[below(random, bytes.length)]! ^= 1 << below(random, 8)),
  (bytes, random) => void (bytes[below(random, bytes.length)] = below(random, 256)),
  (bytes, random) => {
    bytes[below(random, bytes.length)] = BOUNDARIES[below(random, BOUNDARIES.length)]!;
  },
  (bytes, random) => {
    const at = below(random, bytes.length - 1);
    bytes.splice(at, 2, below(random, 256), below(random, 256));
  },
  // a compression pointer to anywhere
  (bytes, random) => {
    const target = below(random, bytes.length);
    bytes.splice(below(random, bytes.length), below(random, 3), 0xc0 | target >> 8, target & 0xff);
  },
  // a part missing, a part twice, too short, too long
  (bytes, random) => void bytes.splice(below(random, bytes.length), 1 + below(random, 8)),
  (bytes, random) => {
    const at = below(random, bytes.length);
    bytes.splice(at, 0, ...bytes.slice(at, at + 1 + below(random, 40)));
  },
  (bytes, random) => void bytes.splice(below(random, bytes.length)),
  (bytes, random) => {
    for (let left = below(random, 64); left > 0; left--) bytes.push(below(random, 256));
  },
  // other counts
  (bytes, random) => {
    const at = 4 + below(random, 8);
    bytes[at] = random() < 0.5 ? below(random, 4) : below(random, 256);
  },
  // noise only, sometimes a lot of it
  (bytes, random) => {
    if (random() < 0.9) return;
    const length = random() < 0.99 ? below(random, 600) : below(random, 65_535);
    bytes.length = Math.min(bytes.length, 12);
    for (let left = length; left > 0; left--) bytes.push(below(random, 256));
  },
];

/**
 * Creates a response to a query with one to four changes. Most keep the first half of the header and the question, so
 * that the rest is read.
 */
export function mutatedResponse(query: Query | Uint8Array, random: Random): Uint8Array {
  const question = query instanceof Uint8Array ? query : writeQuery(query);
  const response = RESPONSES[below(random, RESPONSES.length)]!(question);
  const bytes = [...response];
  for (let left = 1 + below(random, 4); left > 0; left--) {
    if (bytes.length < 2) break;
    MUTATIONS[below(random, MUTATIONS.length)]!(bytes, random);
  }
  if (random() < 0.85 && bytes.length > ANSWERS_AT) {
    for (let at = 0; at < ANSWERS_AT; at++) if (at < 6 || at > 11) bytes[at] = response[at]!;
  }
  return Uint8Array.from(bytes);
}
