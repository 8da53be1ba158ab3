/**
 * The option `credentials` in the drop-ins: pools, and single clients and connections of the modules.
 *
 * @module
 */

import {
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import * as mariadbDriver from "npm:mariadb@^3.5";
import mysqlCallbacks from "npm:mysql2@^3.24";
import mysql from "npm:mysql2@^3.24/promise";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgresjs from "npm:postgres@^3.4";
import { promisify } from "node:util";
import { dnsMariadb, DnsMariadbPool } from "../../drop_in/mariadb_pool.ts";
import { dnsMysql2, DnsMysql2Pool } from "../../drop_in/mysql2_pool.ts";
import { dnsPg, DnsPgPool } from "../../drop_in/pg_pool.ts";
import { dnsPostgres } from "../../drop_in/postgresjs.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { CredentialsError, type CredentialsFunction, type CredentialsRequest } from "../../mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { keepLines } from "../support/checks.ts";
import { inspected } from "../support/inspected.ts";
import { administer, coreOf } from "../support/drop_in_mariadb.ts";
import { ALWAYS, ON_MARIADB, type Registration } from "../support/servers.ts";
import { untilSocketsClosed } from "../support/sockets.ts";
import { until } from "../support/waiting.ts";

const NAME = "db.internal";
const LOGIN = { user: "app", password: "s3cret 0", database: "orders" };
const PG_WHO = "SELECT current_user AS who";
const MYSQL_WHO = "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1) AS who";

/** What opens connections to the name. */
interface Opener {
  /** Asks on a new connection, which is shown to `see`. */
  who(see: (shown: unknown) => void): Promise<string>;
  /** What a program may print. */
  readonly shown?: readonly unknown[];
  end?(): Promise<void>;
}

interface Way {
  readonly kind: "postgres" | "mariadb";
  /** Whether a refused login is tried again: a client that connects by itself cannot. */
  readonly isPool: boolean;
  /** `given` are the options of the driver, `ours` those of dnspool. */
  open(given: object, ours: { credentials: CredentialsFunction }): Opener;
}

const dnsOptions = (host: string) => ({ dnsLookup: fakeLookup([host], 60), dnsFallback: false });

const nameOf = ([rows]: [unknown, unknown]): string => (rows as { who: string }[])[0]!.who;

const WAYS: Readonly<Record<string, Way>> = {
  DnsPgPool: {
    kind: "postgres",
    isPool: true,
    open: (given, ours) => {
      const pool = new DnsPgPool(pg, { ...given, ...ours, max: 1 });
      return {
        async who(see) {
          const client = await pool.connect();
          see(client);
          return (await client.query(PG_WHO).finally(() => client.release(true))).rows[0].who;
        },
        shown: [pool, pool.engine, pool.options],
        end: () => pool.end(),
      };
    },
  },
  "Client of dnsPg": {
    kind: "postgres",
    isPool: false,
    open: (given, ours) => {
      const { Client } = dnsPg(pg, ours);
      return {
        async who(see) {
          const client = new Client(given);
          try {
            await client.connect();
            see(client);
            return (await client.query(PG_WHO)).rows[0].who;
          } finally {
            await client.end().catch(() => {});
          }
        },
      };
    },
  },
  dnsPostgres: {
    kind: "postgres",
    isPool: true,
    open: (given, ours) => {
      // As the driver reads it, the URL is the first argument.
      const { connectionString, ...own } = given as { connectionString?: string };
      const options = { ...own, ...ours, max: 1, logger: keepLines() };
      const dns = dnsPostgres(postgresjs);
      const sql = connectionString ? dns(connectionString, options) : dns(options);
      return {
        async who(see) {
          const reserved = await sql.reserve();
          try {
            see(reserved);
            const [{ id, who }] = await reserved
              .unsafe("SELECT pg_backend_pid() AS id, current_user AS who") as unknown as [
                { id: number; who: string },
              ];
            await reserved.unsafe(`SELECT pg_terminate_backend(${id})`).catch(() => {});
            return who;
          } finally {
            reserved.release();
          }
        },
        shown: [sql, sql.engine, sql.options],
        end: () => sql.end({ timeout: 1 }),
      };
    },
  },
  DnsMysql2Pool: {
    kind: "mariadb",
    isPool: true,
    open: (given, ours) => {
      const pool = new DnsMysql2Pool(mysql, { ...given, ...ours, connectionLimit: 1 });
      return {
        async who(see) {
          const connection = await pool.getConnection();
          see(connection);
          return nameOf(await connection.query(MYSQL_WHO).finally(() => connection.destroy()));
        },
        shown: [pool, pool.engine],
        end: () => pool.end(),
      };
    },
  },
  "createConnection of dnsMysql2(mysql2/promise)": {
    kind: "mariadb",
    isPool: false,
    open: (given, ours) => {
      const { createConnection } = dnsMysql2(mysql, ours);
      return {
        async who(see) {
          const connection = await createConnection(given);
          [connection, coreOf(connection)].forEach(see);
          return nameOf(await connection.query(MYSQL_WHO).finally(() => connection.end()));
        },
      };
    },
  },
  "createConnection of dnsMysql2(mysql2)": {
    kind: "mariadb",
    isPool: false,
    open: (given, ours) => {
      const { createConnection } = dnsMysql2(mysqlCallbacks, ours);
      return {
        async who(see) {
          const connection = createConnection(given);
          await promisify(connection.connect.bind(connection))();
          see(connection);
          const asked = connection.promise().query(MYSQL_WHO);
          return nameOf(await asked.finally(promisify((done) => connection.end(done))));
        },
      };
    },
  },
  DnsMariadbPool: {
    kind: "mariadb",
    isPool: true,
    open: (given, ours) => {
      // mariadb's pool tries again until `acquireTimeout`.
      const limits = { connectionLimit: 1, minimumIdle: 0, acquireTimeout: 1000 };
      const pool = new DnsMariadbPool(mariadbDriver, { ...given, ...ours, ...limits });
      return {
        async who(see) {
          const connection = await pool.getConnection();
          see(connection);
          return (await connection.query(MYSQL_WHO).finally(() => connection.destroy()))[0].who;
        },
        shown: [pool, pool.engine],
        end: () => pool.end(),
      };
    },
  },
  "createConnection of dnsMariadb": {
    kind: "mariadb",
    isPool: false,
    open: (given, ours) => {
      const { createConnection } = dnsMariadb(mariadbDriver, ours);
      return {
        async who(see) {
          const connection = await createConnection(given);
          see(connection);
          return (await connection.query(MYSQL_WHO).finally(() => connection.end()))[0].who;
        },
      };
    },
  },
};

let postgres: PostgresServer;
let mariadb: MariadbServer;
let password: string = LOGIN.password;

Deno.test.beforeAll(async () => {
  const [host] = await loopbackPair();
  postgres = await startPostgres({ ...LOGIN, host, port: await freePort([host]) });
  if (ON_MARIADB.skipped) return;
  mariadb = await startMariadb({ ...LOGIN, host, port: await freePort([host]) });
});

Deno.test.afterAll(async () => {
  await postgres.stop({ mode: "immediate" });
  await mariadb?.stop();
});

async function setPassword(kind: Way["kind"], next: string): Promise<void> {
  if (kind === "mariadb") {
    await administer(mariadb, `SET PASSWORD FOR app = PASSWORD('${next}')`);
  } else {
    const client = new pg.Client({ ...LOGIN, password, host: postgres.host, port: postgres.port });
    await client.connect();
    await client.query(`ALTER ROLE app PASSWORD '${next}'`);
    await client.end();
  }
  password = next;
}

for (const [name, way] of Object.entries(WAYS)) {
  const { test }: Registration = way.kind === "mariadb" ? ON_MARIADB : ALWAYS;
  const server = () => way.kind === "mariadb" ? mariadb : postgres;
  const given = () => ({ host: NAME, port: server().port, user: "nobody", database: "orders" });

  test(`${name}: credentials give user and password of each connection, and are asked again when they are refused`, async () => {
    password = LOGIN.password;
    const requests: CredentialsRequest[] = [];
    const credentials: CredentialsFunction = (request) => {
      requests.push(request);
      return { user: "app", password, expiresAt: Infinity };
    };
    const ours = { ...dnsOptions(server().host), credentials };
    await untilSocketsClosed(async () => {
      const opened = way.open(given(), ours);
      const seen: unknown[] = [...opened.shown ?? []];
      const who = () => opened.who((shown) => seen.push(shown));
      try {
        for (let i = 0; i < 3; i++) assertEquals(await who(), "app");
        const [{ signal: _, ...told }] = requests as [CredentialsRequest];
        const { port, user, database } = given();
        assertEquals(told, { host: NAME, port, user, database });
        assertEquals(requests.length, 1);
        await setPassword(way.kind, "s3cret 1");
        if (!way.isPool) {
          const error = await assertRejects(who) as Error & { code: string };
          assertEquals(error.code, way.kind === "mariadb" ? "ER_ACCESS_DENIED_ERROR" : "28P01");
        }
        assertEquals(await who(), "app");
        assertEquals(requests.length, 2);
        const shown = inspected(seen);
        assertFalse(/s3cret [01]/.test(shown), shown.slice(0, 5000));
      } finally {
        await opened.end?.();
        await setPassword(way.kind, LOGIN.password);
      }
    });
  });

  test(`${name}: what the function throws fails the connect, and the next one succeeds`, async () => {
    password = LOGIN.password;
    const cause = new Error("the source of the password is down");
    let fails = true;
    const credentials: CredentialsFunction = async () => {
      await Promise.resolve();
      if (fails) throw cause;
      return { user: "app", password };
    };
    await untilSocketsClosed(async () => {
      const opened = way.open(given(), { ...dnsOptions(server().host), credentials });
      const who = () => opened.who(() => {});
      const error = await assertRejects(who);
      const own = error instanceof CredentialsError ? error : (error as Error).cause;
      assertInstanceOf(own, CredentialsError);
      assertEquals(own.cause, cause);
      fails = false;
      await until(async () => await who() === "app", "a login");
      await opened.end?.();
    });
  });

  test(`${name}: a password beside credentials is refused`, async () => {
    const url = `${way.kind === "mariadb" ? "mysql" : "postgres"}://app:hunter2@${NAME}/orders`;
    const ours = { credentials: () => "x" };
    const both = [{ password: "hunter2" }, {
      [way.kind === "mariadb" ? "uri" : "connectionString"]: url,
    }];
    for (const own of both) {
      const error = await assertRejects(async () => {
        const opened = way.open({ ...given(), ...own }, {
          ...dnsOptions("127.0.0.1"),
          ...ours,
        });
        await opened.who(() => {});
      }, TypeError);
      assertFalse(error.message.includes("hunter2"));
      assertEquals(
        /must not be given: the option "credentials" gives it$/.test(error.message),
        true,
        error.message,
      );
    }
  });
}

Deno.test("DnsPgPool: PGPASSWORD of the environment does not count beside credentials", async () => {
  const before = pg.defaults.password;
  pg.defaults.password = "wrong";
  try {
    const { host, port } = postgres;
    const pool = new DnsPgPool(pg, {
      host: NAME,
      port,
      user: "app",
      database: "orders",
      ...dnsOptions(host),
      credentials: () => LOGIN.password,
    });
    assertEquals((await pool.query(PG_WHO)).rows, [{ who: "app" }]);
    await pool.end();
  } finally {
    pg.defaults.password = before as string;
  }
});

Deno.test("DnsPgPool: credentials for a socket path are refused", () => {
  assertThrows(
    () => new DnsPgPool(pg, { host: "/var/run/postgresql", credentials: () => "x" }),
    TypeError,
    '"credentials" must not be given: ',
  );
});
