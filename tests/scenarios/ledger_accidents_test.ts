/**
 * What was acknowledged is there, and nothing else, whatever mistakes the holders of connections make: on real servers,
 * with each driver. `DNSPOOL_LEDGER_TRANSACTIONS` says how many pieces of work, `DNSPOOL_SEED` in which order.
 */

import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import type { Readable } from "node:stream";
import * as mariadb from "npm:mariadb@^3.5";
import mysql from "npm:mysql2@^3.24/promise";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import QueryStream from "npm:pg-query-stream@^4";
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
import type { AccidentSubject, RowStream } from "../support/ledger_kinds.ts";
import { MARIADB_SUBJECT } from "../support/mysql_subject.ts";
import { POSTGRES_SUBJECT } from "../support/postgres_subject.ts";
import { ALWAYS, ON_MARIADB } from "../support/servers.ts";
import { until } from "../support/waiting.ts";

const COUNT = Number(process.env.DNSPOOL_LEDGER_TRANSACTIONS ?? 600);
const SEED = Number(process.env.DNSPOOL_SEED ?? 1);
const SILENT = { debug() {}, info() {}, warn() {} };
const FOUND = "SELECT id, COUNT(*) AS parts FROM ledger GROUP BY id";

/** Any client; the subjects know of which driver it is. */
// deno-lint-ignore no-explicit-any -- each driver has its own
type Client = any;

type Subject = AccidentSubject<Client>;
type Parts = Pick<Subject, "send" | "stream" | "cancelledLate"> & {
  /** Returns the ID of a client's session on the server. */
  session(client: Client): number | Promise<number>;
};

/** Rows enough that a driver does not read them all ahead. */
const MANY_POSTGRES = "SELECT i, repeat('x', 500) FROM generate_series(1, 2000) AS i";
const MANY_MARIADB = "SELECT seq, REPEAT('x', 1000) FROM seq_1_to_2000";

const query = (client: Client, text: string): Promise<unknown> => client.query(text);

/** Makes a stream of a driver from a readable stream of Node. */
function streamOf(readable: Readable, leave: () => unknown = () => readable.destroy()): RowStream {
  readable.on("error", () => {}); // the connection may be closed
  const iterator = readable[Symbol.asyncIterator]();
  return { next: () => iterator.next().catch(() => {}), leave };
}

const PG: Parts = {
  send: query,
  stream: (client) => streamOf(client.query(new QueryStream(MANY_POSTGRES, [], { batchSize: 10 }))),
  session: (client) => client.processID,
};
const POSTGRESJS: Parts = {
  send: (client, text) => client.unsafe(text).execute(),
  stream(client) {
    const iterator = client.unsafe(MANY_POSTGRES).cursor(10)[Symbol.asyncIterator]();
    return { next: () => iterator.next(), leave: () => iterator.return() };
  },
  session: async (client) => (await client.unsafe("SELECT pg_backend_pid() AS id"))[0].id,
  async cancelledLate(client, text, afterMs) {
    const query = client.unsafe(text).execute();
    setTimeout(() => query.cancel(), afterMs);
    await query;
  },
};
const MYSQL2: Parts = {
  send: query,
  stream: (client) => streamOf(client.connection.query(MANY_MARIADB).stream()),
  session: (client) => client.threadId,
};
const MARIADB: Parts = {
  send: query,
  stream(client) {
    const readable = client.queryStream(MANY_MARIADB);
    return streamOf(readable, () => readable.close());
  },
  session: (client) => client.threadId,
};

const ON_POSTGRES = {
  subject: POSTGRES_SUBJECT,
  on: ALWAYS,
  scheme: "postgresql",
  setUp: ["ALTER DATABASE orders SET deadlock_timeout = '20ms'"], // instead of 1 s
  leftovers: [
    "SET statement_timeout = '1min'",
    "SET application_name = 'left'",
    "SET default_transaction_isolation = 'repeatable read'",
    "PREPARE left_behind AS SELECT 1",
  ],
  slowInsert: (id: number, part: number, ms: number) =>
    `INSERT INTO ledger SELECT ${id}, ${part} FROM pg_sleep(${ms / 1000})`,
  asleep: (id: number) =>
    `SELECT 1 FROM pg_stat_activity WHERE pid = ${id} AND wait_event = 'PgSleep'`,
  cancel: (id: number) => `SELECT pg_cancel_backend(${id})`,
};
// Not with SLEEP(): several of them and KILL QUERY may block each other for seconds (MariaDB 10.11).
const ON_MARIADB_SERVER = {
  subject: MARIADB_SUBJECT,
  on: ON_MARIADB,
  scheme: "mysql",
  setUp: ["CREATE TABLE held (id int PRIMARY KEY)", "INSERT INTO held VALUES (1)"],
  leftovers: [
    "SET autocommit = 0",
    "SET SESSION autocommit = OFF",
    "SET @left = 1",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
  ],
  slowInsert: (id: number, part: number, ms: number) =>
    ms < 1000
      ? `INSERT INTO ledger SELECT ${id}, ${part} + 0 * COALESCE(GET_LOCK('held', ${ms / 1000}), 0)`
      : `INSERT INTO ledger SELECT ${id}, ${part} FROM held FOR UPDATE`,
  asleep: (id: number) =>
    `SELECT 1 FROM information_schema.processlist WHERE id = ${id} AND command = 'Query' AND time_ms > 10`,
  cancel: (id: number) => `KILL QUERY ${id}`,
};
const DRIVERS = {
  pg: { ...ON_POSTGRES, adapter: pgAdapter(pg), parts: PG },
  postgresjs: {
    ...ON_POSTGRES,
    adapter: postgresjsAdapter(postgres as Client),
    parts: POSTGRESJS,
  },
  mysql2: { ...ON_MARIADB_SERVER, adapter: mysql2Adapter(mysql), parts: MYSQL2 },
  mariadb: { ...ON_MARIADB_SERVER, adapter: mariadbAdapter(mariadb), parts: MARIADB },
};

for (const [name, driver] of Object.entries(DRIVERS)) {
  const { subject, on, scheme, setUp, leftovers, slowInsert, adapter, parts } = driver;
  on.test(`${name}: what was acknowledged is there, and nothing else, whatever mistakes holders make`, async () => {
    await using stack = new AsyncDisposableStack();
    const server: TestServer = await subject.start();
    stack.defer(() => server.stop());
    for (const text of [...setUp, ...ACCIDENT_TABLES]) await subject.asAdmin(server, text);
    const { host, port } = server;
    if (driver === DRIVERS.mysql2 || driver === DRIVERS.mariadb) {
      const { password } = subject;
      const login = { host, port, user: "root", password, database: "orders" };
      const holder = await mysql.createConnection(login);
      stack.defer(() => holder.end());
      const statements = ["SELECT GET_LOCK('held', 0)", "BEGIN", "SELECT * FROM held FOR UPDATE"];
      for (const text of statements) await holder.query(text);
    }
    const login = `${subject.user}:${encodeURIComponent(subject.password)}`;
    const open = (poolResetOnReturn: "rollback" | "reset") => {
      const engine = getDnsEngine<Client>(`${scheme}://${login}@${host}:${port}/orders`, {
        adapter: adapter as unknown as Adapter<Client>,
        poolSize: 4,
        maxOverflow: 0,
        poolResetOnReturn,
        logger: SILENT,
      });
      stack.defer(() => engine.close({ drain: 1 }));
      return engine;
    };
    const engines = [open("rollback"), open("reset")];
    const cancelled = async (client: Client, text: string) => {
      const id = await parts.session(client);
      const statement = parts.send(client, text);
      statement.catch(() => {});
      await until(async () => (await subject.asAdmin(server, driver.asleep(id))).length > 0);
      await subject.asAdmin(server, driver.cancel(id));
      await statement;
    };
    const ledger = new AccidentLedger<Client>(
      engines.map((engine) => ({ ...parts, engine, leftovers, slowInsert, cancelled })),
      seeded(SEED),
    );
    const beganMs = performance.now();
    await ledger.run(COUNT, { workers: 8 });
    const seconds = Math.round((performance.now() - beganMs) / 1000);
    for (const engine of engines) await engine.close();
    const found = await subject.asAdmin(server, FOUND);
    const { outcomes, accidents } = ledger;
    for (const { outcome, kind, error } of ledger.works) {
      if (outcome === "unknown") console.log(kind, error);
    }
    console.log(`${name}, ${COUNT} works, seed ${SEED}, ${seconds} s:`, outcomes, accidents);
    assertEquals(ledger.wrong(found as unknown as { id: number; parts: number }[]), []);
    for (const kind of ["transaction", "one statement", "savepoint that fails"]) {
      const { acknowledged = 0, reported = 0 } = outcomes[kind]!;
      assert(acknowledged > 50 * reported, kind); // any of them may be the victim of a deadlock
    }
    assert((outcomes["deadlock"]!.reported ?? 0) > 0, "there was no deadlock");
    for (const engine of engines) {
      const { opened, closed, idle, inUse } = engine.status();
      assertEquals([closed, idle, inUse], [opened, 0, 0]);
    }
  });
}
