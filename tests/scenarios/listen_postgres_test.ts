/**
 * A listener and what it is told, while the name moves and servers and sessions are killed. Each message is a row and a
 * notification of one transaction; a listener that hears notifications, and reads the table at each gap, knows all rows.
 *
 * `DNSPOOL_LISTEN_ROUNDS` sets the number of accidents.
 */

import { assert, assertEquals } from "@std/assert";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { type Adapter, getDnsEngine, type ListenGap } from "../../mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { pause, until } from "../support/waiting.ts";

const LOGIN = {
  user: "app",
  password: "s3cret",
  database: "orders",
  settings: { synchronous_commit: true }, // what is committed outlasts a kill
};
const ROUNDS = Number(process.env.DNSPOOL_LISTEN_ROUNDS ?? 8);

const ACCIDENTS = ["moved", "session ended", "moved", "killed", "moved away from a frozen one"];

/** Runs a statement on a server, by a connection of its own. */
async function ask(
  server: PostgresServer,
  text: string,
  values: unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.url() });
  client.on("error", () => {}); // an error fails the query as well
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}

const SEND =
  "WITH sent AS (INSERT INTO messages VALUES ($1) RETURNING id) SELECT pg_notify('Orders \"1\"', id::text) FROM sent";

const drivers: [string, Adapter<unknown>][] = [
  ["pg", pgAdapter(pg) as Adapter<unknown>],
  ["postgresjs", postgresjsAdapter(postgres) as Adapter<unknown>],
];

for (const [name, adapter] of drivers) {
  Deno.test(`Engine.listen() with ${name}: each message is heard, or a gap is told after it`, async () => {
    const hosts = await loopbackPair();
    const port = await freePort(hosts);
    await using first = await startPostgres({ ...LOGIN, host: hosts[0], port });
    await using second = await startPostgres({ ...LOGIN, host: hosts[1], port });
    const servers = [first, second] as const;
    for (const server of servers) await ask(server, "CREATE TABLE messages (id int)");
    const dns = fakeLookup([hosts[0]], 0.1);
    await using engine = getDnsEngine(`postgresql://app:s3cret@db.internal:${port}/orders`, {
      adapter,
      dnsLookup: dns,
      dnsFallback: false,
      logger: { debug() {}, info() {}, warn() {} },
    });
    const known = new Set<string>();
    let heard = 0;
    const gaps: ListenGap[] = [];
    const reads = new Set<Promise<void>>();
    const read = async (server: PostgresServer) => {
      for (const { id } of await ask(server, "SELECT id FROM messages")) known.add(String(id));
    };
    await using _listener = await engine.listen('Orders "1"', (payload) => {
      heard++;
      known.add(payload);
    }, {
      onGap: (gap) => {
        gaps.push(gap);
        // If the server is killed meanwhile, the next gap is read.
        const done = read(servers.find(({ host }) => host === gap.address)!).catch(() => {});
        reads.add(done);
        void done.then(() => reads.delete(done));
      },
    });
    let current = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const accident = ACCIDENTS[round % ACCIDENTS.length]!;
      const server = servers[current]!;
      let after = async () => {};
      if (accident === "session ended") {
        await ask(
          server,
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%'",
        );
      } else if (accident === "killed") {
        await server.kill();
        await server.start();
      } else {
        if (accident !== "moved") {
          await server.freeze();
          after = () => server.thaw();
        }
        current = 1 - current;
        dns.addresses = [hosts[current]!];
      }
      await pause(1);
      await ask(servers[current]!, SEND, [round]);
      await until(() => known.has(String(round)), `message ${round}, "${accident}"`);
      await after();
      // What is sent later is heard.
      const before = heard;
      await until(() => gaps.at(-1)?.address === hosts[current], "the gap");
      await ask(servers[current]!, SEND, [1000 + round]);
      await until(() => known.has(String(1000 + round)), `the message after ${round}`);
      assert(heard > before || accident === "session ended" || accident === "killed");
    }
    await Promise.all(reads);
    assertEquals(known.size, 2 * ROUNDS);
    assert(gaps.length >= ROUNDS - 1 && gaps.length <= 2 * ROUNDS, `${gaps.length} gaps`);
    assertEquals(engine.status().size, 0);
  });
}
