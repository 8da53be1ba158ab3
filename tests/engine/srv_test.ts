import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Target } from "../../adapters/adapter.ts";
import { type Engine, getDnsEngine } from "../../engine.ts";
import type { EngineOptions } from "../../engine/options.ts";
import { DatabaseUrl } from "../../engine/url.ts";
import { LookupError, ResolveError } from "../../errors.ts";
import { clearDnsCache } from "../../mod.ts";
import { fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { balanced } from "../support/fake_engine.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

const SERVICE = "_db._tcp.example.internal";
const URL = `fake+srv://app:secret@${SERVICE}/orders`;
const [A, B] = ["10.0.0.1", "10.0.0.2"];

/** Makes an engine for a service with two servers. */
function setup(options: EngineOptions<FakeClient> = {}, url = URL) {
  clearDnsCache();
  const records: Record<string, readonly string[] | "servfail"> = {
    [SERVICE]: ["10 0 5432 a.internal", "20 0 5433 b.internal"],
    "a.internal": [A],
    "b.internal": [B],
  };
  const ttls: Record<string, number> = {};
  const dns = fakeLookup([], 10);
  dns.respond = ({ name, family }) => {
    const record = records[name];
    if (record === "servfail") throw new LookupError("SERVFAIL", { kind: "transient" });
    if (!record || family === 6) throw new LookupError("NXDOMAIN", { kind: "negative" });
    return Promise.resolve({ addresses: record, ttl: ttls[name] ?? 10 });
  };
  const targets: Target[] = [];
  const adapter = fakeAdapter({ connect: (_, target) => void targets.push(target) });
  const engine = getDnsEngine(url, { adapter, dnsLookup: dns, dnsFallback: false, ...options });
  return { engine, adapter, dns, records, ttls, targets };
}

async function endpointOf(engine: Engine<FakeClient>): Promise<unknown[]> {
  return await engine.use(({ address, port, host }) => [address, port, host]);
}

for (
  const [how, options, url] of [
    ["+srv", {}, URL],
    ["dnsSrv", { dnsSrv: true }, URL.replace("+srv", "")],
  ] as const
) {
  Deno.test(`SRV by ${how}: the server with the lowest priority is taken, at its port and for its name`, async () => {
    using _time = fakeTime();
    const { engine, targets, dns, adapter } = setup(options, url);
    assertEquals(await endpointOf(engine), [A, 5432, "a.internal"]);
    assertEquals(targets.map(({ host, port }) => [host, port]), [["a.internal", 5432]]);
    assertEquals(dns.questions.map(({ name, family }) => [name, family]), [
      [SERVICE, "srv"],
      ["a.internal", 4],
      ["b.internal", 4],
    ]);
    const { host, answer, byAddress } = engine.status();
    assertEquals(host, SERVICE);
    assertEquals(answer.addresses, ["10.0.0.1:5432 (a.internal)", "10.0.0.2:5433 (b.internal)"]);
    assertEquals(byAddress, { "10.0.0.1:5432 (a.internal)": { idle: 1, inUse: 0 } });
    adapter.behavior.connect = (ip) => ip === A ? Promise.reject(new Error("no")) : undefined;
    engine.pool.invalidate();
    assertEquals(await endpointOf(engine), [B, 5433, "b.internal"]);
    await engine.close();
  });
}

Deno.test("SRV: the very next checkout after the records changed goes to the new server, by its port alone too", async () => {
  using time = fakeTime();
  const { engine, records } = setup();
  const changes: unknown[] = [];
  engine.addEventListener("addresschange", ({ detail: { added, removed } }) => {
    changes.push({ added, removed });
  });
  const held = await engine.connect();
  assertEquals([held.address, held.port], [A, 5432]);
  records[SERVICE] = ["10 0 6000 a.internal"];
  await time.advance(10);
  assertEquals(await endpointOf(engine), [A, 6000, "a.internal"]);
  assertEquals(changes, [{
    added: ["10.0.0.1:6000 (a.internal)"],
    removed: ["10.0.0.1:5432 (a.internal)", "10.0.0.2:5433 (b.internal)"],
  }]);
  assertEquals(engine.status().retired, 1);
  await held.release();
  assertEquals(engine.status().byAddress, { "10.0.0.1:6000 (a.internal)": { idle: 1, inUse: 0 } });
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("SRV: the very next checkout after a server's address changed goes to the new one", async () => {
  using time = fakeTime();
  const { engine, records } = setup();
  assertEquals(await endpointOf(engine), [A, 5432, "a.internal"]);
  records["a.internal"] = ["10.0.0.7"];
  await time.advance(10);
  assertEquals(await endpointOf(engine), ["10.0.0.7", 5432, "a.internal"]);
  await engine.close();
});

Deno.test("SRV: the answer is valid for the smaller TTL of record and address, each asked for ahead of its expiry", async () => {
  using time = fakeTime();
  const { engine, dns, ttls } = setup();
  ttls[SERVICE] = 60;
  ttls["a.internal"] = 5;
  assertEquals(await endpointOf(engine), [A, 5432, "a.internal"]);
  assertEquals(engine.status().answer.freshFor, 5);
  await time.advance(30);
  const asked = (name: string) => dns.questions.filter((question) => question.name === name).length;
  assertEquals(asked(SERVICE), 1);
  assert(asked("a.internal") >= 6, `${asked("a.internal")}`);
  await engine.close();
});

Deno.test("SRV: an outage of DNS is bridged as for addresses, and reported once", async () => {
  using time = fakeTime();
  const { engine, records } = setup({ dnsGraceTtl: 20 });
  let errors = 0;
  engine.addEventListener("lookuperror", () => errors++);
  assertEquals(await endpointOf(engine), [A, 5432, "a.internal"]);
  records[SERVICE] = "servfail";
  await time.advance(25);
  assertEquals(await endpointOf(engine), [A, 5432, "a.internal"]);
  assert(engine.status().answer.inGrace);
  assertEquals(errors, 1);
  await engine.close();
});

Deno.test("SRV: a server whose name does not resolve keeps none of the others from being used", async () => {
  using time = fakeTime();
  const { engine, records } = setup();
  delete records["a.internal"];
  const first = endpointOf(engine);
  await time.advance(0.05);
  assertEquals(await first, [B, 5433, "b.internal"]);
  await engine.close();
});

Deno.test("SRV: servers of the same priority are taken at random by weight at each connect", async () => {
  using _time = fakeTime();
  const { engine, records } = setup();
  records[SERVICE] = ["10 90 5432 a.internal", "10 10 5433 b.internal"];
  const counts: Record<string, number> = {};
  for (let i = 0; i < 200; i++) {
    const [address] = await endpointOf(engine);
    counts[String(address)] = (counts[String(address)] ?? 0) + 1;
    engine.pool.invalidate();
  }
  assert(counts[A]! > 140 && counts[B]! > 2, JSON.stringify(counts));
  await engine.close();
});

Deno.test("SRV: dnsSrvTlsName chooses the name for the certificate", async () => {
  using _time = fakeTime();
  const { engine, targets } = setup({ dnsSrvTlsName: "service" });
  assertEquals(await endpointOf(engine), [A, 5432, "a.internal"]);
  assertEquals(targets.map(({ host, port }) => [host, port]), [[SERVICE, 5432]]);
  await engine.close();
});

Deno.test("SRV: records that cannot be used are a reported failure", async () => {
  using time = fakeTime();
  const with_ = (text: string, why: string): [readonly string[], string] => [
    [text],
    `with the SRV record ${JSON.stringify(text)}: ${why}`,
  ];
  const form = "it is not PRIORITY WEIGHT PORT TARGET";
  const table: [records: readonly string[], message: string][] = [
    [["0 0 0 ."], 'with the SRV target ".": the service is not available there'],
    with_("10 0 0 a.internal", "its port is 0"),
    with_("70000 0 1 a.internal", "its priority is above 65535"),
    with_("0 70000 1 a.internal", "its weight is above 65535"),
    with_("0 0 70000 a.internal", "its port is above 65535"),
    with_("0 0 1 a..internal", "its target is not a host name"),
    with_("-1 0 1 a.internal", form),
    with_("0 -1 1 a.internal", form),
    with_("0 0 1.5 a.internal", form),
    with_("0 0 1", form),
    with_("10.0.0.1", form),
    [["10 0 5432 a.internal", "10.0.0.1"], `with the SRV record "10.0.0.1": ${form}`],
    [[], "with no SRV record"],
  ];
  for (const [given, what] of table) {
    const { engine, records } = setup({ dnsTimeout: 1, dnsMaxRetries: 1 });
    let errors = 0;
    engine.addEventListener("lookuperror", () => errors++);
    records[SERVICE] = given;
    const failing = assertRejects(() => engine.connect(), ResolveError);
    await time.advance(2);
    assertEquals(
      (await failing).message,
      `Cannot resolve "${SERVICE}": The lookup "fake" answered "${SERVICE}" ${what}`,
    );
    assertEquals(errors, 1, what);
    await engine.close();
  }
});

Deno.test("SRV: a target that leads to nothing is a reported failure that names it", async () => {
  using time = fakeTime();
  const { engine, records } = setup({ dnsTimeout: 1, dnsMaxRetries: 1 });
  const errors: unknown[] = [];
  engine.addEventListener("lookuperror", ({ detail: { error } }) => {
    errors.push((error as Error).message);
  });
  records[SERVICE] = ["10 0 5432 gone.internal"];
  const failing = assertRejects(() => engine.connect(), ResolveError);
  await time.advance(2);
  assertEquals(
    (await failing).message,
    'Cannot resolve any of the hosts "gone.internal": Cannot resolve "gone.internal": NXDOMAIN',
  );
  assertEquals(errors, ["NXDOMAIN"]);
  records["gone.internal"] = [A];
  await time.advance(5);
  assertEquals(await endpointOf(engine), [A, 5432, "gone.internal"]);
  await engine.close();
});

Deno.test("DatabaseUrl and getDnsEngine() refuse what contradicts SRV records", () => {
  const adapter = fakeAdapter();
  const url = DatabaseUrl.parse("postgresql+pg+srv://app@_postgresql._tcp.db.example/orders");
  assertEquals([url.dialect, url.driver, url.srv], ["postgresql", "pg", true]);
  assertEquals(String(url), "postgresql+pg+srv://app@_postgresql._tcp.db.example/orders");
  assertEquals(
    String(url.with({ srv: false })),
    "postgresql+pg://app@_postgresql._tcp.db.example/orders",
  );
  assertEquals(DatabaseUrl.parse("mysql+srv://h").driver, undefined);
  const port = '"port of the database URL" must not be given: the ports are in the SRV records';
  const host =
    '"host of the database URL" must be one name of a service, such as _postgresql._tcp.db.example, beside SRV, got ';
  const table: [text: string, message: string][] = [
    ["mysql+srv://db.internal:3306/d", port],
    ["mysql+srv://10.0.0.1/d", `${host}an IP address`],
    ["mysql+srv://[::1]/d", `${host}an IP address`],
    ["mysql+srv://a,b/d", `${host}2 hosts`],
    ["mysql+srv:///d", `${host}none`],
  ];
  for (const [text, message] of table) {
    assertThrows(() => DatabaseUrl.parse(text), TypeError, message);
    const plain = text.replace("+srv", "");
    if (text === "mysql+srv:///d") continue;
    assertThrows(() => getDnsEngine(plain, { adapter, dnsSrv: true }), TypeError, message);
  }
  assertThrows(
    () => getDnsEngine("mysql+srv://h", { adapter, dnsSrv: false }),
    TypeError,
    '"dnsSrv" must be true beside a database URL whose scheme ends with "+srv", got false',
  );
  assertThrows(
    () => getDnsEngine("mysql+srv://h", { adapter, connectArgs: { port: 1 } }),
    TypeError,
    '"connectArgs.port" must not be given: the ports are in the SRV records',
  );
});
