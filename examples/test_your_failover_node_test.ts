// A test with node:test that your code continues after a failover. Run it with `node --test`.
import { getDnsEngine } from "@dnspool/dnspool";
import { DnsServer, fakeAdapter, switchover } from "@dnspool/dnspool/testing";
import assert from "node:assert/strict";
import { test } from "node:test";

test("orders are stored on the new server after a failover", async () => {
  const dns = await DnsServer.start();
  const engine = getDnsEngine("fake://app@db.internal/orders", {
    adapter: fakeAdapter(), // for real servers: pgAdapter(pg)
    dnsNameservers: [dns.address],
  });
  try {
    const result = await switchover(dns, "db.internal", {
      from: "127.0.0.2",
      to: "127.0.0.3",
      ttl: 1,
      follower: engine, // or a function that runs your code and returns the address
    });
    assert.ok(result.followed, JSON.stringify(result));
    assert.deepEqual([result.misrouted, result.failed], [0, 0]);
    assert.ok(result.all! < 3, `${result.all}`);
  } finally {
    await engine.close();
    await dns.close();
  }
});
