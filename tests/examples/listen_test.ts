import { assertEquals } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pgAdapter } from "../../adapters/pg.ts";
import { takeOrders } from "../../examples/listen.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { getDnsEngine } from "../../mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { until } from "../support/waiting.ts";

const LOGIN = {
  user: "app",
  password: "s3cret",
  database: "orders",
  settings: { synchronous_commit: true }, // what is committed outlasts a kill
};

/** The statements in the first lines of the example. */
async function tables(): Promise<string> {
  const text = await Deno.readTextFile(new URL("../../examples/listen.ts", import.meta.url));
  return text.match(/^ \* {5}.*$/gm)!.map((line) => line.slice(7)).join("\n");
}

async function ask(server: PostgresServer, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: server.url() });
  client.on("error", () => {}); // an error fails the query as well
  await client.connect();
  await client.query(text);
  await client.end();
}

const order = (server: PostgresServer, customer: string) =>
  ask(server, `INSERT INTO orders (customer) VALUES ('${customer}')`);

Deno.test("examples/listen.ts takes each order, at the new server after a switchover and a crash too", async () => {
  const hosts = await loopbackPair();
  const port = await freePort(hosts);
  await using first = await startPostgres({ ...LOGIN, host: hosts[0], port });
  await using second = await startPostgres({ ...LOGIN, host: hosts[1], port });
  for (const server of [first, second]) await ask(server, await tables());
  const dns = fakeLookup([hosts[0]], 0.3);
  await using engine = getDnsEngine(`postgresql://app:s3cret@db.internal:${port}/orders`, {
    adapter: pgAdapter(pg),
    dnsLookup: dns,
    dnsFallback: false,
  });
  await order(first, "before");
  const taken: string[] = [];
  const stop = new AbortController();
  await takeOrders(
    engine,
    (orders) => void taken.push(...orders.map(({ customer }) => customer)),
    stop.signal,
  );
  await order(first, "at the first");
  await until(() => taken.length === 2);

  dns.addresses = [hosts[1]];
  await order(second, "at the second");
  await until(() => taken.length === 3);

  await second.kill();
  await second.start();
  await order(second, "after a crash");
  await until(() => taken.length === 4);
  assertEquals(taken, ["before", "at the first", "at the second", "after a crash"]);
  stop.abort();
});
