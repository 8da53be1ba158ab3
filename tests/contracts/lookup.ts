/**
 * The contract of lookups as a suite: every lookup that a runtime has is put the same questions, against the DNS
 * server of testing/. It knows no test runner: `tests/lookups/contract_test.ts` runs it with `deno test`,
 * `scripts/test/runtimes.ts` on Node and Bun.
 *
 * What a lookup cannot do by its runtime's fault is declared in tests/support/lookup_exceptions.ts and asserted as such: the
 * suite fails when the fault is gone, so that the declaration goes too.
 *
 * @module
 */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import process from "node:process";
import { delay } from "../../internal/async.ts";
import { LookupError } from "../../errors.ts";
import type { Answer, Lookup, NameServer, Question } from "../../lookups/lookup.ts";
import { DnsServer } from "../../testing/mod.ts";
import { type Case, type CaseName, CASES, type Outcome } from "../support/lookup_cases.ts";
import type { Exceptions } from "../support/lookup_exceptions.ts";

/** A lookup to put the questions to. */
export interface Subject {
  /** Such as `"wire"`. */
  readonly name: string;
  /** What it does otherwise, and why. */
  readonly exceptions: Exceptions;
  /** The lookup that asks `dns`, and what ends it. */
  open(dns: DnsServer): Promise<{ lookup: Lookup; close(): Promise<void> }>;
}

/** One test. */
export interface ContractTest {
  readonly name: string;
  run(): Promise<void>;
}

const NAME = "db.internal";
const TIME_IS_UP = new Error("The test has waited for long enough");
/** A silent lookup is watched for so long. */
const SILENCE_MS = 150;
/** No lookup in this suite takes so long unless it hangs. */
const HANG_MS = 5000;

/** The tests of one lookup. */
export function lookupContract(subject: Subject): ContractTest[] {
  const names = Object.keys(CASES) as CaseName[];
  return [
    ...names.map((name) => ({
      name: `${subject.name} ${name}`,
      run: () => runCase(subject, name),
    })),
    ...Object.entries(HABITS).map(([name, test]) => ({
      name: `${subject.name} ${name}`,
      run: () => withLookup(subject, undefined, test),
    })),
  ];
}

async function runCase(subject: Subject, name: CaseName): Promise<void> {
  const asked: Case = CASES[name];
  const exception = subject.exceptions[name];
  const expected = exception?.outcome ?? asked.expected;
  await withLookup(subject, asked.host, async ({ lookup, dns }) => {
    await asked.server(dns);
    const question = { name: asked.name ?? NAME, family: asked.family ?? 4, server: at(dns) };
    const patienceMs = expected === "silence" ? SILENCE_MS : HANG_MS;
    const outcome = await outcomeOf(lookup, question, patienceMs);
    const declared = exception &&
      `declared as "${exception.because}"; where that is over, take it out of the exceptions`;
    assertEquals(outcome, expected, declared);
  });
}

/** Puts a question, and ends it when it has been silent for long enough. */
async function outcomeOf(
  lookup: Lookup,
  question: Omit<Question, "signal">,
  patienceMs: number,
): Promise<Outcome> {
  const controller = new AbortController();
  const patience = setTimeout(() => controller.abort(TIME_IS_UP), patienceMs);
  try {
    const { addresses, ttl = "none" } = await lookup.lookup({
      ...question,
      signal: controller.signal,
    });
    // The resolver counts a TTL with the top bit set as 0 (RFC 2181 section 8), so a lookup may give it as it came.
    return { addresses, ttl: typeof ttl === "number" && ttl >= 2 ** 31 ? 0 : ttl };
  } catch (error) {
    if (error === TIME_IS_UP) return "silence";
    if (!(error instanceof LookupError)) throw error;
    const { kind, reason, negativeTtl } = error;
    return {
      kind,
      ...(reason !== undefined && { reason }),
      ...(negativeTtl !== undefined && { negativeTtl }),
    };
  } finally {
    clearTimeout(patience);
  }
}

interface Asking {
  readonly lookup: Lookup;
  readonly dns: DnsServer;
}

async function withLookup(
  subject: Subject,
  host: string | undefined,
  test: (asking: Asking) => Promise<void>,
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

/** A question that its signal ends, and a promise of how it ended. */
function ask({ lookup, dns }: Asking): { end: () => Promise<void>; answer: Promise<Answer> } {
  const controller = new AbortController();
  const answer = lookup.lookup({
    name: NAME,
    family: 4,
    server: at(dns),
    signal: controller.signal,
  });
  const end = async () => {
    const reason = new Error("The caller left");
    controller.abort(reason);
    const startMs = performance.now();
    assertStrictEquals(await answer.then(String, (error) => error), reason);
    const tookMs = performance.now() - startMs;
    assert(tookMs < 100, `it rejected only after ${tookMs.toFixed(0)} ms`);
  };
  return { end, answer };
}

/** What holds the process up, by kind, where the runtime tells; the last test's sockets have a moment to close. */
async function running(): Promise<string[]> {
  await delay(50);
  return process.getActiveResourcesInfo?.() ?? [];
}

/**
 * Does something again and again, which must leave nothing running. The first few times do not count: what they load
 * stays, and Node's `fetch` keeps a connection in reserve after an abort, which lets the process end.
 */
async function repeat(once: () => Promise<void>): Promise<void> {
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

/** What is asserted of a lookup besides how its questions end. */
const HABITS: Readonly<Record<string, (asking: Asking) => Promise<void>>> = {
  "keeps no cache": async (asking) => {
    for (const address of ["127.0.0.2", "127.0.0.3"]) {
      asking.dns.set(NAME, [address], { ttl: 60 });
      assertEquals((await ask(asking).answer).addresses, [address]);
    }
  },

  "finds a name that is absolute": async ({ lookup, dns }) => {
    dns.set(NAME, ["127.0.0.2"], { ttl: 60 });
    const { signal } = new AbortController();
    const question = { name: NAME, family: 4 as const, server: at(dns), signal };
    assertEquals((await lookup.lookup({ ...question, absolute: true })).addresses, ["127.0.0.2"]);
  },

  "asks nothing when it is aborted before it begins": async (asking) => {
    const reason = new Error("The caller left");
    const question = { name: NAME, family: 4 as const, server: at(asking.dns) };
    const asked = asking.lookup.lookup({ ...question, signal: AbortSignal.abort(reason) });
    assertStrictEquals(await asked.then(String, (error) => error), reason);
    await delay(50);
    assertEquals(asking.dns.count(), 0);
  },

  "rejects with the signal's reason and leaves nothing running, when it is aborted at once": async (
    asking,
  ) => {
    asking.dns.fault(NAME, { drop: true });
    await repeat(() => ask(asking).end());
  },

  "rejects with the signal's reason and leaves nothing running, when it is aborted in flight":
    async (asking) => {
      asking.dns.fault(NAME, { drop: true });
      await repeat(async () => {
        const query = asking.dns.nextQuery(NAME);
        const question = ask(asking);
        await query;
        await question.end();
      });
    },

  "rejects with the signal's reason and leaves nothing running, when it is aborted in flight over TCP":
    async (asking) => {
      asking.dns.fault(NAME, [{ protocol: "udp", truncate: true }, { drop: true }]);
      await repeat(async () => {
        const question = ask(asking);
        while ((await asking.dns.nextQuery(NAME)).protocol !== "tcp");
        await question.end();
      });
    },

  "leaves other questions alone when one is aborted": async (asking) => {
    asking.dns.set(NAME, ["127.0.0.2"]);
    asking.dns.fault(NAME, { delay: 0.1 });
    const [first, second] = [ask(asking), ask(asking)];
    await asking.dns.nextQuery(NAME);
    await second.end();
    assertEquals((await first.answer).addresses, ["127.0.0.2"]);
  },

  "does not mind an answer that comes after it was aborted": async (asking) => {
    asking.dns.set(NAME, ["127.0.0.2"]);
    asking.dns.fault(NAME, { delay: 0.05 });
    const query = asking.dns.nextQuery(NAME);
    const question = ask(asking);
    await query;
    await question.end();
    await delay(100);
    assertEquals((await ask(asking).answer).addresses, ["127.0.0.2"]);
  },

  "does not mind being aborted after its answer": async (asking) => {
    asking.dns.set(NAME, ["127.0.0.2"]);
    const controller = new AbortController();
    const question = { name: NAME, family: 4 as const, server: at(asking.dns) };
    await asking.lookup.lookup({ ...question, signal: controller.signal });
    controller.abort();
    await delay(20);
  },
};
