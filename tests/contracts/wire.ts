/**
 * The tests of `wire` alone: its queries, and how it treats single messages. They use no test runner.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { LookupError } from "../../errors.ts";
import type { Answer, NameServer } from "../../lookups/lookup.ts";
import { wireLookup } from "../../lookups/wire.ts";
import { DnsServer } from "../../testing/mod.ts";
import {
  a,
  decode,
  FLAGS,
  type Incoming,
  OPT,
  rawDns,
  reply,
  TRUNCATED,
  udpDns,
} from "../support/raw_dns.ts";
import type { ContractTest } from "./lookup.ts";

const NAME = "db.internal";
const RIGHT = [a(NAME, "127.0.0.2")];

/** Asks one question of a server that `answer` programs; returns the outcome, and all queries. */
async function exchange(
  answer: (query: Incoming, index: number) => void,
  limitMs?: number,
): Promise<{ outcome: Answer | Record<string, unknown>; queries: Incoming[] }> {
  const queries: Incoming[] = [];
  const { server, close } = await rawDns((query) => answer(query, queries.push(query) - 1));
  try {
    return { outcome: await outcomeOf(server, NAME, limitMs), queries };
  } finally {
    await close();
  }
}

async function outcomeOf(
  server: NameServer | undefined,
  name = NAME,
  limitMs = 20_000,
  onWait?: (what: string) => void,
): Promise<Answer | Record<string, unknown>> {
  const controller = new AbortController();
  const timeout = setTimeout(() => controller.abort("silence"), limitMs);
  try {
    const { signal } = controller;
    const question = { name, family: 4, server, signal, onWait } as const;
    const { addresses, ttl } = await wireLookup.lookup(question);
    return { addresses, ttl };
  } catch (error) {
    if (!(error instanceof LookupError)) return { ended: error };
    const { kind, reason } = error;
    return { kind, reason };
  } finally {
    clearTimeout(timeout);
  }
}

const ANSWER = { addresses: ["127.0.0.2"], ttl: 60 };

const TESTS: Readonly<Record<string, () => Promise<void>>> = {
  "asks for recursion, with EDNS and room for 1232 bytes": async () => {
    const { queries } = await exchange((query) => query.send(reply(query.message)));
    const { flags, questions, additionals } = decode(queries[0]!.message);
    assertEquals(flags, 0x100);
    assertEquals(questions.map(({ name, type }) => [name, type]), [[NAME, "A"]]);
    assertEquals(additionals.map((record) => [record.type, record.udpPayloadSize]), [[
      "OPT",
      1232,
    ]]);
  },

  "sends each query with another id and from another port": async () => {
    const ids = new Set<number>();
    const ports = new Set<number>();
    const { server, close } = await rawDns(({ message, port, send }) => {
      ids.add(decode(message).id);
      ports.add(port);
      send(reply(message, { answers: RIGHT }));
    });
    for (let round = 0; round < 40; round++) assertEquals(await outcomeOf(server), ANSWER);
    await close();
    // Of 40 out of about 28,000, two or three may be equal by chance, but not five.
    assert(ids.size > 35, `${ids.size} ids`);
    assert(ports.size > 35, `${ports.size} ports`);
    const sorted = [...ids];
    assert(sorted.some((id, index) => index > 0 && Math.abs(id - sorted[index - 1]!) > 100));
  },

  "sends the query over TCP with another id": async () => {
    const { outcome, queries } = await exchange(({ message, protocol, send }) => {
      const answers = protocol === "tcp" ? RIGHT : [];
      send(reply(message, { answers, flags: FLAGS | (protocol === "udp" ? TRUNCATED : 0) }));
    });
    assertEquals(outcome, ANSWER);
    assertEquals(queries.map(({ protocol }) => protocol), ["udp", "tcp"]);
    const [first, second] = queries.map(({ message }) => decode(message).id);
    assert(first !== second);
  },

  "repeats the query without EDNS for a server that does not know it": async () => {
    const { outcome, queries } = await exchange(({ message, send }) => {
      const knows = decode(message).additionals.length === 0;
      send(reply(message, knows ? { answers: RIGHT } : { flags: FLAGS | 1 }));
    });
    assertEquals(outcome, ANSWER);
    assertEquals(queries.map(({ message }) => decode(message).additionals.length), [1, 0]);
  },

  "repeats the query without EDNS only once": async () => {
    const { outcome, queries } = await exchange(({ message, send }) => {
      send(reply(message, { flags: FLAGS | 1 }));
    });
    assertEquals(outcome, { kind: "transient", reason: "FORMERR" });
    assertEquals(queries.length, 2);
  },

  "does not repeat the query after a FORMERR of a server that knows EDNS": async () => {
    const { outcome, queries } = await exchange(({ message, send }) => {
      send(reply(message, { flags: FLAGS | 1, additionals: [OPT] }));
    });
    assertEquals(outcome, { kind: "transient", reason: "FORMERR" });
    assertEquals(queries.length, 1);
  },

  "accepts an error without a question": async () => {
    const { outcome } = await exchange(({ message, send }) => {
      send(reply(message, { flags: FLAGS | 5, questions: [] }));
    });
    assertEquals(outcome, { kind: "transient", reason: "REFUSED" });
  },

  "ignores an answer without a question": async () => {
    const { outcome } = await exchange(({ message, send }) => {
      send(reply(message, { questions: [], answers: RIGHT }));
    }, 300);
    assertEquals(outcome, { ended: "silence" });
  },

  "ignores its own query if it comes back": async () => {
    const { outcome } = await exchange(({ message, send }) => {
      send(message);
      send(reply(message, { answers: RIGHT }));
    });
    assertEquals(outcome, ANSWER);
  },

  "ignores a hundred forged packets": async () => {
    const { outcome } = await exchange(({ message, send }) => {
      const { id } = decode(message);
      const forged = [a(NAME, "127.0.0.66")];
      for (let offset = 1; offset <= 100; offset++) {
        send(reply(message, { id: (id + offset) & 0xffff, answers: forged }));
      }
      send(reply(message, { answers: RIGHT }));
    });
    assertEquals(outcome, ANSWER);
  },

  "says that the response is truncated if TCP fails": async () => {
    const { server, close } = await udpDns(({ message, send }) => {
      send(reply(message, { flags: FLAGS | TRUNCATED }));
    });
    const { signal } = new AbortController();
    const question = { name: NAME, family: 4, server, signal } as const;
    const error = await wireLookup.lookup(question).catch((error) => error);
    await close();
    assert(error instanceof LookupError, String(error));
    assertEquals([error.kind, error.reason], ["transient", "ECONNREFUSED"]);
    assertMatch(error.message, /: the response is truncated, and TCP failed: /);
  },

  "tells what it waits for": async () => {
    const told: string[] = [];
    const truncated = await rawDns(({ message, protocol, send }) => {
      if (protocol === "udp") send(reply(message, { flags: FLAGS | TRUNCATED }));
    });
    const onWait = (what: string) => void told.push(what);
    assertEquals(await outcomeOf(truncated.server, NAME, 200, onWait), { ended: "silence" });
    await truncated.close();
    assertEquals(told, ["the response is truncated, and the server did not answer over TCP"]);
    const alias = { name: NAME, type: "CNAME", ttl: 60, data: "a.other" };
    const silent = await rawDns(({ message, send }) => {
      if (decode(message).questions[0]!.name === NAME) send(reply(message, { answers: [alias] }));
    });
    told.length = 0;
    assertEquals(await outcomeOf(silent.server, NAME, 200, onWait), { ended: "silence" });
    await silent.close();
    assertEquals(told, ['it is an alias of "a.other", for which the server did not answer']);
  },

  "reports a response that is truncated over TCP too as transient": async () => {
    const { outcome } = await exchange(({ message, send }) => {
      send(reply(message, { flags: FLAGS | TRUNCATED }));
    });
    assertEquals(outcome, { kind: "transient", reason: "EBADRESP" });
  },

  "reports an error at once, even if it is marked as truncated": async () => {
    const { outcome, queries } = await exchange(({ message, send }) => {
      send(reply(message, { flags: FLAGS | TRUNCATED | 2 }));
    });
    assertEquals(outcome, { kind: "transient", reason: "SERVFAIL" });
    assertEquals(queries.length, 1);
  },

  "refuses invalid names and servers": async () => {
    const good = { host: "127.0.0.1", port: 53 };
    for (const name of ["", "a..b", `${"a".repeat(64)}.internal`, `${"a.".repeat(127)}b`, "a b"]) {
      assertEquals(await outcomeOf(good, name), { kind: "config", reason: "EBADNAME" }, name);
    }
    for (const host of ["localhost", "", "127.0.0.1:53", "[::1]"]) {
      const outcome = await outcomeOf({ host, port: 53 });
      assertEquals(outcome, { kind: "config", reason: "EBADSERVER" }, host);
    }
    for (const port of [0, 65536, 1.5, -1, NaN]) {
      const outcome = await outcomeOf({ ...good, port });
      assertEquals(outcome, { kind: "config", reason: "EBADSERVER" }, String(port));
    }
  },

  "asks for a name outside ASCII in its xn-- form": async () => {
    const dns = await DnsServer.start();
    dns.set("xn--dtenbank-0za.internal", ["127.0.0.2"], { ttl: 60 });
    const outcome = await outcomeOf({ host: dns.host, port: dns.port }, "dätenbank.internal");
    await dns.close();
    assertEquals(outcome, ANSWER);
  },
};

/** Returns the tests of `wire` alone. */
export function wireContract(): ContractTest[] {
  return Object.entries(TESTS).map(([name, run]) => ({ name: `wire ${name}`, run }));
}
