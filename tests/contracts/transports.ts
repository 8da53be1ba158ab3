/**
 * The tests of the lookups that ask over UDP and TCP: when they ask over which. They use no test runner.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { LookupError } from "../../errors.ts";
import type { Answer, Lookup, NameServer } from "../../lookups/lookup.ts";
import { a, decode, FLAGS, rawDns, reply, tcpDns } from "../support/raw_dns.ts";
import type { ContractTest } from "./lookup.ts";

const NAME = "db.internal";
const RIGHT = [a(NAME, "127.0.0.2")];
/** The answer that {@linkcode RIGHT} holds. */
const ANSWER = { addresses: ["127.0.0.2"], ttl: 60 };

async function outcomeOf(
  lookup: Lookup,
  server: NameServer,
): Promise<Pick<Answer, "addresses" | "ttl"> | Record<string, unknown>> {
  const question = { name: NAME, family: 4, server, signal: AbortSignal.timeout(20_000) } as const;
  try {
    const { addresses, ttl } = await lookup.lookup(question);
    return { addresses, ttl };
  } catch (error) {
    if (!(error instanceof LookupError)) return { ended: error };
    const { kind, reason } = error;
    return { kind, reason };
  }
}

const TESTS: Readonly<Record<string, (lookup: Lookup) => Promise<void>>> = {
  "asks over TCP as well if the server is silent over UDP, and over both at once the next time":
    async (lookup) => {
      const protocols: string[] = [];
      const { server, close } = await rawDns(({ message, protocol, send }) => {
        protocols.push(protocol);
        if (protocol === "tcp") send(reply(message, { answers: RIGHT }));
      });
      assertEquals(await outcomeOf(lookup, server), ANSWER);
      assertEquals(protocols, ["udp", "tcp"]);
      const startMs = performance.now();
      for (let round = 0; round < 20; round++) {
        assertEquals(await outcomeOf(lookup, server), ANSWER);
      }
      assert(performance.now() - startMs < 20 * 450, "it waited for UDP each time");
      assertEquals(protocols.filter((protocol) => protocol === "tcp").length, 21);
      await close();
    },

  "asks over UDP alone again once the server answers over UDP": async (lookup) => {
    let isSilent = true;
    const protocols: string[] = [];
    const { server, close } = await rawDns(({ message, protocol, send }) => {
      protocols.push(protocol);
      // Over TCP it answers only while it is silent over UDP.
      if ((protocol === "tcp") === isSilent) send(reply(message, { answers: RIGHT }));
    });
    assertEquals(await outcomeOf(lookup, server), ANSWER);
    isSilent = false;
    for (let round = 0; round < 5; round++) assertEquals(await outcomeOf(lookup, server), ANSWER);
    await close();
    // The second question was asked over both, and may have been answered before the server read it over TCP.
    const overTcp = protocols.filter((protocol) => protocol === "tcp").length;
    assert(overTcp <= 2, `${overTcp} questions over TCP`);
    assertEquals(protocols.length - overTcp, 6);
  },

  "asks over TCP only if the server's address says so": async (lookup) => {
    const protocols: string[] = [];
    const { server, close } = await rawDns(({ message, protocol, send }) => {
      protocols.push(protocol);
      send(reply(message, { answers: RIGHT }));
    });
    assertEquals(await outcomeOf(lookup, { ...server, tcp: true }), ANSWER);
    await close();
    assertEquals(protocols, ["tcp"]);
  },

  "asks over TCP if the port for UDP is closed": async (lookup) => {
    const tcp = await tcpDns(({ message, send }) => send(reply(message, { answers: RIGHT })));
    assertEquals(await outcomeOf(lookup, tcp.server), ANSWER);
    await tcp.close();
  },

  "reports what the server says over TCP if it is silent over UDP": async (lookup) => {
    for (const [rcode, kind] of [[2, "transient"], [3, "negative"]] as const) {
      const { server, close } = await rawDns(({ message, protocol, send }) => {
        if (protocol === "tcp") send(reply(message, { flags: FLAGS | rcode }));
      });
      assertEquals((await outcomeOf(lookup, server) as { kind: unknown }).kind, kind);
      await close();
    }
  },
  "gives what the server says now, while other questions are open": async (lookup) => {
    let count = 0;
    const { server, close } = await rawDns(({ message, send }) => {
      if (decode(message).questions[0]!.name !== NAME) return;
      send(reply(message, { answers: [a(NAME, `127.0.0.${++count}`)] }));
    });
    const others = new AbortController();
    const reason = new Error("the test is over");
    const other = { name: "other.internal", family: 4, server, signal: others.signal } as const;
    const open = lookup.lookup(other).catch((error) => error);
    try {
      for (let round = 1; round <= 3; round++) {
        const { addresses } = await outcomeOf(lookup, server) as Pick<Answer, "addresses">;
        assertEquals(addresses, [`127.0.0.${round}`]);
      }
    } finally {
      others.abort(reason);
      assertEquals(await open, reason);
      await close();
    }
  },
};

/**
 * Returns the tests of a lookup.
 *
 * @param name Its name, for the names of the tests.
 * @param lookup The lookup.
 */
export function transportContract(name: string, lookup: Lookup): ContractTest[] {
  return Object.entries(TESTS).map(([test, run]) => ({
    name: `${name} ${test}`,
    run: () => run(lookup),
  }));
}
