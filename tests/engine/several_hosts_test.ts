import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { Target } from "../../adapters/adapter.ts";
import { type Engine, getDnsEngine } from "../../engine.ts";
import type { EngineOptions } from "../../engine/options.ts";
import { ConnectError, LookupError, ResolveError } from "../../errors.ts";
import { fakeAdapter, type FakeBehavior, type FakeClient } from "../../testing/mod.ts";
import { clearDnsCache } from "../../mod.ts";
import { balanced } from "../support/fake_engine.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

const URL = "fake://app:secret@db1.internal:5001,db2.internal:5002,db3.internal/orders";
const [A, B, C] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
const NAMES = [
  "10.0.0.1:5001 (db1.internal)",
  "10.0.0.2:5002 (db2.internal)",
  "10.0.0.3:1 (db3.internal)",
];

/** What DNS says of each host: addresses, `"silent"`, or a failure. */
type Records = Record<string, readonly string[] | "silent" | "nxdomain" | "servfail">;

/** Makes an engine for several hosts, each with its record. */
function setup(
  options: EngineOptions<FakeClient> = {},
  { behavior = {}, url = URL }: { behavior?: FakeBehavior; url?: string } = {},
) {
  clearDnsCache();
  const records: Records = { "db1.internal": [A], "db2.internal": [B], "db3.internal": [C] };
  const dns = fakeLookup([], 10);
  dns.respond = ({ name, signal }) => {
    const record = records[name];
    if (record === "silent") {
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason))
      );
    }
    if (record === "servfail") throw new LookupError("SERVFAIL", { kind: "transient" });
    if (!Array.isArray(record)) throw new LookupError("NXDOMAIN", { kind: "negative" });
    return Promise.resolve({ addresses: record, ttl: 10 });
  };
  const adapter = fakeAdapter(behavior);
  const engine = getDnsEngine(url, { adapter, dnsLookup: dns, dnsFallback: false, ...options });
  return { engine, adapter, dns, records };
}

/** Checks out once; returns the address, the port and the host. */
async function endpointOf(engine: Engine<FakeClient>): Promise<unknown[]> {
  return await engine.use(({ address, port, host }) => [address, port, host]);
}

Deno.test("several hosts: connections are opened to the first one, with the port and the name of its own", async () => {
  using _time = fakeTime();
  const targets: Target[] = [];
  const behavior = { connect: (_: string, target: Target) => void targets.push(target) };
  const { engine } = setup({}, { behavior });
  assertEquals(await endpointOf(engine), [A, 5001, "db1.internal"]);
  assertEquals(targets.map(({ host, port }) => [host, port]), [["db1.internal", 5001]]);
  const { host, byAddress, answer } = engine.status();
  assertEquals(host, "db1.internal:5001,db2.internal:5002,db3.internal");
  assertEquals(byAddress, { [NAMES[0]!]: { idle: 1, inUse: 0 } });
  assertEquals(answer.addresses, NAMES);
  assertEquals(answer.hosts!.map(({ host, port, addresses }) => [host, port, addresses]), [
    ["db1.internal", 5001, [A]],
    ["db2.internal", 5002, [B]],
    ["db3.internal", 1, [C]],
  ]);
  await engine.close();
});

Deno.test("several hosts: the next one is taken if a server refuses, and by its role", async () => {
  using _time = fakeTime();
  const { engine, adapter } = setup({ targetSessionAttrs: "read-write" }, {
    behavior: {
      connect: (ip) => ip === A ? Promise.reject(new Error("refused")) : undefined,
      role: ({ address }) => ({ standby: address === B, readOnly: address === B }),
    },
  });
  assertEquals(await endpointOf(engine), [C, 1, "db3.internal"]);
  assertEquals(adapter.dials, [A, B, C]);
  await engine.close();
});

Deno.test("several hosts: the very next checkout after one moved is open to its new address", async () => {
  using time = fakeTime();
  const { engine, records } = setup();
  const changes: unknown[] = [];
  engine.addEventListener("addresschange", ({ detail }) => changes.push(detail));
  const held = await engine.connect();
  await endpointOf(engine);
  records["db1.internal"] = ["10.0.1.1"];
  await time.advance(10);
  assertEquals(await endpointOf(engine), ["10.0.1.1", 5001, "db1.internal"]);
  const moved = "10.0.1.1:5001 (db1.internal)";
  assertEquals(changes, [{
    added: [moved],
    removed: [NAMES[0]],
    addresses: [moved, NAMES[1], NAMES[2]],
    ttl: 10,
    source: "dns",
    host: "db1.internal",
  }]);
  assertEquals(engine.status().retired, 1);
  await held.release();
  assertEquals(engine.status().byAddress, { [moved]: { idle: 1, inUse: 0 } });
  assert(balanced(engine.status()));
  await engine.close();
});

Deno.test("several hosts: two hosts with the same address are two endpoints, each as long as its own host has it", async () => {
  using time = fakeTime();
  const { engine, records, adapter } = setup();
  records["db2.internal"] = [A];
  assertEquals(await endpointOf(engine), [A, 5001, "db1.internal"]);
  records["db1.internal"] = ["10.0.0.9"];
  await time.advance(10);
  assertEquals(await endpointOf(engine), ["10.0.0.9", 5001, "db1.internal"]);
  adapter.behavior.connect = (ip) => ip === A ? undefined : Promise.reject(new Error("refused"));
  engine.pool.invalidate();
  assertEquals(await endpointOf(engine), [A, 5002, "db2.internal"]);
  await engine.close();
});

for (const outage of ["nxdomain", "servfail", "silent"] as const) {
  Deno.test(`several hosts: one that does not resolve (${outage}) keeps none of the others from being used`, async () => {
    using time = fakeTime();
    const { engine, records } = setup();
    const errors: ResolveError[] = [];
    engine.addEventListener(
      "lookuperror",
      ({ detail }) => errors.push(detail.error as ResolveError),
    );
    records["db1.internal"] = outage;
    const startMs = time.nowMs;
    const first = endpointOf(engine);
    await time.advance(0.05);
    assertEquals(await first, [B, 5002, "db2.internal"]);
    // A checkout waits for it once at most.
    const before = time.nowMs;
    for (let i = 0; i < 5; i++) await endpointOf(engine);
    assertEquals(time.nowMs, before);
    assert(time.nowMs - startMs <= 50);
    await time.advance(120);
    assertEquals(await endpointOf(engine), [B, 5002, "db2.internal"]);
    assertEquals(errors.length, 1, "once per outage");
    // It is back, and comes first again, at the latest at the next connect.
    records["db1.internal"] = [A];
    await time.advance(60);
    engine.pool.invalidate();
    assertEquals(await endpointOf(engine), [A, 5001, "db1.internal"]);
    records["db1.internal"] = outage;
    await time.advance(120);
    assertEquals(errors.length, 2, "the next outage is reported too");
    await engine.close();
  });
}

Deno.test("several hosts: connections to a host whose answer has died are not handed out, and others are", async () => {
  using time = fakeTime();
  const { engine, records, adapter } = setup({ dnsGraceTtl: 3, dnsMaxStale: 5 });
  assertEquals(await endpointOf(engine), [A, 5001, "db1.internal"]);
  records["db1.internal"] = "servfail";
  await time.advance(12);
  assertEquals(await endpointOf(engine), [A, 5001, "db1.internal"], "in grace");
  await time.advance(20);
  assertEquals(await endpointOf(engine), [B, 5002, "db2.internal"]);
  assertEquals(adapter.open.map(({ address }) => address), [B]);
  await engine.close();
});

Deno.test("several hosts: without an answer for any of them, the error names all and says why", async () => {
  using time = fakeTime();
  const { engine, records } = setup({ dnsTimeout: 1, dnsMaxRetries: 1 });
  records["db1.internal"] = "nxdomain";
  records["db2.internal"] = "servfail";
  records["db3.internal"] = "silent";
  const failing = assertRejects(() => engine.connect(), ResolveError);
  await time.advance(1.5);
  const error = await failing;
  assertStringIncludes(
    error.message,
    'Cannot resolve any of the hosts "db1.internal,db2.internal,db3.internal": ',
  );
  assertStringIncludes(error.message, "NXDOMAIN");
  assertStringIncludes(error.message, "SERVFAIL");
  await engine.close();
});

Deno.test("several hosts: addresses and names may be mixed, and need no DNS if there is no name", async () => {
  using _time = fakeTime();
  const { engine, dns } = setup({}, { url: "fake://app@10.0.0.9:7,[fd00::2]:8/orders" });
  assertEquals(await endpointOf(engine), ["10.0.0.9", 7, "10.0.0.9"]);
  assertEquals(engine.status().answer.addresses, ["10.0.0.9:7", "[fd00::2]:8"]);
  assertEquals(dns.questions, []);
  await engine.close();
  const mixed = setup({ loadBalance: "round-robin" }, {
    url: "fake://app@db1.internal,127.0.0.9/orders",
  });
  const hosts = [];
  for (let i = 0; i < 2; i++) {
    hosts.push((await endpointOf(mixed.engine))[2]);
    mixed.engine.pool.invalidate();
  }
  assertEquals(hosts.sort(), ["127.0.0.9", "db1.internal"]);
  await mixed.engine.close();
});

Deno.test("several hosts: connectTimeout and the error of a connect are for all of them", async () => {
  using time = fakeTime();
  const { engine } = setup({ connectTimeout: 1 }, {
    behavior: { connect: () => Promise.reject(new Error("no")) },
  });
  const failing = assertRejects(() => engine.connect(), ConnectError);
  await time.advance(1);
  const { message, attempts } = await failing;
  assertEquals(attempts.map(({ address }) => address), NAMES);
  assertEquals(
    message,
    'Cannot connect to "db1.internal:5001,db2.internal:5002,db3.internal": ' +
      NAMES.map((name) => `${name} said: no`).join("; "),
  );
  await engine.close();
});

Deno.test("several hosts: a port in connectArgs is refused beside them", () => {
  assertThrows(
    () => setup({ connectArgs: { port: 5 } }),
    TypeError,
    '"connectArgs.port" must not be given: the database URL has several hosts, put the ports there',
  );
});

Deno.test("several hosts: an engine that waits for one that is silent can be closed", async () => {
  using time = fakeTime();
  const { engine, records } = setup();
  for (const host of Object.keys(records)) records[host] = "silent";
  const failing = assertRejects(() => engine.connect(), Error, "closed");
  await time.settle();
  await engine.close();
  assertFalse((await failing) instanceof ResolveError);
  assertInstanceOf(await failing, Error);
});

Deno.test("getDnsEngine() reads target_session_attrs, load_balance_hosts and connect_timeout of a PostgreSQL URL", async () => {
  using _time = fakeTime();
  clearDnsCache();
  const params: unknown[] = [];
  const adapter = fakeAdapter({
    connect: (_, target) => void params.push(target.params),
    role: ({ address }) => ({ standby: address === A, readOnly: address === A }),
  });
  const url = `postgresql://app@${A},${B}/d?target_session_attrs=read-write&connect_timeout=3`;
  const engine = getDnsEngine(`${url}&load_balance_hosts=disable`, { adapter });
  assertEquals((await endpointOf(engine))[0], B);
  assertEquals(params, [{}, {}]);
  await engine.close();

  const same = getDnsEngine(url, { adapter, targetSessionAttrs: "read-write", connectTimeout: 5 });
  await same.close();
  const refused: [parameter: string, message: string][] = [
    [
      "target_session_attrs=x",
      '"target_session_attrs of the database URL" must be one of "any", "read-write", "read-only", "primary", "standby", "prefer-standby", got "x"',
    ],
    [
      "load_balance_hosts=x",
      '"load_balance_hosts of the database URL" must be one of "disable", "random", got "x"',
    ],
    [
      "connect_timeout=0",
      '"connect_timeout of the database URL" must be a whole number of seconds from 1 to 3600, got "0"',
    ],
    ["connect_timeout=1&connect_timeout=2", "got 2 values"],
    ["connect_timeout=x", 'got "x"'],
  ];
  for (const [parameter, message] of refused) {
    assertThrows(
      () => getDnsEngine(`postgresql://h/d?${parameter}`, { adapter }),
      TypeError,
      message,
    );
  }
  assertThrows(
    () => getDnsEngine(url, { adapter, targetSessionAttrs: "standby" }),
    TypeError,
    '"targetSessionAttrs" must not be given: the database URL has target_session_attrs=read-write',
  );
});
