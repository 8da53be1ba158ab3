import { assertEquals, assertRejects } from "@std/assert";
import { ResolveError } from "../../errors.ts";
import { clearDnsCache, getIpWithTtl } from "../../resolver.ts";
import { DnsServer } from "../../testing/mod.ts";

const NAME = "db.internal";

Deno.test("getIpWithTtl() with wire gets an answer where only TCP gets through", async () => {
  await using dns = await DnsServer.start();
  dns.set(NAME, ["127.0.0.2"], { ttl: 60 });
  dns.fault("*", { protocol: "udp", drop: true });
  const options = { dnsLookup: "wire", dnsNameservers: [dns.address], dnsFallback: false } as const;
  for (const dnsMaxRetries of [1, 3]) {
    clearDnsCache();
    const [address] = await getIpWithTtl(NAME, { ...options, dnsMaxRetries });
    assertEquals(address, "127.0.0.2");
  }
});

Deno.test("getIpWithTtl() with wire says that the response was truncated if the server is silent over TCP", async () => {
  await using dns = await DnsServer.start();
  dns.set(NAME, ["127.0.0.2"], { ttl: 60 });
  dns.fault(NAME, [{ protocol: "udp", truncate: true }, { protocol: "tcp", drop: true }]);
  const options = { dnsLookup: "wire", dnsNameservers: [dns.address], dnsFallback: false } as const;
  await assertRejects(
    () => getIpWithTtl(NAME, { ...options, dnsTimeout: 1, dnsMaxRetries: 1 }),
    ResolveError,
    "the response is truncated, and the server did not answer over TCP",
  );
});
