import { assertEquals, assertRejects } from "@std/assert";
import { wireLookup } from "../../lookups/wire.ts";
import { clearDnsCache, getIpWithTtl } from "../../resolver.ts";
import { resolveName, type ResolveRequest } from "../../resolver/resolution.ts";
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

Deno.test("resolveName() with wire says that the response was truncated if the server is silent over TCP", async () => {
  await using dns = await DnsServer.start();
  dns.set(NAME, ["127.0.0.2"], { ttl: 60 });
  dns.fault(NAME, [{ protocol: "udp", truncate: true }, { protocol: "tcp", drop: true }]);
  const request: ResolveRequest = {
    ...{ name: NAME, family: 4, lookup: wireLookup, servers: [dns] },
    ...{ rounds: 1, timeoutMs: 1000, dnsTimeoutMs: Infinity, fallback: undefined },
    ...{ previous: undefined, trustNegative: false, signal: new AbortController().signal },
  };
  await assertRejects(
    () => resolveName(request),
    DOMException,
    "the response is truncated, and the server did not answer over TCP",
  );
});
