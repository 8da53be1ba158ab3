// A test with Deno.test that your code continues after a failover. Run it with `deno test`.
import { getDnsEngine } from "@dnspool/dnspool";
import { DnsServer, fakeAdapter, switchover } from "@dnspool/dnspool/testing";
import { assert, assertEquals, assertLess } from "@std/assert";

Deno.test("orders are stored on the new server after a failover", async () => {
  await using dns = await DnsServer.start();
  const adapter = fakeAdapter(); // for real servers: pgAdapter(pg)
  await using engine = getDnsEngine("fake://app@db.internal/orders", {
    adapter,
    dnsNameservers: [dns.address],
  });
  const storeOrder = () =>
    engine.begin(async ({ client, address }) => { // your code
      await adapter.query!(client, "INSERT INTO orders (customer) VALUES (42)");
      return address;
    });
  const result = await switchover(dns, "db.internal", {
    from: "127.0.0.2",
    to: "127.0.0.3",
    ttl: 1,
    follower: storeOrder,
  });
  assert(result.followed, JSON.stringify(result));
  assertEquals([result.misrouted, result.failed], [0, 0]);
  assertLess(result.all!, 3);
});
