import { assertEquals } from "@std/assert";
import type { Target } from "../../adapters/adapter.ts";
import { getDnsEngine } from "../../engine.ts";
import { clearDnsCache, getIpWithTtl } from "../../resolver.ts";
import { DnsServer, fakeAdapter } from "../../testing/mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";

const ASCII = "xn--dtenbank-0za.internal";

Deno.test("getDnsEngine() converts a name that is not ASCII once, for DNS and for TLS", async () => {
  clearDnsCache();
  const urls = [
    "test://dätenbank.internal/d",
    "test://DÄTENBANK.internal/d",
    new URL("test://dätenbank.internal/d"),
    "test://d%C3%A4tenbank.internal/d",
    `test://${ASCII}/d`,
  ];
  for (const url of urls) {
    clearDnsCache();
    const dnsLookup = fakeLookup(["10.0.0.1"], 60);
    const targets: Omit<Target, "signal">[] = [];
    const adapter = fakeAdapter();
    const connect: typeof adapter.connect = (address, target) => {
      targets.push(target);
      return adapter.connect(address, target);
    };
    const engine = getDnsEngine(url, { adapter: { ...adapter, connect }, dnsLookup });
    await (await engine.connect()).release();
    await engine.close();
    assertEquals(dnsLookup.questions.map(({ name }) => name), [ASCII]);
    assertEquals(targets.map(({ host }) => host), [ASCII]);
  }
  clearDnsCache();
});

for (const dnsLookup of ["system", "wire"] as const) {
  Deno.test(`getIpWithTtl() with "${dnsLookup}" resolves a name that is not ASCII`, async () => {
    clearDnsCache();
    await using dns = await DnsServer.start();
    dns.set(ASCII, ["127.0.0.2"], { ttl: 60 });
    const options = { dnsLookup, dnsNameservers: [dns.address], dnsFallback: false };
    assertEquals(await getIpWithTtl("Dätenbank.internal.", options), ["127.0.0.2", 60]);
    clearDnsCache();
  });
}
