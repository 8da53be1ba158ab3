/**
 * What was acknowledged is there, and nothing else, whatever mistakes the holders of connections make: on real servers,
 * with each driver. `DNSPOOL_LEDGER_TRANSACTIONS` says how many pieces of work, `DNSPOOL_SEED` in which order.
 */

import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import * as mariadb from "npm:mariadb@^3.5";
import mysql from "npm:mysql2@^3.24/promise";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { getDnsEngine } from "../../mod.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import type { TestServer } from "../contracts/adapter.ts";
import { seeded } from "../support/fake_lookup.ts";
import { ACCIDENT_TABLES, AccidentLedger } from "../support/ledger_accidents.ts";
import { MARIADB_SUBJECT } from "../support/mysql_subject.ts";
import { POSTGRES_SUBJECT } from "../support/postgres_subject.ts";
import { ALWAYS, ON_MARIADB } from "../support/servers.ts";

const COUNT = Number(process.env.DNSPOOL_LEDGER_TRANSACTIONS ?? 1000);
const SEED = Number(process.env.DNSPOOL_SEED ?? 1);
const FOUND = "SELECT id, COUNT(*) AS parts FROM ledger GROUP BY id";

/** Any client; the subjects know of which driver it is. */
// deno-lint-ignore no-explicit-any -- each driver has its own
type Client = any;

const query = (client: Client, text: string): Promise<unknown> => client.query(text);
const DRIVERS = {
  pg: {
    subject: POSTGRES_SUBJECT,
    on: ALWAYS,
    scheme: "postgresql",
    adapter: pgAdapter(pg),
    send: query,
  },
  postgresjs: {
    subject: POSTGRES_SUBJECT,
    on: ALWAYS,
    scheme: "postgresql",
    adapter: postgresjsAdapter(postgres as Client),
    send: (client: Client, text: string): Promise<unknown> => client.unsafe(text).execute(),
  },
  mysql2: {
    subject: MARIADB_SUBJECT,
    on: ON_MARIADB,
    scheme: "mysql",
    adapter: mysql2Adapter(mysql),
    send: query,
  },
  mariadb: {
    subject: MARIADB_SUBJECT,
    on: ON_MARIADB,
    scheme: "mariadb",
    adapter: mariadbAdapter(mariadb),
    send: query,
  },
};
const LEFTOVERS = {
  postgresql: ["SET statement_timeout = '1min'", "SET application_name = 'left'"],
  mysql: ["SET autocommit = 0", "SET SESSION autocommit = OFF", "SET @left = 1"],
};

for (const [name, { subject, on, scheme, adapter, send }] of Object.entries(DRIVERS)) {
  on.test(`${name}: what was acknowledged is there, and nothing else, whatever mistakes holders make`, async () => {
    await using stack = new AsyncDisposableStack();
    const server: TestServer = await subject.start();
    stack.defer(() => server.stop());
    const setup = scheme === "postgresql"
      ? ["ALTER DATABASE orders SET deadlock_timeout = '20ms'", ...ACCIDENT_TABLES] // instead of 1 s
      : ACCIDENT_TABLES;
    for (const text of setup) await subject.asAdmin(server, text);
    const { host, port } = server;
    const login = `${subject.user}:${encodeURIComponent(subject.password)}`;
    const engine = getDnsEngine<Client>(`${scheme}://${login}@${host}:${port}/orders`, {
      adapter: adapter as unknown as Adapter<Client>,
      poolSize: 6,
      maxOverflow: 0,
    });
    stack.defer(() => engine.close({ drain: 1 }));
    const leftovers = LEFTOVERS[scheme === "postgresql" ? scheme : "mysql"];
    const ledger = new AccidentLedger<Client>(
      { engine, adapter: adapter as unknown as Adapter<Client>, send, leftovers },
      seeded(SEED),
    );
    await ledger.run(COUNT, { workers: 8 });
    await engine.close();
    const found = await subject.asAdmin(server, FOUND);
    const { outcomes, accidents } = ledger;
    console.log(`${name}, seed ${SEED}: ${JSON.stringify(outcomes)}; ${JSON.stringify(accidents)}`);
    assertEquals(ledger.wrong(found as unknown as { id: number; parts: number }[]), []);
    for (const kind of ["transaction", "one statement", "savepoint that fails"]) {
      const { acknowledged = 0, reported = 0 } = outcomes[kind]!;
      assert(acknowledged > 50 * reported, kind); // any of them may be the victim of a deadlock
    }
    assert((outcomes["deadlock"]!.reported ?? 0) > 0, "there was no deadlock");
    const { opened, closed, idle, inUse } = engine.status();
    assertEquals([closed, idle, inUse], [opened, 0, 0]);
  });
}
