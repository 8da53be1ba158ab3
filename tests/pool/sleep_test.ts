import { assertEquals } from "@std/assert";
import { fakeEngine } from "../support/fake_engine.ts";
import { fakeTime } from "../support/time.ts";

Deno.test("poolRecycle and idleTimeout count the time for which the machine slept", async () => {
  for (const options of [{ poolRecycle: 300 }, { idleTimeout: 300 }]) {
    using time = fakeTime();
    const { engine, adapter, dns } = fakeEngine(options);
    dns.ttl = 3600;
    await engine.use(() => {});
    await time.advance(1);
    await engine.use(() => {});
    assertEquals(adapter.clients.length, 1);
    time.step(600);
    await engine.use(() => {});
    assertEquals([adapter.clients.length, adapter.open.length], [2, 1]);
    await engine.close();
  }
});

Deno.test("poolPrePing pings a connection that was idle while the machine slept", async () => {
  using time = fakeTime();
  const { engine, adapter, dns } = fakeEngine({ poolPrePing: true, prePingAfter: 30 });
  dns.ttl = 3600;
  await engine.use(() => {});
  await engine.use(() => {});
  const { log } = adapter.clients[0]!;
  assertEquals(log.includes("ping"), false);
  time.step(600);
  await engine.use(() => {});
  assertEquals(log.filter((call) => call === "ping").length, 1);
  await engine.close();
});
