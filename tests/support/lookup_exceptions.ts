/**
 * What each lookup of the contract (tests/contracts/lookup.ts) does otherwise, and why: its runtime's faults, and
 * what its transport makes different.
 *
 * @module
 */

import { type Case, type CaseName, CASES, type Outcome } from "./lookup_cases.ts";

/** What a lookup does instead of what the contract says. */
export interface Exception {
  readonly because: string;
  readonly outcome: Outcome;
}

/** The exceptions of one lookup. */
export type Exceptions = Readonly<Partial<Record<CaseName, Exception>>>;

const names = Object.keys(CASES) as CaseName[];

/** The same exception for each of `cases`. */
function all(cases: readonly CaseName[], because: string, outcome: Outcome): Exceptions {
  return Object.fromEntries(cases.map((name) => [name, { because, outcome }]));
}

/** An exception wherever `change` makes something else of what is expected. */
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

/** `node:dns` on Node and Bun. */
const C_ARES: Exceptions = {
  ...wherever("node:dns has codes of its own, and does not give the SOA record", (expected) => {
    if (!("kind" in expected)) return expected;
    const { kind, reason = "" } = expected;
    return { kind, reason: OWN_CODES[reason] ?? reason };
  }),
  ...all(
    ["ignores records that are not on the chain"],
    "node:dns returns the records of any name",
    { addresses: ["127.0.0.2", "127.0.0.66"], ttl: 1 },
  ),
  ...all(
    ["takes a response with nothing but records that are not on the chain for NODATA"],
    "node:dns returns the records of any name",
    { addresses: ["127.0.0.66"], ttl: 60 },
  ),
  ...all(
    [
      "passes over garbage, and takes the answer behind it",
      "passes over a message that is cut short, and takes the answer behind it",
      "takes garbage alone for silence",
    ],
    "c-ares gives up at the first message that it cannot read",
    { kind: "transient", reason: "EBADRESP" },
  ),
  ...all(
    [
      "reports an answer over TCP that is cut short as transient",
      "reports an answer over TCP with a wrong id as transient",
      "reports an answer over TCP to a wrong question as transient",
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
    "the c-ares of Node 20 says that the connection was refused",
    { kind: "transient", reason: "ECONNREFUSED" },
  ),
};

export const BUN: Exceptions = {
  ...C_ARES,
  ...all(
    [
      "takes an empty success for NODATA",
      "reports NODATA as a negative answer, with the time that it may be remembered",
    ],
    "Bun does not tell NODATA from NXDOMAIN",
    { kind: "negative", reason: "ENOTFOUND" },
  ),
  ...all(
    ["counts a TTL with the top bit set as 0"],
    "Bun makes 2^31-1 of a TTL with the top bit set",
    { addresses: ["127.0.0.2"], ttl: 2 ** 31 - 1 },
  ),
  ...all(
    ["counts a TTL with the top bit set as 0 within a chain too"],
    "Bun makes 2^31-1 of a TTL with the top bit set",
    { addresses: ["127.0.0.2", "127.0.0.3"], ttl: 30 },
  ),
  ...all(
    ["reports a server that is not there as transient"],
    "Bun does not hear that nobody listens there",
    "silence",
  ),
};

/** `Deno.resolveDns`, but for names that it refuses. */
const { "asks for a name with an underscore": _byWire, ...RESOLVE_DNS } = wherever(
  "Deno says not found for a failing server too; and as it hides the TTL of aliases, none counts for over 5 s",
  (expected) =>
    "kind" in expected
      ? { kind: "ambiguous", reason: "NotFound" }
      : { ...expected, ttl: Math.min(expected.ttl as number, 5) },
);

export const DENO: Exceptions = {
  ...RESOLVE_DNS,
  ...all(
    [
      "takes the TTL of the first alias where it is the smallest of the chain",
      "takes the TTL of the second alias where it is the smallest of the chain",
      "counts a TTL with the top bit set as 0 within a chain too",
    ],
    "Deno hides the TTL of aliases",
    { addresses: ["127.0.0.2", "127.0.0.3"], ttl: 5 },
  ),
  ...all(
    ["follows a chain whose records come in reverse order"],
    "Deno asks for the next name of such a chain by itself, and hides the TTL of aliases",
    { addresses: ["127.0.0.2", "127.0.0.3"], ttl: 5 },
  ),
  ...all(
    [
      "reports a server that is not there as transient",
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
    ["reports an answer over TCP to a wrong question as transient"],
    "Deno does not look at the question over TCP",
    { addresses: ["127.0.0.2"], ttl: 5 },
  ),
};

export const WIRE: Exceptions = {};

export const WIRE_ON_DENO: Exceptions = all(
  ["reports a server that is not there as transient"],
  "Deno's datagram sockets do not hear that nobody listens there",
  "silence",
);

export const DOH: Exceptions = {
  ...all(
    [
      "reports a server that is not there as transient",
      "reports an answer over TCP that is cut short as transient",
      "passes over a message that is cut short, and takes the answer behind it",
    ],
    "the HTTP server has no answer, and says so",
    { kind: "transient", reason: "HTTP_502" },
  ),
  ...all(
    [
      "passes over garbage, and takes the answer behind it",
      "passes over a wrong id, and takes the answer behind it",
      "passes over a wrong question, and takes the answer behind it",
      "takes garbage alone for silence",
      "takes a wrong id alone for silence",
      "takes a wrong question alone for silence",
    ],
    "HTTP brings one response, there is no other to wait for",
    { kind: "transient", reason: "EBADRESP" },
  ),
  ...all(
    ["takes a wrong peer alone for silence"],
    "over HTTP, nobody but the server can answer",
    { addresses: ["127.0.0.2"], ttl: 60 },
  ),
};
