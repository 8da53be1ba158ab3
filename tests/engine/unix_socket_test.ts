import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as mariadb from "npm:mariadb@^3.5";
import mysql from "npm:mysql2@^3.24/promise";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { dbPostgresAdapter } from "../../adapters/db_postgres.ts";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { freePort } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { type Adapter, ConnectError, type Engine, getDnsEngine } from "../../mod.ts";
import { fakeAdapter } from "../../testing/mod.ts";
import { mariadbTest } from "../support/servers.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };

/** A lookup that must not be asked. */
function noLookup() {
  const lookup = fakeLookup([], 1);
  return { dnsLookup: lookup, dnsFallback: false, questions: lookup.questions };
}

/** Uses a server by its Unix socket: a statement, a transaction, a cancel, a restart. */
async function useServer(
  adapter: Adapter<unknown>,
  { url, path, sleep, server }: {
    readonly url: string;
    readonly path: string;
    readonly sleep: string;
    readonly server: { kill(): Promise<void>; start(): Promise<void> };
  },
): Promise<void> {
  const { questions, ...dns } = noLookup();
  await using engine: Engine<unknown> = getDnsEngine(url, {
    adapter,
    ...dns,
    poolSize: 1,
    maxOverflow: 0,
    leaseProbeAfter: 0.1,
  });
  const lease = await engine.connect();
  assertEquals(lease.address, path);
  await lease.release();
  await engine.begin(({ client }) => adapter.query!(client, "SELECT 1"));
  // It is cancelled on the server, and not lost: the next one is on the same connection.
  await assertRejects(() => engine.query(sleep, [], { timeout: 0.3 }), DOMException, "no end of");
  assertEquals(engine.status().opened, 1);
  // A server that is alive is not taken for a silent one.
  await engine.use(() => new Promise((resolve) => setTimeout(resolve, 400)));
  assertEquals(engine.status().opened, 1);
  await server.kill();
  await until(() => engine.status().idle === 0);
  const waiting = engine.query("SELECT 2");
  await server.start();
  assertEquals((await waiting).length, 1);
  assertEquals(questions, []);
}

for (
  const [name, adapter] of [
    ["pg", pgAdapter(pg)],
    ["postgresjs", postgresjsAdapter(postgres)],
  ] as [string, Adapter<unknown>][]
) {
  Deno.test(`getDnsEngine() with ${name} connects to a Unix socket, without DNS`, async () => {
    const port = await freePort(["127.0.0.1"]);
    await using server = await startPostgres({
      ...LOGIN,
      host: "127.0.0.1",
      port,
      settings: { unix_socket_directories: "." },
      hba: ["local all all scram-sha-256"],
    });
    const { dataDir } = server;
    const query = new URLSearchParams({
      host: dataDir,
      port: String(port),
      sslmode: "verify-full",
    });
    await useServer(adapter, {
      url: `postgresql://app:s3cret@/orders?${query}`,
      path: `${dataDir}/.s.PGSQL.${port}`,
      sleep: "SELECT pg_sleep(30)",
      server,
    });
  });
}

for (
  const [name, adapter] of [
    ["mysql2", mysql2Adapter(mysql)],
    ["mariadb", mariadbAdapter(mariadb)],
  ] as [string, Adapter<unknown>][]
) {
  mariadbTest(`getDnsEngine() with ${name} connects to a Unix socket, without DNS`, async () => {
    const port = await freePort(["127.0.0.1"]);
    await using server = await startMariadb({ ...LOGIN, host: "127.0.0.1", port });
    const path = `${server.dataDir}/mariadb.sock`;
    await useServer(adapter, {
      url: `mysql://app:s3cret@localhost/orders?socketPath=${path}`,
      path,
      sleep: "SELECT SLEEP(30)",
      server,
    });
  });
}

Deno.test("getDnsEngine() names the Unix socket in errors, and refuses what it cannot have", async () => {
  const engine = getDnsEngine("postgresql://app:s3cret@%2Fno%2Fsuch:5433/orders", {
    adapter: pgAdapter(pg),
  });
  const error = await engine.connect().catch((error) => error);
  assert(error instanceof ConnectError);
  const text = 'Cannot connect to "/no/such": /no/such/.s.PGSQL.5433 said: ';
  assertEquals(error.message.slice(0, text.length), text);
  await engine.close();

  const socket = "postgresql://app@%2Frun%2Fpg/orders";
  const refused: [string, object, string][] = [
    [
      socket,
      { adapter: dbPostgresAdapter({ Client: class {} } as never) },
      'host "/run/pg" of the database URL" must not be given: the adapter "db-postgres" has no Unix sockets',
    ],
    [
      socket,
      { adapter: pgAdapter(pg), connectArgs: { ssl: true } },
      '"connectArgs.ssl" must not be given: a Unix socket has no TLS',
    ],
    [
      "postgresql+srv://app@%2Frun%2Fpg/orders",
      { adapter: pgAdapter(pg) },
      "got a Unix socket",
    ],
    [socket, { adapter: pgAdapter(pg), dnsSrv: true }, "got a Unix socket"],
  ];
  for (const [url, options, message] of refused) {
    assertThrows(() => getDnsEngine(url, options), TypeError, message);
  }
  const { socketPath: _, ...plain } = fakeAdapter();
  assertThrows(
    () => getDnsEngine("x://%2Frun%2Fx/orders", { adapter: plain }),
    TypeError,
    'the adapter "fake" has no Unix sockets',
  );
});
