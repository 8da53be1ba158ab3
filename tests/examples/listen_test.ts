import { assertEquals } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pgAdapter } from "../../adapters/pg.ts";
import { listen } from "../../examples/listen.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { getDnsEngine } from "../../mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { soon, until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };

async function notify(server: PostgresServer, payload: string): Promise<void> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  await client.query("SELECT pg_notify('orders', $1)", [payload]);
  await client.end();
}

Deno.test("examples/listen.ts goes on listening at the new server after a switchover, and after a crash", async () => {
  const hosts = await loopbackPair();
  const port = await freePort(hosts);
  await using first = await startPostgres({ ...LOGIN, host: hosts[0], port });
  await using second = await startPostgres({ ...LOGIN, host: hosts[1], port });
  const dns = fakeLookup([hosts[0]], 0.3);
  const engine = getDnsEngine(`postgresql://app:s3cret@db.internal:${port}/orders`, {
    adapter: pgAdapter(pg),
    dnsLookup: dns,
    dnsFallback: false,
  });
  const heard: (string | undefined)[] = [];
  let begun = 0;
  const stop = new AbortController();
  const listening = listen(engine, "orders", {
    onNotification: (payload) => void heard.push(payload),
    onListening: () => void begun++,
  }, stop.signal);
  await until(() => begun === 1);
  await notify(first, "at the first");
  await until(() => heard.length === 1);

  dns.addresses = [hosts[1]];
  await until(() => begun === 2);
  await notify(first, "not heard");
  await notify(second, "at the second");
  await until(() => heard.length === 2);

  await second.kill();
  await second.start();
  await until(() => begun === 3);
  await notify(second, "after a crash");
  await until(() => heard.length === 3);
  assertEquals(heard, ["at the first", "at the second", "after a crash"]);

  stop.abort();
  await soon(listening);
  await engine.close();
});
