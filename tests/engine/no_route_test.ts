import { assert, assertEquals, assertRejects } from "@std/assert";
import { getDnsEngine } from "../../engine.ts";
import type { EngineOptions } from "../../engine/options.ts";
import { ConnectError } from "../../errors.ts";
import { clearDnsCache } from "../../resolver.ts";
import { fakeAdapter, type FakeClient } from "../../testing/mod.ts";
import { type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { fakeTime } from "../support/time.ts";

/** An engine on a machine that has a route to some addresses only. */
function engineWith(
  { dns, code = "ENETUNREACH", url = "test://db.internal", ...options }:
    & { dns: FakeLookup; code?: string; url?: string }
    & EngineOptions<FakeClient>,
) {
  clearDnsCache();
  const adapter = fakeAdapter();
  const state = { routes: (address: string) => address.includes(":"), dialed: [] as string[] };
  const connect: typeof adapter.connect = (address, target) => {
    state.dialed.push(address);
    if (state.routes(address)) return adapter.connect(address, target);
    return Promise.reject(Object.assign(new Error(`connect ${code}`), { code }));
  };
  const engine = getDnsEngine(url, {
    adapter: { ...adapter, connect },
    dnsLookup: dns,
    poolTimeout: 1,
    ...options,
  });
  return Object.assign(state, { engine });
}

const families = (dns: FakeLookup) => dns.questions.map(({ family }) => family);

for (const code of ["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL"]) {
  Deno.test(`getDnsEngine() connects to the AAAA of a name whose A has no route (${code})`, async () => {
    const dns = fakeLookup(["10.0.0.1", "fd00::1"], 60);
    const { engine, dialed } = engineWith({ dns, code });
    const lease = await engine.connect();
    assertEquals([lease.address, dialed], ["fd00::1", ["10.0.0.1", "fd00::1"]]);
    assertEquals(families(dns), [4, 6]);
    assertEquals(engine.status().answer.addresses, ["fd00::1"]);
    await lease.release();
    await engine.close();
    clearDnsCache();
  });
}

Deno.test("getDnsEngine() asks for AAAA first from then on, and for A again when IPv6 has no route", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1", "fd00::1"], 10);
  const at = engineWith({ dns, dnsRefresh: "on-demand", poolClass: "null" });
  const use = async () => {
    const lease = await at.engine.connect();
    await lease.release();
    return lease.address;
  };
  assertEquals(await use(), "fd00::1");
  await time.advance(11);
  dns.questions.length = at.dialed.length = 0;
  assertEquals([await use(), families(dns), at.dialed], ["fd00::1", [6], ["fd00::1"]]);
  at.routes = (address) => !address.includes(":");
  await time.advance(11);
  dns.questions.length = at.dialed.length = 0;
  assertEquals([await use(), families(dns)], ["10.0.0.1", [6, 4]]);
  assertEquals(at.dialed, ["fd00::1", "10.0.0.1"]);
  const closing = at.engine.close();
  await time.advance(1);
  await closing;
  clearDnsCache();
});

Deno.test("getDnsEngine() asks for no AAAA if an address has a route, or another family was chosen", async () => {
  const table = [
    { code: "ECONNREFUSED" },
    { code: "ETIMEDOUT" },
    { code: "ENETUNREACH", dnsFamily: 4 },
  ] as const;
  for (const options of table) {
    const dns = fakeLookup(["127.0.0.1", "fd00::1"], 60);
    const { engine } = engineWith({ dns, connectRetry: false, ...options });
    await assertRejects(() => engine.connect(), ConnectError);
    assert(!families(dns).includes(6), options.code);
    await engine.close();
  }
  clearDnsCache();
});

Deno.test("getDnsEngine() reports the failure if there is no AAAA, and asks for it no more than every 5 seconds", async () => {
  using time = fakeTime();
  const dns = fakeLookup(["10.0.0.1"], 60);
  const { engine } = engineWith({ dns, connectRetry: false });
  for (const expected of [[4, 6, 4], [4, 6, 4]] as (4 | 6)[][]) {
    const error = await assertRejects(() => engine.connect(), ConnectError);
    assertEquals(error.attempts.map(({ address }) => address), ["10.0.0.1"]);
    assertEquals(families(dns).slice(0, 3), expected);
  }
  const asked = families(dns).filter((family) => family === 6).length;
  assertEquals(asked, 1);
  await time.advance(6);
  await assertRejects(() => engine.connect(), ConnectError);
  assertEquals(families(dns).filter((family) => family === 6).length, 2);
  const closing = engine.close();
  await time.advance(1);
  await closing;
  clearDnsCache();
});

Deno.test("getDnsEngine() connects to the AAAA of each of several hosts whose A has no route", async () => {
  const dns = fakeLookup(["10.0.0.1", "fd00::1"], 60);
  const { engine } = engineWith({ dns, url: "test://db1.internal:1,db2.internal:2" });
  const lease = await engine.connect();
  assert(lease.address.includes("fd00::1"), lease.address);
  await lease.release();
  await engine.close();
  clearDnsCache();
});
