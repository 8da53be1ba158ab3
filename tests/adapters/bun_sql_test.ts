/**
 * Tests of the adapter for `Bun.SQL` besides the contract, on real servers, on Bun. Elsewhere the contract test has the
 * error.
 */

import { assert, assertEquals, assertFalse, assertInstanceOf, assertRejects } from "@std/assert";
import type { Target } from "../../adapters/adapter.ts";
import { bunSqlAdapter, type BunSqlClient } from "../../adapters/bun_sql.ts";
import { makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import type { MariadbServer } from "../../lab/mariadb.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import {
  ConnectionLostError,
  type Engine,
  getDnsEngine,
  TransactionAbortedError,
} from "../../mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { asAdmin, LOGIN, startServer, untilLockWait } from "../support/mysql_subject.ts";
import { ON_MARIADB } from "../support/servers.ts";
import { makeTarget } from "../support/target.ts";
import { soon } from "../support/waiting.ts";

/** The client, with the members of the driver that the tests use. */
interface Client extends BunSqlClient {
  readonly options: { readonly password?: string };
  begin(work: (tx: Transaction) => Promise<unknown>): Promise<unknown>;
  release(): unknown;
  close(): unknown;
}

interface Transaction extends BunSqlClient {
  savepoint(work: (tx: BunSqlClient) => Promise<unknown>): Promise<unknown>;
}

const postgresql = bunSqlAdapter("postgresql");

const onBun = (name: string, body: () => Promise<void>) => {
  if ("Bun" in globalThis) Deno.test(name, body);
};
const onMariadb: typeof onBun = (name, body) => {
  if ("Bun" in globalThis) ON_MARIADB.test(name, body);
};

let server: PostgresServer;
let address: { host: string; port: number };
let ca: string;
let mariadb: MariadbServer;

Deno.test.beforeAll(async () => {
  if (!("Bun" in globalThis)) return;
  const authority = await makeAuthority();
  ca = authority.cert;
  const [host] = await loopbackPair();
  address = { host, port: await freePort([host]) };
  const tls = await authority.issue({ names: ["db.internal"] });
  server = await startPostgres({ ...address, ...LOGIN, database: "orders", tls });
  if (ON_MARIADB.skipped) return;
  mariadb = await startServer();
  await asAdmin(mariadb, "CREATE TABLE things (name varchar(100) UNIQUE)");
  await asAdmin(mariadb, "CREATE TABLE accounts (id int PRIMARY KEY, owner varchar(100))");
  await asAdmin(mariadb, "INSERT INTO accounts (id) VALUES (1), (2)");
});

Deno.test.afterAll(async () => {
  await server?.stop({ mode: "immediate" });
  await mariadb?.stop({ mode: "immediate" });
});

async function withClient(
  work: (client: Client) => Promise<void>,
  changes: Partial<Target> = {},
): Promise<void> {
  const { host, port } = address;
  const target = makeTarget({
    ...LOGIN,
    port,
    database: "orders",
    addresses: () => [host],
    ...changes,
  });
  const client = await soon(postgresql.connect(host, target)) as Client;
  try {
    await work(client);
  } finally {
    postgresql.terminate!(client);
  }
}

function engineFor(scheme: "postgresql" | "mariadb"): Engine<Client> {
  const { host, port } = scheme === "mariadb" ? mariadb : address;
  const login = `${LOGIN.user}:${encodeURIComponent(LOGIN.password)}`;
  return getDnsEngine(`${scheme}+bun://${login}@db.internal:${port}/orders`, {
    dnsLookup: fakeLookup([host], 60),
    dnsFallback: false,
    poolSize: 1,
    maxOverflow: 0,
  }) as Engine<Client>;
}

onBun(
  "bunSqlAdapter().onError(): reports the errors of every way to run a statement",
  () =>
    withClient(async (client) => {
      const errors: string[] = [];
      postgresql.onError!(client, (error) => errors.push((error as { message: string }).message));
      await client.unsafe("SELECT a1").catch(() => {});
      await client`SELECT a2 WHERE ${1}::int = 1`.catch(() => {});
      await client`SELECT a3`.values().catch(() => {});
      await client`SELECT a4`.execute().catch(() => {});
      await postgresql.query!(client, "SELECT a5").catch(() => {});
      await client.begin((tx) => tx`SELECT a6`).catch(() => {});
      await client.begin((tx) => tx.savepoint((point) => point`SELECT a7`)).catch(() => {});
      const expected = [1, 2, 3, 4, 5, 6, 7].map((n) => `column "a${n}" does not exist`);
      assertEquals(errors, expected);
      // Only the first error ended the transaction.
      await postgresql.query!(client, "BEGIN");
      await client`SELECT a8`.catch(() => {});
      await client`SELECT 1`.catch(() => {});
      assertEquals(errors.length, 8);
    }),
);

onBun(
  "bunSqlAdapter(): follows tagged templates, parts of them and the driver's own transactions",
  () =>
    withClient(async (client) => {
      const state = () => [postgresql.activity!(client), postgresql.transactionStatus!(client)];
      const idle = ["none", "idle"] as ReturnType<typeof state>;
      assertEquals(state(), idle);
      await client`CREATE TEMP TABLE t (name text)`;
      await client`INSERT INTO t ${client([{ name: "a" }, { name: "b" }])}`;
      const rows = await client`SELECT name FROM t WHERE ${client`name = ${"a"}`}`;
      assertEquals([...rows], [{ name: "a" }]);
      assertEquals(state(), idle);
      for (const begin of [() => client`BEGIN`, () => client.unsafe("begin read only")]) {
        await begin();
        assertEquals(state(), ["none", undefined]);
        await client`COMMIT`;
        assertEquals(state(), idle);
      }
      for (const run of ["then", "execute"] as const) {
        const query = client`SELECT pg_sleep(0.1)`;
        const sent = query[run]((rows: unknown) => rows);
        assertEquals(state(), ["running", undefined], run);
        await sent;
        assertEquals(state(), idle, run);
      }
      let inside: unknown;
      await client.begin((tx) => {
        inside = state();
        return tx`SELECT 1`;
      });
      assertEquals(inside, ["stuck", undefined]);
      assertEquals(state(), idle);
    }),
);

onBun(
  "bunSqlAdapter(): a lease whose holder gave the connection back to the driver, closed it, or left a transaction of the driver's unfinished is not leased again",
  async () => {
    const engine = engineFor("postgresql");
    const pidOf = async () => {
      const [row] = await soon(engine.query("SELECT pg_backend_pid() AS pid"));
      return (row as { pid: number }).pid;
    };
    const ways: ((client: Client) => unknown)[] = [
      (client) => client.release(),
      (client) => client.close(),
      (client) => {
        client.begin(() => new Promise(() => {})).catch(() => {});
      },
    ];
    for (const leave of ways) {
      const before = await pidOf();
      assertEquals(await pidOf(), before);
      // The holder of a connection that ends is told so.
      await engine.use(async ({ client }) => void await leave(client)).catch((error) =>
        assertInstanceOf(error, ConnectionLostError)
      );
      assert(await pidOf() !== before, String(leave));
    }
    await engine.close();
  },
);

onBun(
  "bunSqlAdapter().connect(): a check of the certificate's name of the caller's own decides",
  async () => {
    const names: string[] = [];
    const ssl = (error: Error | undefined) => ({
      ca,
      checkServerIdentity: (name: string) => (names.push(name), error),
    });
    await withClient((client) => {
      assertEquals(postgresql.tls!(client), { checked: "chain" });
      return Promise.resolve();
    }, { connectArgs: { ssl: ssl(undefined) } });
    await assertRejects(() =>
      withClient(() => Promise.resolve(), { connectArgs: { ssl: ssl(new Error("another")) } })
    );
    assertEquals(names, ["db.internal", "db.internal"]);
  },
);

onBun(
  "bunSqlAdapter().connect(): `servername` in `ssl` is the name of the certificate",
  async () => {
    const connect = (servername: string) =>
      withClient(() => Promise.resolve(), {
        host: "other.internal",
        connectArgs: { ssl: { ca, servername } },
      });
    await connect("db.internal");
    await assertRejects(() => connect("third.internal"));
  },
);

onBun(
  "bunSqlAdapter(): the client shows no password that was given for one login",
  () =>
    withClient((client) => {
      for (const shown of [client.options, { ...client.options }]) {
        assertFalse(JSON.stringify(shown).includes("s3cret"));
      }
      return Promise.resolve();
    }, { passing: true }),
);

onMariadb(
  "bunSqlAdapter(): begin() rejects for the victim of a deadlock, and none of its statements is done",
  async () => {
    const engine = engineFor("mariadb");
    const others = engineFor("mariadb");
    for (const statements of [0, 1, 2]) {
      let handled: unknown;
      const { error } = await others.use(async ({ client: other }) =>
        await engine.begin(async ({ client: victim }) => {
          await victim`UPDATE accounts SET owner = 'victim' WHERE id = 1`;
          await other`BEGIN`;
          // The server ends the transaction that has changed less.
          await other`INSERT INTO accounts (id) VALUES (11), (12), (13), (14), (15), (16)`;
          await other`UPDATE accounts SET owner = 'other' WHERE id = 2`;
          const waiting = other`UPDATE accounts SET owner = 'other' WHERE id = 1`.execute();
          await untilLockWait(mariadb);
          await victim`UPDATE accounts SET owner = 'victim' WHERE id = 2`.catch(
            (error: unknown) => {
              handled = error;
            },
          );
          await waiting;
          await other`ROLLBACK`;
          for (let i = 0; i < statements; i++) await victim`INSERT INTO things VALUES (${i})`;
        }).then(() => ({ error: undefined }), (error) => ({ error }))
      );
      assertEquals((handled as { errno?: number })?.errno, 1213, String(error));
      assertInstanceOf(error, TransactionAbortedError);
      assertEquals((error.cause as { errno?: number }).errno, 1213);
      const left =
        "SELECT name FROM things UNION SELECT owner FROM accounts WHERE owner IS NOT NULL";
      assertEquals(await asAdmin(mariadb, left), []);
      // The next holder's statements are committed one by one again.
      await engine.query("INSERT INTO things VALUES ('next')");
      assertEquals((await asAdmin(mariadb, "SELECT name FROM things")).length, 1);
      await asAdmin(mariadb, "DELETE FROM things");
    }
    assertEquals(engine.status().opened, 1);
    await Promise.all([engine.close(), others.close()]);
  },
);

onMariadb(
  "bunSqlAdapter(): begin() commits after errors that leave the transaction of MariaDB open",
  async () => {
    const engine = engineFor("mariadb");
    const errors = [
      "SELEC 1",
      "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213", // a number does not make a deadlock
      "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1205", // as with innodb_rollback_on_timeout = 0
    ];
    for (const text of errors) {
      await engine.begin(async ({ client }) => {
        await client`INSERT INTO things VALUES ('kept')`;
        await assertRejects(() => client.unsafe(text));
        await client`INSERT INTO things VALUES ('more')`;
      });
      assertEquals((await asAdmin(mariadb, "SELECT name FROM things")).length, 2, text);
      const [row] = await engine.query("SELECT @@autocommit AS a") as [{ a: unknown }];
      assertEquals(Number(row.a), 1);
      await asAdmin(mariadb, "DELETE FROM things");
    }
    await engine.close();
  },
);
