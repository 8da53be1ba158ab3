import { assert, assertEquals } from "@std/assert";
import { hostsComeFirst, hostsFile, resolvConf } from "../../lookups/internal/system_files.ts";
import { systemServers } from "../../lookups/internal/system_servers.ts";
import { lookupByName } from "../../lookups/system.ts";
import { readDnsOptions } from "../../engine/options.ts";
import { clearDnsCache, getIpWithTtl } from "../../resolver.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { systemFiles } from "../support/system_files.ts";
import { fakeTime } from "../support/time.ts";

function hosts(): string[] {
  return systemServers().map(({ host }) => host);
}

Deno.test("systemServers() names what resolv.conf names, whatever else is in it", () => {
  using files = systemFiles();
  files.write("resolv.conf", "options no-aaaa whatever\nnameserver 10.0.0.2 10.0.0.3\n");
  assertEquals(systemServers(), [{ host: "10.0.0.2", port: 53 }]);
  for (const name of ["system", "wire"] as const) {
    assertEquals(lookupByName(name).servers?.(), systemServers());
  }
});

Deno.test("systemServers() names 127.0.0.1 without a file, and no server that is not configured", () => {
  using _ = systemFiles();
  assertEquals(hosts(), ["127.0.0.1"]);
});

Deno.test("systemServers() sees an edited file within a second, and looks at it no more often", async () => {
  using time = fakeTime();
  using files = systemFiles();
  files.write("resolv.conf", "nameserver 10.0.0.2\n");
  assertEquals(hosts(), ["10.0.0.2"]);
  files.write("resolv.conf", "nameserver 10.0.0.33\n");
  await time.advance(0.999);
  assertEquals(hosts(), ["10.0.0.2"]);
  await time.advance(0.001);
  assertEquals(hosts(), ["10.0.0.33"]);
  // The same length, perhaps in the same millisecond, in another file.
  files.replace("resolv.conf", "nameserver 10.0.0.44\n");
  await time.advance(1);
  assertEquals(hosts(), ["10.0.0.44"]);
});

Deno.test("hostsFile() and hostsComeFirst() see edited files within a second, and files that come and go", async () => {
  using time = fakeTime();
  using files = systemFiles();
  assertEquals([hostsFile()?.size, hostsComeFirst()], [0, true]);
  files.write("hosts", "10.0.0.2 db.internal\n");
  files.write("nsswitch.conf", "hosts: dns files\n");
  await time.advance(1);
  assertEquals([hostsFile()?.get("db.internal"), hostsComeFirst()], [["10.0.0.2"], false]);
  files.write("hosts", "");
  files.write("nsswitch.conf", "hosts: files\n");
  await time.advance(1);
  assertEquals([hostsFile()?.get("db.internal"), hostsComeFirst()], [undefined, true]);
});

Deno.test("resolvConf() and hostsFile() read a file once as long as it does not change", async () => {
  using time = fakeTime();
  using files = systemFiles();
  files.write("resolv.conf", "nameserver 10.0.0.2\n");
  files.write("hosts", "10.0.0.2 db.internal\n");
  const before = [resolvConf(), hostsFile()];
  await time.advance(5);
  assert(resolvConf() === before[0] && hostsFile() === before[1]);
});

Deno.test("getIpWithTtl() obeys options timeout and attempts of resolv.conf, for the system's servers", async () => {
  using time = fakeTime();
  using files = systemFiles();
  files.write("resolv.conf", "nameserver 10.0.0.2\noptions timeout:1 attempts:2\n");
  clearDnsCache();
  const asked: number[] = [];
  const dnsLookup = fakeLookup([], 60);
  dnsLookup.servers = systemServers;
  dnsLookup.respond = () => {
    asked.push(time.nowMs);
    return new Promise(() => {});
  };
  const options = { dnsLookup, dnsFallback: false, dnsMaxRetries: 2 };
  const startMs = time.nowMs;
  let failedAtMs = 0;
  getIpWithTtl("db.internal", options).catch(() => failedAtMs = time.nowMs);
  while (failedAtMs === 0) await time.tick(10);
  assertEquals(asked.length, 2);
  assert(failedAtMs - startMs < 2500, `${failedAtMs - startMs} ms`);
  const retries = (given: object) => readDnsOptions(given, "getIpWithTtl").settings.maxRetries;
  assertEquals(retries({}), 2);
  assertEquals(retries({ dnsLookup: "wire" }), 2);
  assertEquals(retries({ dnsMaxRetries: 5 }), 5);
  assertEquals(retries({ dnsNameservers: ["10.0.0.2"] }), 3);
  assertEquals(retries({ dnsLookup: "https://10.0.0.2/dns-query" }), 3);
  clearDnsCache();
});
