import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { getDnsEngine } from "../../engine.ts";
import { readDnsOptions } from "../../engine/options.ts";
import { LookupError } from "../../errors.ts";
import type { LookupName } from "../../lookups/lookup.ts";
import { clearDnsCache, getIpWithTtl } from "../../resolver.ts";
import { readAllowAddress } from "../../resolver/allow_address.ts";
import { resolveName, type ResolveRequest } from "../../resolver/resolution.ts";
import { DnsServer, fakeAdapter } from "../../testing/mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { systemFiles } from "../support/system_files.ts";
import { fakeTime } from "../support/time.ts";

/** A server that is never reached: an address of TEST-NET-1 (RFC 5737). */
const NOWHERE = "192.0.2.53";

/** A request, with a lookup and a fallback that know the name under other addresses. */
function request(rest: Partial<ResolveRequest> = {}) {
  const dns = fakeLookup(["10.66.0.1", "fd66::1"], 60);
  const os = fakeLookup(["10.77.0.1"], 60);
  const given: ResolveRequest = {
    name: "db.internal",
    family: "auto",
    lookup: dns,
    servers: [],
    hosts: "configured",
    rounds: 1,
    timeoutMs: 1000,
    dnsTimeoutMs: Infinity,
    previous: undefined,
    trustNegative: false,
    fallback: os,
    signal: new AbortController().signal,
    ...rest,
  };
  return { dns, os, resolve: () => resolveName(given) };
}

Deno.test("resolveName() takes the answer of the hosts file, for 5 seconds, and asks nothing", async () => {
  using files = systemFiles();
  files.write("hosts", "10.0.0.1 db.internal db\n10.0.0.2 db.internal\n");
  const { dns, os, resolve } = request();
  const { addresses, ttl, source, tookMs, details } = await resolve();
  assertEquals([addresses, ttl, source, tookMs], [["10.0.0.1", "10.0.0.2"], 5, "hosts", 0]);
  assert(details.server?.endsWith("hosts"));
  assertEquals([dns.questions, os.questions], [[], []]);
});

Deno.test("resolveName() takes the family that is asked for from the hosts file, else from DNS", async () => {
  using files = systemFiles();
  files.write("hosts", "fd00::1 db.internal\n10.0.0.1 db.internal\nfd00::2 v6.internal\n");
  const table = [
    ["db.internal", "auto", ["10.0.0.1"]],
    ["db.internal", 4, ["10.0.0.1"]],
    ["db.internal", 6, ["fd00::1"]],
    ["db.internal", "both", ["fd00::1", "10.0.0.1"]],
    ["v6.internal", "auto", ["fd00::2"]],
    ["v6.internal", 4, ["10.66.0.1"]],
  ] as const;
  for (const [name, family, expected] of table) {
    assertEquals((await request({ name, family }).resolve()).addresses, [...expected]);
  }
});

Deno.test("resolveName() reads the hosts file first only where nsswitch.conf has it so, or it is asked to", async () => {
  using time = fakeTime();
  using files = systemFiles();
  files.write("hosts", "10.0.0.1 db.internal\n");
  const table = [
    ["configured", "hosts: files dns", "hosts"],
    ["configured", "hosts: dns files", "dns"],
    ["first", "hosts: dns files", "hosts"],
    ["last", "hosts: files dns", "dns"],
    ["never", "hosts: files dns", "dns"],
  ] as const;
  for (const [hosts, nsswitch, source] of table) {
    files.write("nsswitch.conf", nsswitch);
    await time.advance(1);
    assertEquals([hosts, nsswitch, (await request({ hosts }).resolve()).source], [
      hosts,
      nsswitch,
      source,
    ]);
  }
});

Deno.test("resolveName() does not ask the operating system for a name in the hosts file that must not answer", async () => {
  using files = systemFiles();
  files.write("hosts", "10.0.0.1 db.internal\n");
  const refused = request({ hosts: "never" });
  refused.dns.failure = "negative";
  await assertRejects(refused.resolve, LookupError, "Scripted: negative");
  assertEquals(refused.os.questions, []);
  for (const rest of [{ hosts: "never", name: "other.internal" }, { hosts: "last" }] as const) {
    const asked = request(rest);
    asked.dns.failure = "negative";
    assertEquals((await asked.resolve()).source, "os");
  }
});

Deno.test("resolveName() refuses an answer of the hosts file that allowAddress does not allow", async () => {
  using files = systemFiles();
  files.write("hosts", "10.0.0.1 db.internal\n");
  const { resolve } = request({ allow: readAllowAddress(["10.66.0.0/16"]) });
  await assertRejects(
    resolve,
    LookupError,
    'The hosts file answered "db.internal" with 10.0.0.1: "allowAddress" does not allow',
  );
});

for (const dnsLookup of ["system", "wire"] as const) {
  Deno.test(`getIpWithTtl() with "${dnsLookup}" answers at once from the hosts file while DNS is silent`, async () => {
    using files = systemFiles();
    files.write("resolv.conf", `nameserver ${NOWHERE}\n`);
    files.write("hosts", "127.0.0.9 db.internal\n");
    clearDnsCache();
    const startMs = performance.now();
    assertEquals(await getIpWithTtl("DB.Internal", { dnsLookup }), ["127.0.0.9", 5]);
    assertEquals(await getIpWithTtl("db.internal.", { dnsLookup }), ["127.0.0.9", 5]);
    const tookMs = performance.now() - startMs;
    assert(tookMs < 1000, `${tookMs} ms`);
    clearDnsCache();
  });

  Deno.test(`getIpWithTtl() with "${dnsLookup}" asks dnsNameservers, whatever is in the hosts file`, async () => {
    using files = systemFiles();
    files.write("hosts", "127.0.0.9 db.internal\n127.0.0.9 gone.internal\n");
    clearDnsCache();
    await using dns = await DnsServer.start();
    dns.set("db.internal", ["127.0.0.2"], { ttl: 60 });
    const options = { dnsLookup, dnsNameservers: [dns.address], dnsMaxRetries: 1 };
    const [address] = await getIpWithTtl("db.internal", options);
    assertEquals(address, "127.0.0.2");
    await assertRejects(() => getIpWithTtl("gone.internal", options), Error, "gone.internal");
    clearDnsCache();
  });
}

Deno.test("getDnsEngine() connects to what Docker's extra_hosts says, not to what DNS says", async () => {
  using files = systemFiles();
  files.write("resolv.conf", `nameserver ${NOWHERE}\n`);
  files.write("hosts", "127.0.0.1 localhost\n127.0.0.9 db.internal\n172.17.0.2 0123456789ab\n");
  clearDnsCache();
  const addresses: string[] = [];
  for (const dnsLookup of ["system", "wire"] as LookupName[]) {
    const engine = getDnsEngine("test://db.internal", { adapter: fakeAdapter(), dnsLookup });
    const lease = await engine.connect();
    addresses.push(lease.address);
    await lease.release();
    await engine.close();
  }
  assertEquals(addresses, ["127.0.0.9", "127.0.0.9"]);
  clearDnsCache();
});

Deno.test("getDnsEngine() follows an edited hosts file, and then DNS once the name has left it", async () => {
  using time = fakeTime();
  using files = systemFiles();
  files.write("hosts", "10.0.0.1 db.internal\n");
  clearDnsCache();
  const dnsLookup = fakeLookup(["10.66.0.1"], 60);
  const engine = getDnsEngine("test://db.internal", {
    adapter: fakeAdapter(),
    dnsLookup,
    dnsHosts: true,
  });
  const changes: unknown[] = [];
  engine.addEventListener("addresschange", ({ detail: { addresses, source } }) => {
    changes.push([addresses, source]);
  });
  const lease = await engine.connect();
  assertEquals(lease.address, "10.0.0.1");
  files.write("hosts", "10.0.0.22 db.internal\n");
  await time.advance(6);
  assertEquals(changes, [[["10.0.0.22"], "hosts"]]);
  assertEquals(dnsLookup.questions, []);
  files.write("hosts", "\n");
  await time.advance(6);
  assertEquals(changes.slice(1), [[["10.66.0.1"], "dns"]]);
  await lease.release();
  const closing = engine.close();
  await time.advance(1);
  await closing;
  clearDnsCache();
});

Deno.test("dnsHosts: the hosts file is read as configured by the system's lookups, and never with dnsNameservers", () => {
  const dnsLookup = fakeLookup([], 1);
  const dnsNameservers = ["10.0.0.2"];
  const table = [
    [{}, "configured"],
    [{ dnsLookup: "wire" }, "configured"],
    [{ dnsLookup: "https://10.0.0.2/dns-query" }, "last"],
    [{ dnsLookup }, "last"],
    [{ dnsLookup, dnsHosts: true }, "first"],
    [{ dnsHosts: true }, "first"],
    [{ dnsHosts: false }, "never"],
    [{ dnsNameservers }, "never"],
    [{ dnsNameservers, dnsHosts: false }, "never"],
  ] as const;
  for (const [options, expected] of table) {
    assertEquals(readDnsOptions(options, "getIpWithTtl").settings.hosts, expected);
  }
  assertThrows(
    () => readDnsOptions({ dnsNameservers, dnsHosts: true }, "getIpWithTtl"),
    TypeError,
    '"dnsHosts" must not be given: with "dnsNameservers", the hosts file is not read',
  );
});
