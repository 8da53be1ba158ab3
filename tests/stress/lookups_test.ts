/**
 * Hostile responses against `wire` and `doh`: `DNSPOOL_STRESS` of them, 2000 by default. `DNSPOOL_SEED` repeats a run
 * that failed.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { canonicalIp, ipFamily } from "../../internal/ip.ts";
import { LookupError } from "../../errors.ts";
import { toAnswer } from "../../lookups/internal/answer.ts";
import { type Query, readResponse } from "../../lookups/internal/message.ts";
import { dohLookup } from "../../lookups/doh.ts";
import type { Answer, Lookup } from "../../lookups/lookup.ts";
import { wireLookup } from "../../lookups/wire.ts";
import { seededRandom } from "../../testing/dns/random.ts";
import { cpuTimeOf } from "../support/cpu_time.ts";
import { serveHttp } from "../support/doh_bridge.ts";
import { a, rawDns, reply } from "../support/raw_dns.ts";
import { mutatedResponse, NAME } from "./mutated_responses.ts";

const COUNT = Number(Deno.env.get("DNSPOOL_STRESS") ?? 2000);
const SEED = Number(Deno.env.get("DNSPOOL_SEED") ?? Math.floor(Math.random() * 2 ** 32));
/** Number of responses that go through real sockets: one in twenty. */
const OVER_SOCKETS = Math.ceil(COUNT / 20);
/** Maximum time to read a message, however slow the machine; a valid one takes a few microseconds. */
const SLOW_MS = 200;
/** Maximum time of a lookup: the answer, or the end of the connection, comes at once. */
const HANG_MS = 5000;

/** The possible results of a response, by the name that they are counted under. */
function checked(outcome: Answer | Error, family: 4 | 6): string {
  if (outcome instanceof LookupError) {
    const { kind, reason, negativeTtl } = outcome;
    assert(kind === "negative" || kind === "transient", `${kind}: ${outcome.message}`);
    assert(reason !== undefined && reason !== "", outcome.message);
    if (kind === "negative") assert(["NXDOMAIN", "NODATA"].includes(reason), reason);
    if (negativeTtl !== undefined) checkTtl(negativeTtl);
    return kind;
  }
  if (outcome instanceof Error) {
    // From the reader: not the response, or an unreadable one. It never fails in any other way.
    assertEquals(outcome.constructor, Error, outcome.stack);
    assert(/^(the response|the message)/.test(outcome.message), outcome.stack);
    return "unusable";
  }
  const { addresses, ttl } = outcome;
  assert(addresses.length > 0 && new Set(addresses).size === addresses.length);
  for (const address of addresses) {
    assertEquals([canonicalIp(address), ipFamily(address)], [address, family]);
  }
  checkTtl(ttl!);
  return "answer";
}

function checkTtl(ttl: number): void {
  assert(Number.isInteger(ttl) && ttl >= 0 && ttl < 2 ** 31, String(ttl));
}

async function repeatable(test: () => Promise<void> | void): Promise<void> {
  try {
    await test();
  } catch (cause) {
    const how = `DNSPOOL_STRESS=${COUNT} DNSPOOL_SEED=${SEED}`;
    throw new Error(`Failed with ${how}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
}

Deno.test(`the reader of wire and doh makes an answer or a defined error of ${COUNT} mutated responses`, () =>
  repeatable(() => {
    const random = seededRandom(SEED);
    const counts: Record<string, number> = { answer: 0, negative: 0, transient: 0, unusable: 0 };
    const memory: number[] = [];
    let slowest = { ms: 0, read: () => {} };
    for (let index = 0; index < COUNT; index++) {
      const family = random() < 0.7 ? 4 : 6;
      const id = Math.floor(random() * 2 ** 16);
      const query: Query = { id, name: NAME, family, edns: random() < 0.5 };
      const message = mutatedResponse(query, random);
      const read = (): Answer | Error => {
        try {
          const response = readResponse(message, query);
          if (response.truncated) return new Error("the response is truncated");
          const answer = toAnswer({ response }, { ...query, server: "127.0.0.1:53" });
          return answer.addresses.length > 0
            ? answer
            : new Error("the response ends with an alias");
        } catch (error) {
          assert(error instanceof Error, String(error));
          return error;
        }
      };
      let outcome!: Answer | Error;
      const ms = cpuTimeOf(() => outcome = read());
      if (ms > slowest.ms) slowest = { ms, read };
      counts[checked(outcome, family)]!++;
      if (index % 50 === 0) memory.push(Deno.memoryUsage().heapUsed);
    }
    // It may have been the garbage collector: a message that is slow to read is slow again.
    for (let again = 0; again < 3 && slowest.ms >= SLOW_MS; again++) {
      slowest.ms = cpuTimeOf(slowest.read);
    }
    assert(slowest.ms < SLOW_MS, `one took ${slowest.ms.toFixed(1)} ms`);
    // The heap grows and shrinks with the garbage: its lowest point is what counts.
    const half = memory.length / 2;
    const grownBy = (Math.min(...memory.slice(half)) - Math.min(...memory.slice(0, half))) /
      2 ** 20;
    assert(grownBy < 32, `the memory grew by ${grownBy.toFixed(0)} MiB`);
    // If all responses had the same result, the test would prove nothing.
    for (const [what, count] of Object.entries(counts)) {
      assert(count > COUNT / 50, `only ${count} of ${COUNT} ended as "${what}"`);
    }
  }));

/** Looks up repeatedly; each lookup must end, and in a defined way. It goes on until every way has been seen. */
async function askOften(
  lookup: Lookup,
  server: { host: string; port: number } | undefined,
): Promise<void> {
  const counts: Record<string, number> = { answer: 0, negative: 0, transient: 0 };
  const isEnough = (index: number) =>
    index >= 20 * OVER_SOCKETS ||
    index >= OVER_SOCKETS && Object.values(counts).every((count) => count > 0);
  for (let index = 0; !isEnough(index); index++) {
    const family = index % 3 ? 4 : 6;
    const controller = new AbortController();
    const hang = setTimeout(() => controller.abort(new Error(`Question ${index} hangs`)), HANG_MS);
    const { signal } = controller;
    const outcome = await lookup.lookup({ name: NAME, family, server, signal })
      .catch((error) => error)
      .finally(() => clearTimeout(hang));
    const what = checked(outcome, family);
    assert(what !== "unusable", `it is no LookupError: ${outcome}`);
    counts[what]!++;
  }
  for (const [what, count] of Object.entries(counts)) {
    assert(count > 0, `none of ${20 * OVER_SOCKETS} ended as "${what}"`);
  }
}

Deno.test(`wire has an end for ${OVER_SOCKETS} mutated responses over UDP and TCP`, () =>
  repeatable(async () => {
    const random = seededRandom(SEED);
    const { server, close } = await rawDns(({ message, protocol, send, end }) => {
      send(mutatedResponse(message, random));
      if (protocol === "tcp") end();
      // A response that is ignored must be followed by another one, or the lookup would time out.
      else send(reply(message, { answers: [a(NAME, "127.0.0.2")] }));
    });
    try {
      await askOften(wireLookup, server);
    } finally {
      await close();
    }
  }));

Deno.test(`doh has an end for ${OVER_SOCKETS} mutated responses over HTTP`, () =>
  repeatable(async () => {
    const random = seededRandom(SEED);
    const { url, close } = await serveHttp((_request, response, body) => {
      const status = random() < 0.95 ? 200 : 100 + Math.floor(random() * 500);
      const type = random() < 0.95 ? "application/dns-message" : "text/plain";
      const message = mutatedResponse(body, random);
      if (status < 200) return void response.destroy();
      response.writeHead(status, { "content-type": type });
      response.end([204, 205, 304].includes(status) ? undefined : message);
    });
    try {
      await askOften(dohLookup(url), undefined);
    } finally {
      await close();
    }
  }));
