/**
 * Acknowledged transactions are in the database, once, and those that are not were reported: through flips, kills and
 * freezes of replicated pairs. `DNSPOOL_LEDGER_SECONDS` is the duration, `DNSPOOL_SEED` the seed of the first pair's order.
 */

import { assertEquals, assertGreater } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import type { Adapter } from "../../adapters/adapter.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { clearDnsCache, type Engine, getDnsEngine } from "../../mod.ts";
import { type Loss, ReplicatedPair } from "../../lab/replicated_pair.ts";
import { DnsServer } from "../../testing/mod.ts";
import { seeded } from "../support/fake_lookup.ts";
import { balance, type Entry, FOUND, type Found, Ledger, LEDGER_TABLE } from "../support/ledger.ts";
import { pause, until } from "../support/waiting.ts";

const SECONDS = Number(
  Deno.env.get("DNSPOOL_LEDGER_SECONDS") ?? (Deno.env.get("CI") ? 30 : 10),
);
const SEED = Number(Deno.env.get("DNSPOOL_SEED") ?? 1);
/** Pairs side by side: most of the time they wait. */
const PAIRS = 2;
const LOSSES: readonly Loss[] = ["killed", "frozen", "stopped", "frozen and thawed"];
const HOST = "db.internal";
const NOTHING = { lost: [], torn: [], unknown: [], untold: [], elsewhere: [], replayed: [] };

// deno-lint-ignore no-explicit-any -- whatever the client is, the engine only hands it back
const ADAPTERS: Readonly<Record<string, Adapter<any>>> = { pg: pgAdapter(pg) };

for (const [name, adapter] of Object.entries(ADAPTERS)) {
  Deno.test(`${name}: acknowledged transactions are there, once, and those that are not there were reported`, async () => {
    clearDnsCache();
    const running = Array.from({ length: PAIRS }, (_, index) => runPair(adapter, SEED + index));
    await Promise.allSettled(running); // none is left behind if one fails
    await Promise.all(running);
  });
}

/** Lets workers write on a replicated pair that changes places again and again, and checks their ledger. */
async function runPair(adapter: Adapter<unknown>, seed: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const random = seeded(seed);
  const pair = stack.use(await ReplicatedPair.start(LEDGER_TABLE));
  const dns = stack.use(await DnsServer.start());
  dns.set(HOST, [pair.primary.host]);
  const make = (targetSessionAttrs: "any" | "read-write"): Engine<unknown> => {
    const engine: Engine<unknown> = getDnsEngine(pair.primary.url(HOST), {
      adapter,
      dnsNameservers: [dns.address],
      dnsLookup: "wire",
      dnsFallback: false,
      poolSize: 4,
      maxOverflow: 0,
      connectTimeout: 2,
      targetSessionAttrs,
    });
    stack.defer(() => engine.close({ drain: 0 }));
    return engine;
  };
  const engines = [make("any"), make("read-write")];
  const ledger = new Ledger();
  stack.defer(() => ledger.stop());
  for (const engine of engines) ledger.work(engine, 4);

  const events: Record<string, number> = { flicker: 0 };
  const endMs = performance.now() + SECONDS * 1000;
  for (let turn = 0; turn < LOSSES.length || performance.now() < endMs; turn++) {
    await pause(300 + random() * 700);
    if (random() < 0.3) {
      // DNS is ahead of the servers for a moment, as in the middle of many a failover.
      events.flicker!++;
      dns.set(HOST, [pair.standbyAddress!]);
      await pause(random() * 1500);
      dns.set(HOST, [pair.primary.host]);
      await pause(1200);
    }
    // Each of them once, and then in random order.
    const loss = LOSSES[turn < LOSSES.length ? turn : Math.floor(random() * LOSSES.length)]!;
    events[loss] = (events[loss] ?? 0) + 1;
    const old = pair.primary.host;
    const removeOld = await pair.failOver(loss);
    await pause(random() * 1000);
    dns.set(HOST, [pair.primary.host]);
    const before = ledger.entries.length;
    await until(
      () => {
        const { host } = pair.primary;
        const late = ledger.entries.slice(before);
        return late.some(({ outcome, address }) => outcome === "acknowledged" && address === host);
      },
      `work on ${pair.primary.host} after ${old} was ${loss}`,
    );
    await pause(random() * 1000);
    await removeOld();
    await pair.addStandby(old);
  }
  await ledger.stop();

  const { entries } = ledger;
  const rows = await pair.ask(FOUND);
  const result = balance(entries, rows as unknown as Found[], pair.terms);
  const reported = entries.filter(({ outcome }) => outcome === "reported");
  console.log(
    `seed ${seed}: ${
      JSON.stringify(events)
    }; ${ledger.acknowledged} acknowledged, ${reported.length} reported, of which ${result.inDoubt.length} are there all the same; ${
      JSON.stringify(codes(reported))
    }`,
  );
  assertEquals({ ...result, inDoubt: undefined }, { ...NOTHING, inDoubt: undefined });
  assertGreater(ledger.acknowledged, 5 * SECONDS);
  assertEquals(reported.filter(({ error }) => !(error instanceof Error)), []);
  for (const engine of engines) {
    await engine.close();
    const { opened, closed, idle, inUse } = engine.status();
    assertEquals([closed, idle, inUse], [opened, 0, 0]);
  }
}

/** Counts the reported errors by their codes. */
function codes(reported: readonly Entry[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { error } of reported) {
    const code = (error as { code?: string }).code ?? (error as Error).message;
    counts[code] = (counts[code] ?? 0) + 1;
  }
  return counts;
}

Deno.test("balance() finds a row that is lost, torn, unknown, untold, elsewhere, and a function that was called again", () => {
  const terms = [{ address: "a", timeline: "1", untilMs: 100 }];
  const entry = {
    address: "a",
    beganMs: 50,
    calls: 1,
    outcome: "acknowledged" as const,
    error: undefined,
  };
  const entries = [
    { ...entry, id: 1 },
    { ...entry, id: 2 },
    { ...entry, id: 3, outcome: "under way" as const, calls: 2 },
    { ...entry, id: 4, address: "b" },
    { ...entry, id: 5, beganMs: 101 },
    { ...entry, id: 6, outcome: "reported" as const },
    { ...entry, id: 7, outcome: "reported" as const },
    { ...entry, id: 8, outcome: "reported" as const, calls: 0 },
  ];
  const row = { parts: 2, different: 2, address: "a", timeline: "1" };
  const found = [
    { ...row, id: 2, parts: 3 },
    { ...row, id: 4 },
    { ...row, id: 5 },
    { ...row, id: 6 },
    { ...row, id: 9, different: 1 },
  ];
  assertEquals(balance(entries, found, terms), {
    lost: [1],
    torn: [2, 9],
    unknown: [9],
    untold: [3],
    elsewhere: [4, 5],
    replayed: [3],
    inDoubt: [6],
  });
});
