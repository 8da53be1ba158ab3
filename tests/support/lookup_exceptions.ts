/**
 * The exceptions of each lookup from the contract (tests/contracts/lookup.ts): faults of its runtime, and differences
 * of its transport.
 *
 * @module
 */

import { type Case, type CaseName, CASES, type Outcome } from "./lookup_cases.ts";

/** An outcome that differs from the contract. */
export interface Exception {
  readonly because: string;
  readonly outcome: Outcome;
}

/** The exceptions of one lookup. */
export type Exceptions = Readonly<Partial<Record<CaseName, Exception>>>;

const names = Object.keys(CASES) as CaseName[];

/** Returns the same exception for each of `cases`. */
function all(cases: readonly CaseName[], because: string, outcome: Outcome): Exceptions {
  return Object.fromEntries(cases.map((name) => [name, { because, outcome }]));
}

/** Returns an exception for each case whose expected outcome `change` changes. */
function wherever(
  because: string,
  change: (expected: Exclude<Outcome, "silence">) => Outcome,
): Exceptions {
  return Object.fromEntries(names.flatMap((name) => {
    const { expected }: Case = CASES[name];
    if (expected === "silence") return [];
    const outcome = change(expected);
    return JSON.stringify(outcome) === JSON.stringify(expected) ? [] : [[name, {
      because,
      outcome,
    }]];
  }));
}

const OWN_CODES: Readonly<Record<string, string>> = {
  NXDOMAIN: "ENOTFOUND",
  NODATA: "ENODATA",
  SERVFAIL: "ESERVFAIL",
  REFUSED: "EREFUSED",
  FORMERR: "EFORMERR",
  NOTIMP: "ENOTIMP",
};

/** Returns the exceptions without those of some cases, for which `wire` asks. */
function without(cases: readonly CaseName[], exceptions: Exceptions): Exceptions {
  const kept = Object.entries(exceptions).filter(([name]) => !cases.includes(name as CaseName));
  return Object.fromEntries(kept);
}

const SERVICES: readonly CaseName[] = [
  "returns SRV records",
  "returns the addresses that come along with SRV records, and the smallest TTL",
  "returns SRV records at the end of an alias",
  "returns the SRV record of a service that is not available",
  "reports a name without SRV records as NODATA",
  "reports a service that does not exist as NXDOMAIN",
];

/** `node:dns` on Node and Bun, except for services and for aliases without an address. */
const BY_C_ARES = without(
  [
    ...SERVICES,
    "reports an alias alone whose target does not exist as NXDOMAIN",
    "reports an alias alone whose target the server does not know as transient",
    "reports aliases in a circle as NODATA",
    "reports an alias to itself as NODATA",
    "reports an alias to a name without such a record as NODATA",
  ],
  wherever("node:dns has its own codes, and does not return the SOA record", (expected) => {
    if (!("kind" in expected)) return expected;
    const { kind, reason = "" } = expected;
    return { kind, reason: OWN_CODES[reason] ?? reason };
  }),
);

const C_ARES: Exceptions = {
  ...BY_C_ARES,
  ...all(
    ["ignores records that are not on the chain"],
    "node:dns returns the records of any name",
    { addresses: ["127.0.0.2", "127.0.0.66"], ttl: 1 },
  ),
  ...all(
    ["reports a response with only records that are not on the chain as NODATA"],
    "node:dns returns the records of any name",
    { addresses: ["127.0.0.66"], ttl: 60 },
  ),
  ...all(
    [
      "ignores garbage, and accepts the answer after it",
      "ignores a message that is cut short, and accepts the answer after it",
      "waits after garbage until it is aborted",
    ],
    "c-ares fails at the first message that it cannot read",
    { kind: "transient", reason: "EBADRESP" },
  ),
  ...all(
    [
      "reports an answer over TCP that is cut short as transient",
      "reports an answer over TCP with a wrong id as transient",
      "reports an answer over TCP with a wrong question as transient",
    ],
    "c-ares waits for another answer, for up to 5 seconds",
    "silence",
  ),
};

export const NODE: Exceptions = C_ARES;

export const NODE_20: Exceptions = {
  ...C_ARES,
  ...all(
    ["reports an answer over TCP that is cut short as transient"],
    "the c-ares of Node 20 reports a refused connection",
    { kind: "transient", reason: "ECONNREFUSED" },
  ),
};

export const BUN: Exceptions = {
  ...C_ARES,
  ...all(
    [
      "reports an empty success as NODATA",
      "reports NODATA as a negative answer, with its TTL",
    ],
    "Bun does not distinguish NODATA from NXDOMAIN",
    { kind: "negative", reason: "ENOTFOUND" },
  ),
  ...all(
    ["counts a TTL with the top bit set as 0"],
    "Bun changes a TTL with the top bit set to 2^31-1",
    { addresses: ["127.0.0.2"], ttl: 2 ** 31 - 1 },
  ),
  ...all(
    ["counts a TTL with the top bit set within a chain as 0"],
    "Bun changes a TTL with the top bit set to 2^31-1",
    { addresses: ["127.0.0.2", "127.0.0.3"], ttl: 30 },
  ),
  ...all(
    ["reports a closed port as transient"],
    "Bun does not notice a closed port",
    "silence",
  ),
};

/** `Deno.resolveDns`, except for names that it refuses. */
const RESOLVE_DNS = without(
  [...SERVICES, "asks for a name with an underscore"],
  wherever(
    "Deno says not found for a failing server too; because it hides the TTL of aliases, no TTL counts for over 5 s",
    (expected) =>
      "kind" in expected
        ? { kind: "ambiguous", reason: "NotFound" }
        : { ...expected, ttl: Math.min(expected.ttl as number, 5) },
  ),
);

export const DENO: Exceptions = {
  ...RESOLVE_DNS,
  ...all(
    [
      "returns the TTL of the first alias if it is the smallest of the chain",
      "returns the TTL of the second alias if it is the smallest of the chain",
      "counts a TTL with the top bit set within a chain as 0",
    ],
    "Deno hides the TTL of aliases",
    { addresses: ["127.0.0.2", "127.0.0.3"], ttl: 5 },
  ),
  ...all(
    ["follows a chain whose records come in reverse order"],
    "Deno resolves the next name of such a chain itself, and hides the TTL of aliases",
    { addresses: ["127.0.0.2", "127.0.0.3"], ttl: 5 },
  ),
  ...all(
    ["asks for what an alias leads to if the alias comes alone"],
    "Deno hides the TTL of aliases",
    { addresses: ["127.0.0.2"], ttl: 5 },
  ),
  ...all(
    [
      "reports a closed port as transient",
      "reports garbage over TCP as transient",
      "reports an answer over TCP with a wrong id as transient",
    ],
    "Deno waits for another answer",
    "silence",
  ),
  ...all(
    ["reports an answer over TCP that is cut short as transient"],
    "Deno's errors have no codes",
    { kind: "transient", reason: "Error" },
  ),
  ...all(
    ["reports an answer over TCP with a wrong question as transient"],
    "Deno does not check the question over TCP",
    { addresses: ["127.0.0.2"], ttl: 5 },
  ),
};

export const WIRE: Exceptions = {};

export const WIRE_ON_DENO: Exceptions = all(
  ["reports a closed port as transient"],
  "Deno's datagram sockets do not notice a closed port",
  "silence",
);

export const DOH: Exceptions = {
  ...all(
    [
      "reports a closed port as transient",
      "reports an answer over TCP that is cut short as transient",
      "ignores a message that is cut short, and accepts the answer after it",
    ],
    "the HTTP server reports that it has no answer",
    { kind: "transient", reason: "HTTP_502" },
  ),
  ...all(
    [
      "ignores garbage, and accepts the answer after it",
      "ignores a wrong id, and accepts the answer after it",
      "ignores a wrong question, and accepts the answer after it",
      "waits after garbage until it is aborted",
      "waits after a wrong id until it is aborted",
      "waits after a wrong question until it is aborted",
    ],
    "HTTP has one response, so there is no other to wait for",
    { kind: "transient", reason: "EBADRESP" },
  ),
  ...all(
    ["waits after a wrong peer until it is aborted"],
    "over HTTP, only the server can answer",
    { addresses: ["127.0.0.2"], ttl: 60 },
  ),
};
