/**
 * The contract suite of lookups: every lookup of a runtime gets the same questions, with the DNS server of testing/ as
 * the server. It uses no test runner: `tests/lookups/contract_test.ts` runs it with `deno test`,
 * `scripts/test/runtimes.ts` on Node and Bun.
 *
 * Faults of a runtime are declared in tests/support/lookup_exceptions.ts and asserted: the suite fails when such a
 * fault is fixed, so that its declaration is removed.
 *
 * @module
 */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import process from "node:process";
import { delay } from "../../internal/async.ts";
import { LookupError } from "../../errors.ts";
import { clampTtl } from "../../internal/ttl.ts";
import type { Answer, Lookup, NameServer, Question } from "../../lookups/lookup.ts";
import { DnsServer } from "../../testing/mod.ts";
import { type Case, type CaseName, CASES, type Outcome } from "../support/lookup_cases.ts";
import type { Exceptions } from "../support/lookup_exceptions.ts";
import { Lag } from "../support/lag.ts";

/** A lookup to test. */
export interface Subject {
  /** Such as `"wire"`. */
  readonly name: string;
  /** The cases in which it differs from the contract. */
  readonly exceptions: Exceptions;
  /** Opens the lookup, which asks `dns`. */
  open(dns: DnsServer): Promise<{ lookup: Lookup; close(): Promise<void> }>;
}

/** One test. */
export interface ContractTest {
  readonly name: string;
  run(): Promise<void>;
}

const NAME = "db.internal";
const TIMED_OUT = new Error("The test has waited long enough");
/** The time for which a lookup must be silent, in milliseconds. */
const SILENCE_MS = 150;
/** Timeout of every other lookup, in milliseconds. */
const HANG_MS = 5000;

/** Returns the tests of one lookup. */
export function lookupContract(subject: Subject): ContractTest[] {
  const names = Object.keys(CASES) as CaseName[];
  return [
    ...names.map((name) => ({
      name: `${subject.name} ${name}`,
      run: () => runCase(subject, name),
    })),
    ...Object.entries(TESTS).map(([name, test]) => ({
      name: `${subject.name} ${name}`,
      run: () => withLookup(subject, undefined, test),
    })),
  ];
}

async function runCase(subject: Subject, name: CaseName): Promise<void> {
  const tested: Case = CASES[name];
  const exception = subject.exceptions[name];
  const expected = exception?.outcome ?? tested.expected;
  await withLookup(subject, tested.host, async ({ lookup, dns }) => {
    await tested.server(dns);
    const question = { name: tested.name ?? NAME, family: tested.family ?? 4, server: at(dns) };
    const timeoutMs = expected === "silence" ? SILENCE_MS : HANG_MS;
    const outcome = await outcomeOf(lookup, question, timeoutMs);
    const declared = exception &&
      `declared as "${exception.because}"; if that is fixed, remove the exception`;
    assertEquals(outcome, expected, declared);
  });
}

/** Asks a question, and aborts it at the timeout. */
async function outcomeOf(
  lookup: Lookup,
  question: Omit<Question, "signal">,
  timeoutMs: number,
): Promise<Outcome> {
  const controller = new AbortController();
  const timeout = setTimeout(() => controller.abort(TIMED_OUT), timeoutMs);
  try {
    const { addresses, ttl = "none" } = await lookup.lookup({
      ...question,
      signal: controller.signal,
    });
    // The resolver clamps TTLs, so a lookup may return them as they came.
    return { addresses, ttl: typeof ttl === "number" ? clampTtl(ttl) : ttl };
  } catch (error) {
    if (error === TIMED_OUT) return "silence";
    if (!(error instanceof LookupError)) throw error;
    const { kind, reason, negativeTtl } = error;
    return {
      kind,
      ...(reason !== undefined && { reason }),
      ...(negativeTtl !== undefined && { negativeTtl }),
    };
  } finally {
    clearTimeout(timeout);
  }
}

interface Context {
  readonly lookup: Lookup;
  readonly dns: DnsServer;
}

async function withLookup(
  subject: Subject,
  host: string | undefined,
  test: (context: Context) => Promise<void>,
): Promise<void> {
  const dns = await DnsServer.start({ host, negativeTtl: 7 });
  const { lookup, close } = await subject.open(dns);
  try {
    await test({ lookup, dns });
  } finally {
    await close();
    await dns.close();
  }
}

function at({ host, port }: DnsServer): NameServer {
  return { host, port };
}

/** Asks a question; `end` aborts it, and checks that it rejects at once. */
function ask({ lookup, dns }: Context): { end: () => Promise<void>; answer: Promise<Answer> } {
  const controller = new AbortController();
  const answer = lookup.lookup({
    name: NAME,
    family: 4,
    server: at(dns),
    signal: controller.signal,
  });
  const end = async () => {
    using lag = new Lag();
    const reason = new Error("The caller has left");
    controller.abort(reason);
    const startMs = performance.now();
    assertStrictEquals(await answer.then(String, (error) => error), reason);
    const tookMs = performance.now() - startMs;
    assert(tookMs < lag.limit(100), `it rejected after ${tookMs.toFixed(0)} ms`);
  };
  return { end, answer };
}

/** Returns what keeps the process alive, if the runtime reports it, after the last sockets had time to close. */
async function running(): Promise<string[]> {
  await delay(50);
  return process.getActiveResourcesInfo?.() ?? [];
}

/**
 * Checks that a function, called repeatedly, leaves nothing running. The first calls do not count: what they load
 * stays, and Node's `fetch` keeps a connection after an abort, which does not keep the process alive.
 */
async function assertNothingLeft(once: () => Promise<void>): Promise<void> {
  for (let round = 0; round < 5; round++) await once();
  const before = await running();
  for (let round = 0; round < 5; round++) await once();
  let more: string[] = [];
  for (let tries = 0; tries < 20; tries++) {
    const rest = [...before];
    more = (await running()).filter((kind) => {
      const index = rest.indexOf(kind);
      if (index >= 0) rest.splice(index, 1);
      return index < 0;
    });
    if (more.length === 0) return;
  }
  assertEquals(more, []);
}

/** The tests that are not cases of {@linkcode CASES}. */
const TESTS: Readonly<Record<string, (context: Context) => Promise<void>>> = {
  "keeps no cache": async (context) => {
    for (const address of ["127.0.0.2", "127.0.0.3"]) {
      context.dns.set(NAME, [address], { ttl: 60 });
      assertEquals((await ask(context).answer).addresses, [address]);
    }
  },

  "resolves an absolute name": async ({ lookup, dns }) => {
    dns.set(NAME, ["127.0.0.2"], { ttl: 60 });
    const { signal } = new AbortController();
    const question = { name: NAME, family: 4 as const, server: at(dns), signal };
    assertEquals((await lookup.lookup({ ...question, absolute: true })).addresses, ["127.0.0.2"]);
  },

  "asks a server whose address has a zone": async ({ lookup }) => {
    const dns = await DnsServer.start({ host: "::1" });
    dns.set(NAME, ["127.0.0.2"], { ttl: 60 });
    const { signal } = new AbortController();
    // The zone of the first interface, by its number: everywhere that of the loopback.
    const server = { host: "::1%1", port: dns.port };
    if (lookup.name !== "doh") {
      const { addresses } = await lookup.lookup({ name: NAME, family: 4, server, signal });
      assertEquals(addresses, ["127.0.0.2"]);
      assertEquals(dns.count(NAME), 1);
    }
    await dns.close();
  },

  "sends no query if it is aborted before it begins": async (context) => {
    const reason = new Error("The caller has left");
    const question = { name: NAME, family: 4 as const, server: at(context.dns) };
    const asked = context.lookup.lookup({ ...question, signal: AbortSignal.abort(reason) });
    assertStrictEquals(await asked.then(String, (error) => error), reason);
    await delay(50);
    assertEquals(context.dns.count(), 0);
  },

  "rejects with the signal's reason and leaves nothing running when it is aborted at once": async (
    context,
  ) => {
    context.dns.fault(NAME, { drop: true });
    await assertNothingLeft(() => ask(context).end());
  },

  "rejects with the signal's reason and leaves nothing running when it is aborted during a query":
    async (context) => {
      context.dns.fault(NAME, { drop: true });
      await assertNothingLeft(async () => {
        const query = context.dns.nextQuery(NAME);
        const question = ask(context);
        await query;
        await question.end();
      });
    },

  "rejects with the signal's reason and leaves nothing running when it is aborted during a query over TCP":
    async (context) => {
      context.dns.fault(NAME, [{ protocol: "udp", truncate: true }, { drop: true }]);
      await assertNothingLeft(async () => {
        const question = ask(context);
        while ((await context.dns.nextQuery(NAME)).protocol !== "tcp");
        await question.end();
      });
    },

  "does not abort other questions when one is aborted": async (context) => {
    context.dns.set(NAME, ["127.0.0.2"]);
    context.dns.fault(NAME, { delay: 0.1 });
    const [first, second] = [ask(context), ask(context)];
    await context.dns.nextQuery(NAME);
    await second.end();
    assertEquals((await first.answer).addresses, ["127.0.0.2"]);
  },

  "ignores an answer that arrives after it was aborted": async (context) => {
    context.dns.set(NAME, ["127.0.0.2"]);
    context.dns.fault(NAME, { delay: 0.05 });
    const query = context.dns.nextQuery(NAME);
    const question = ask(context);
    await query;
    await question.end();
    await delay(100);
    assertEquals((await ask(context).answer).addresses, ["127.0.0.2"]);
  },

  "ignores an abort after its answer": async (context) => {
    context.dns.set(NAME, ["127.0.0.2"]);
    const controller = new AbortController();
    const question = { name: NAME, family: 4 as const, server: at(context.dns) };
    await context.lookup.lookup({ ...question, signal: controller.signal });
    controller.abort();
    await delay(20);
  },
};
