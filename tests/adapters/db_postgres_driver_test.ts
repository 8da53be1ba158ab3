/**
 * What `@db/postgres` does that its adapter has to cope with. The real driver and its stand-in, whichever can be loaded,
 * are held to the same.
 */

import { assert, assertEquals } from "@std/assert";
import { dbPostgresAdapter } from "../../adapters/db_postgres.ts";
import { getDnsEngine } from "../../mod.ts";
import type { TestServer } from "../contracts/adapter.ts";
import { dbPostgres } from "../support/db_postgres.ts";
import type { Client, ClientOptions } from "../support/db_postgres_stand_in.ts";
import { HANDOVER_LOGIN as LOGIN } from "../support/handover_postgres.ts";
import { postgresSubject } from "../support/postgres_subject.ts";
import { until } from "../support/waiting.ts";

const SUBJECT = postgresSubject(LOGIN);
let server: TestServer;
Deno.test.beforeAll(async () => void (server = await SUBJECT.start()));
Deno.test.afterAll(() => server.stop());

async function connected(options: ClientOptions = {}): Promise<Client> {
  const client = new dbPostgres.module.Client({
    ...LOGIN,
    hostname: server.host,
    port: server.port,
    database: "orders",
    tls: { enabled: false },
    connection: { attempts: 0 },
    ...options,
  });
  await client.connect();
  return client;
}

/** Returns what a call resolves with, or its error as text. */
async function said(call: () => Promise<unknown>): Promise<unknown> {
  return await call().catch((error: Error) => `${error.name}: ${error.message}`);
}

const rows = (client: Client, text: string, values?: unknown[]) =>
  said(async () => (await client.queryObject(text, values)).rows);

const asAdmin = (sql: string) => SUBJECT.asAdmin(server, sql);

/** Sends a notification, and waits until the server has nothing more to send to the session. */
async function notify(client: Client): Promise<void> {
  await asAdmin("NOTIFY orders");
  // A session that listens has read what was sent once another session sees it idle with an empty queue.
  await until(async () => {
    const [row] = await asAdmin("SELECT pg_notification_queue_usage() = 0 AS done");
    return row!.done === true;
  });
  assert(client.connected);
}

Deno.test("@db/postgres: a session that the server has ended is connected, and neither runs statements nor ends", async () => {
  const client = await connected();
  await asAdmin(`SELECT pg_terminate_backend(${client.session.pid}, 5000)`);
  const broken = "BrokenPipe: Broken pipe (os error 32)";
  // The first write may still succeed.
  await until(async () => await rows(client, "SELECT 1 AS n") === broken);
  assertEquals(client.connected, true);
  assertEquals(await said(() => client.end()), broken);
});

Deno.test("@db/postgres: the rows of several statements are joined", async () => {
  const client = await connected();
  assertEquals(await rows(client, "SELECT 1 AS n; SELECT 2 AS n"), [{ n: 1 }, { n: 2 }]);
  assertEquals(await rows(client, "BEGIN; SELECT 3 AS n; COMMIT"), [{ n: 3 }]);
  await client.end();
});

Deno.test("@db/postgres: the types of docs/drivers/db_postgres.md, and no two columns of one name", async () => {
  const client = await connected();
  const text =
    "SELECT 1::int8 AS a, count(*) AS b, 1.5::float8 AS c, 1.5::numeric AS d, 1.5::float4 AS e";
  const expected = [{ a: 1n, b: 1n, c: "1.5", d: "1.5", e: 1.5 }];
  assertEquals(await rows(client, text), expected);
  assertEquals(
    await rows(client, "SELECT 1 AS a, 2 AS a"),
    'Error: Field names "a" are duplicated in the result of the query',
  );
  assertEquals(await rows(client, "SELECT 3 AS n"), [{ n: 3 }]);
  await client.end();
});

Deno.test("@db/postgres: a transaction that is not open runs nothing", async () => {
  const client = await connected();
  const transaction = client.createTransaction("a");
  const refused =
    'Error: This transaction has not been started yet, make sure to use the "begin" method to do so';
  assertEquals(await said(() => transaction.queryObject("SELECT 1")), refused);
  assertEquals(await said(() => transaction.commit()), refused);
  assertEquals(await said(() => transaction.rollback()), refused);
  await client.end();
});

Deno.test("@db/postgres: settings with a dot, with a space, or in another form are refused", async () => {
  const table: [options: string | Record<string, string>, error: string | undefined][] = [
    ["-c work_mem=5MB --lock_timeout=1", undefined],
    [{ work_mem: "5MB" }, undefined],
    ["-c a.b=1", 'The "a.b" key in the options argument is invalid'],
    [{ "a.b": "1" }, 'The "a.b" key in the options argument is invalid'],
    ["-c  work_mem=5MB", 'Value "work_mem=5MB" is not a valid options argument'],
    ["-cwork_mem=5MB", 'Argument "-cwork_mem=5MB" is not supported in options parameter'],
    ["-c search_path=a\\ b", 'Value "b" is not a valid options argument'],
    ["-c", 'No provided value for "-c" in options parameter'],
  ];
  for (const [options, error] of table) {
    const found = await said(async () => await (await connected({ options })).end());
    assertEquals(found, error && `Error: ${error}`, JSON.stringify(options));
  }
});

Deno.test("@db/postgres: after a message that it does not know, answers are one statement late", async () => {
  const client = await connected();
  await client.queryObject("LISTEN orders");
  await notify(client);
  assertEquals(
    await rows(client, "SELECT 1 AS n"),
    "Error: Unexpected simple query message: A",
  );
  assertEquals(await rows(client, "SELECT 2 AS n"), [{ n: 1 }]);
  await client.end();
  const copying = await connected();
  const text = "COPY (SELECT 7) TO STDOUT";
  assertEquals(await rows(copying, text), "Error: Unexpected simple query message: H");
  await copying.end();
});

for (
  const [what, statements] of Object.entries({
    "a notification": ["LISTEN orders", "NOTIFY orders"],
    "the rows of COPY": ["COPY (SELECT 7) TO STDOUT"],
  })
) {
  Deno.test(`dbPostgresAdapter() in an engine: after ${what}, no caller is given the answer of another`, async () => {
    const engine = getDnsEngine(`postgresql://${server.host}:${server.port}/orders`, {
      adapter: dbPostgresAdapter(dbPostgres.module),
      connectArgs: LOGIN,
      poolSize: 1,
      maxOverflow: 0,
    });
    const errors: unknown[] = [];
    for (const text of statements) {
      await engine.query(text).catch((error) => errors.push(error));
    }
    assertEquals(errors.map((error) => engine.isDisconnect(error)), [true]);
    for (let n = 0; n < 4; n++) {
      assertEquals(await engine.query(`SELECT ${n} AS n`), [{ n }]);
    }
    await engine.close();
  });
}
