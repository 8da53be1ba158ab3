import { assert, assertEquals } from "@std/assert";
import { createServer } from "node:net";
import { once } from "node:events";
import { getDnsEngine } from "../../mod.ts";
import { DnsServer, fakeAdapter } from "../../testing/mod.ts";
import { Lag } from "../support/lag.ts";

Deno.test("getDnsEngine() sends no packet and opens no connection, as the servers count", async () => {
  const dns = await DnsServer.start();
  dns.set("db.internal", ["127.0.0.1"], { ttl: 1 });
  let connections = 0;
  const listener = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as { port: number };
  const options = { dnsNameservers: [dns.address] };

  const engine = getDnsEngine(`postgresql+pg://app:secret@db.internal:${port}/orders`, options);
  engine.status();
  await engine.dispose();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertEquals([dns.count(), connections], [0, 0]);

  // Both servers count a checkout.
  await engine.connect().then(() => {}, () => {});
  assertEquals(dns.count() > 0, true);
  assertEquals(connections, 1);

  await engine.close();
  await dns.close();
  listener.close();
  await once(listener, "close");
});

Deno.test("a checkout goes to the new address of a real DNS answer, by the runtime's own resolver", async () => {
  const dns = await DnsServer.start();
  dns.set("db.internal", ["127.0.0.2"], { ttl: 1 });
  const engine = getDnsEngine("fake://db.internal/orders", {
    adapter: fakeAdapter(),
    dnsNameservers: [dns.address],
  });
  assertEquals(await engine.use(({ address }) => address), "127.0.0.2");
  using lag = new Lag();
  const startMs = performance.now();
  dns.set("db.internal", ["127.0.0.3"], { ttl: 1 });
  let address = "127.0.0.2";
  while (address === "127.0.0.2" && performance.now() - startMs < 25_000) {
    address = await engine.use(({ address }) => address);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const tookMs = performance.now() - startMs;
  assertEquals(address, "127.0.0.3");
  assert(tookMs < lag.limit(1300), `took ${tookMs} ms`);
  await engine.close();
  await dns.close();
});
