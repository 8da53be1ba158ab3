import { assert, assertEquals } from "@std/assert";
import { type Engine, getDnsEngine } from "../../engine.ts";
import type { EngineOptions } from "../../engine/options.ts";
import { LookupError } from "../../errors.ts";
import { clearDnsCache } from "../../mod.ts";
import { fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

const SERVICE = "_db._tcp.example.internal";
const URL = `fake+srv://app@${SERVICE}/orders`;
const [A, B, C] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

/** Makes an engine for a service of one server, whose address comes along with its record. */
function setup(options: EngineOptions<FakeClient> = {}) {
  clearDnsCache();
  const records: Record<string, readonly string[] | "servfail"> = {
    [SERVICE]: [`10 0 5432 a.internal ${A}`],
    "a.internal": [B],
  };
  const dns = fakeLookup([], 10);
  dns.respond = ({ name, family }) => {
    const record = records[name];
    if (record === "servfail") throw new LookupError("SERVFAIL", { kind: "transient" });
    if (!record) throw new LookupError("NXDOMAIN", { kind: "negative" });
    const addresses = record.filter((text) =>
      family === "srv" || text.includes(":") === (family === 6)
    );
    if (addresses.length === 0) throw new LookupError("NODATA", { kind: "negative" });
    return Promise.resolve({ addresses, ttl: 10 });
  };
  const adapter = fakeAdapter();
  const engine = getDnsEngine(URL, { adapter, dnsLookup: dns, dnsFallback: false, ...options });
  const asked = (name: string) => dns.questions.filter((question) => question.name === name).length;
  return { engine, adapter, dns, records, asked };
}

async function addressOf(engine: Engine<FakeClient>): Promise<string> {
  return await engine.use(({ address }) => address);
}

Deno.test("SRV with addresses: none is asked for, also ahead of expiry, and a change is followed", async () => {
  using time = fakeTime();
  const { engine, records, asked } = setup();
  const changes: unknown[] = [];
  engine.addEventListener("addresschange", ({ detail: { added, removed } }) => {
    changes.push({ added, removed });
  });
  assertEquals(await addressOf(engine), A);
  assertEquals(engine.status().answer.hosts!.map(({ host, addresses }) => [host, addresses]), [
    ["a.internal", [A]],
  ]);
  await time.advance(60);
  assertEquals(await addressOf(engine), A);
  assert(asked(SERVICE) >= 5);
  assertEquals(asked("a.internal"), 0);
  records[SERVICE] = [`10 0 5432 a.internal ${C}`];
  await time.advance(10);
  assertEquals(await addressOf(engine), C);
  assertEquals(changes, [{
    added: [`${C}:5432 (a.internal)`],
    removed: [`${A}:5432 (a.internal)`],
  }]);
  assertEquals(asked("a.internal"), 0);
  await engine.close();
});

Deno.test("SRV with addresses: when they no longer come along, the target is asked for, and the other way round", async () => {
  using time = fakeTime();
  const { engine, records, asked } = setup();
  assertEquals(await addressOf(engine), A);
  records[SERVICE] = ["10 0 5432 a.internal"];
  await time.advance(20);
  assertEquals(await addressOf(engine), B);
  assert(asked("a.internal") > 0);
  records[SERVICE] = [`10 0 5432 a.internal ${A}`];
  // A question for the target that is under way may be answered later.
  await time.advance(20);
  assertEquals(await addressOf(engine), A);
  const before = asked("a.internal");
  await time.advance(60);
  assertEquals(asked("a.internal"), before);
  await engine.close();
});

Deno.test("SRV with addresses, on demand: the answer expires with the record", async () => {
  using time = fakeTime();
  const { engine, records, asked } = setup({ dnsRefresh: "on-demand" });
  assertEquals(await addressOf(engine), A);
  records[SERVICE] = [`10 0 5432 a.internal ${C}`];
  await time.advance(9);
  assertEquals(await addressOf(engine), A);
  await time.advance(2);
  assertEquals(await addressOf(engine), C);
  assertEquals([asked(SERVICE), asked("a.internal")], [2, 0]);
  await engine.close();
});

Deno.test("SRV with addresses: an outage is bridged by grace, and reported once for the service and once for the server", async () => {
  using time = fakeTime();
  const { engine, records } = setup({ dnsGraceTtl: 30 });
  let errors = 0;
  engine.addEventListener("lookuperror", () => errors++);
  assertEquals(await addressOf(engine), A);
  records[SERVICE] = records["a.internal"] = "servfail";
  await time.advance(25);
  const began = performance.now();
  assertEquals(await addressOf(engine), A);
  assert(performance.now() - began < 100, "the caller did not wait");
  assert(engine.status().answer.inGrace);
  assertEquals(errors, 2);
  records[SERVICE] = [`10 0 5432 a.internal ${C}`];
  await time.advance(5);
  assertEquals(await addressOf(engine), C);
  await engine.close();
});

Deno.test("SRV with addresses: what the options would not let DNS answer is asked for", async () => {
  using _time = fakeTime();
  const table: [options: EngineOptions<FakeClient>, along: string, taken: string][] = [
    [{ dnsFamily: 4 }, `${A} fd00::1`, A],
    [{ dnsFamily: 6 }, `${A} fd00::1`, "fd00::1"],
    [{ dnsFamily: "both" }, `${A} fd00::1`, A],
    [{ dnsFamily: "auto" }, `fd00::1 ${A}`, A],
    [{ allowAddress: [`${A}/32`] }, A, A],
    // Asked for:
    [{ dnsFamily: 4 }, "fd00::1", B],
    [{ dnsFamily: 6 }, A, "fd00::2"],
    [{ dnsFamily: "both" }, A, B],
    [{ dnsFamily: "auto" }, "fd00::1", B],
    [{ allowAddress: [`${B}/32`] }, A, B],
  ];
  for (const [options, along, taken] of table) {
    const { engine, records, asked } = setup(options);
    records[SERVICE] = [`10 0 5432 a.internal ${along}`];
    records["a.internal"] = [B, "fd00::2"];
    const text = JSON.stringify([options, along]);
    assertEquals(await addressOf(engine), taken, text);
    assertEquals(asked("a.internal") > 0, !along.split(" ").includes(taken), text);
    await engine.close();
  }
});

Deno.test("SRV with addresses: a lookup's text that is none is a reported failure", async () => {
  using time = fakeTime();
  const { engine, records } = setup({ dnsTimeout: 1, dnsMaxRetries: 1 });
  records[SERVICE] = ["10 0 5432 a.internal 10.0.0.300"];
  const failing = addressOf(engine).catch((error) => error.message);
  await time.advance(2);
  const message = await failing;
  assert(
    message.includes(
      '"10 0 5432 a.internal 10.0.0.300": an address behind its target is not an IP address',
    ),
    message,
  );
  await engine.close();
});
