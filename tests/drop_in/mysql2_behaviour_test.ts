/**
 * What can be observed of mysql2's pools, of the originals and of `DnsMysql2Pool`, on a real MariaDB.
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import mysql from "npm:mysql2@^3.24";
import mysqlOfPromises from "npm:mysql2@^3.24/promise";
import { DnsMysql2Pool } from "../../drop_in/mysql2_pool.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import { type Subject, testBehaviours } from "../support/drop_in_suite.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { ON_MARIADB } from "../support/servers.ts";
import { pause, until } from "../support/waiting.ts";

const WHO = { user: "app", password: "s3cret", database: "orders" };

let server: MariadbServer;

if (!ON_MARIADB.skipped) {
  Deno.test.beforeAll(async () => {
    const [host] = await loopbackPair();
    server = await startMariadb({ host, port: await freePort([host]), ...WHO });
  });
  Deno.test.afterAll(() => server.stop({ mode: "immediate" }));
}

type Core = mysql.Pool;
type Pool = mysqlOfPromises.Pool;
type Options = mysql.PoolOptions;
type Rows = mysql.RowDataPacket[];

type Class = abstract new (...args: never[]) => object;
/** The types do not tell of these classes. */
const { Pool: CorePool } = mysql as unknown as { Pool: Class };
const { PromisePool } = mysqlOfPromises as unknown as { PromisePool: Class };

const sockets: WeakMap<object, mysql.PoolConnection[]> = new WeakMap();

function watched<P extends Core | Pool>(pool: P): P {
  const all: mysql.PoolConnection[] = [];
  sockets.set(pool, all);
  (pool as Core).on("connection", (connection) => all.push(connection));
  return pool;
}

const streamOf = (connection: unknown) =>
  (connection as { stream: { destroyed: boolean; on(event: string, heard: () => void): void } })
    .stream;

async function closed(pool: object): Promise<void> {
  await until(() => sockets.get(pool)!.every((connection) => streamOf(connection).destroyed));
  await pause(1);
}

const base = () => ({ ...WHO, host: server.host, port: server.port });
const followed = () => ({
  ...base(),
  host: "db.internal",
  dnsLookup: fakeLookup([server.host], 60),
  dnsFallback: false,
});

const ofPromises = {
  original: {
    make: (options: Options) => watched(mysqlOfPromises.createPool({ ...base(), ...options })),
    clear: clearPool,
  },
  DnsMysql2Pool: {
    make: (options: Options) =>
      watched<Pool>(new DnsMysql2Pool(mysqlOfPromises, { ...followed(), ...options })),
    clear: clearPool,
  },
};

const ofCallbacks = {
  original: {
    make: (options: Options) => watched(mysql.createPool({ ...base(), ...options })),
    clear: clearCore,
  },
  DnsMysql2Pool: {
    make: (options: Options) =>
      watched<Core>(new DnsMysql2Pool(mysql, { ...followed(), ...options })),
    clear: clearCore,
  },
};

async function clearPool(pool: Pool): Promise<void> {
  if (!(pool.pool as unknown as { _closed: boolean })._closed) await pool.end();
  await closed(pool);
}

async function clearCore(pool: Core): Promise<void> {
  if (!(pool as unknown as { _closed: boolean })._closed) {
    await new Promise<void>((resolve) => pool.end(() => resolve()));
  }
  await closed(pool);
}

/** Ends sessions from outside. */
async function kill(...ids: number[]): Promise<void> {
  const admin = await mysqlOfPromises.createConnection(server.adminUrl());
  for (const id of ids) await admin.query(`KILL ${id}`);
  const gone = new Promise<void>((resolve) =>
    (admin as unknown as { connection: { stream: { once: typeof addEventListener } } }).connection
      .stream.once("close", () => resolve())
  );
  await admin.end();
  await gone;
}

function events(pool: Pool | Core): string[] {
  const log: string[] = [];
  const names = new Map<unknown, number>();
  const name = (connection: unknown) => {
    if (!names.has(connection)) names.set(connection, names.size + 1);
    return names.get(connection);
  };
  for (const event of ["connection", "acquire", "release", "enqueue"] as const) {
    (pool as Core).on(event as "acquire", (connection) => {
      log.push(connection ? `${event} ${name(connection)}` : event);
    });
  }
  return log;
}

type Show = (subject: Subject<Pool, Options>) => Promise<void>;

const id = async (connection: mysqlOfPromises.Connection): Promise<number> =>
  ((await connection.query<Rows>("SELECT CONNECTION_ID() AS id"))[0][0] as { id: number }).id;

const taking: Record<string, Show> = {
  "getConnection() gives a connection, release() makes it idle, and it is the next one": async (
    { make },
  ) => {
    const pool = make();
    const connection = await pool.getConnection();
    assert(connection instanceof mysqlOfPromises.PoolConnection);
    assert(connection.connection instanceof mysql.PoolConnection);
    const [rows] = await connection.query("SELECT 1 AS one");
    assertEquals(rows as unknown, [{ one: 1 }]);
    const session = await id(connection);
    connection.release();
    const again = await pool.getConnection();
    assertEquals(await id(again), session);
    assertEquals([again.threadId, again.config.database], [session, WHO.database]);
    again.release();
  },

  "a pool is of the module's classes, with its parts": async ({ make }) => {
    const pool = make({ connectionLimit: 3, queueLimit: 7 });
    assert(pool instanceof PromisePool);
    assert(pool.pool instanceof CorePool);
    const { config } = pool.pool as unknown as { config: Record<string, unknown> };
    const { connectionLimit, maxIdle, idleTimeout, queueLimit, waitForConnections } = config;
    assertEquals(
      [connectionLimit, maxIdle, idleTimeout, queueLimit, waitForConnections],
      [3, 3, 60_000, 7, true],
    );
    assertEquals(pool.escape("it's"), "'it\\'s'");
    assertEquals(pool.escapeId("a.b"), "`a`.`b`");
    assertEquals(pool.format("SELECT ?", [1]), "SELECT 1");
    await pool.query("SELECT 1");
  },

  "connectionLimit connections at once, and whoever comes later is served in turn": async (
    { make },
  ) => {
    const pool = make({ connectionLimit: 2 });
    const [first, second] = await Promise.all([pool.getConnection(), pool.getConnection()]);
    const served: number[] = [];
    const waiters = [1, 2, 3].map((n) =>
      pool.getConnection().then((connection) => {
        served.push(n);
        return connection;
      })
    );
    first.release();
    for (const waiter of waiters) (await waiter).release();
    second.release();
    assertEquals(served, [1, 2, 3]);
  },

  "forty queries at once on four connections": async ({ make }) => {
    const pool = make({ connectionLimit: 4 });
    const numbers = Array.from({ length: 40 }, (_, n) => n);
    const results = await Promise.all(
      numbers.map((n) => pool.query<Rows>("SELECT ? AS n, CONNECTION_ID() AS id", [n])),
    );
    assertEquals(results.map(([rows]) => rows[0]!.n), numbers);
    assertEquals(new Set(results.map(([rows]) => rows[0]!.id)).size, 4);
  },

  "a limit of 0 is none": async ({ make }) => {
    const pool = make({ connectionLimit: 0 });
    const log = events(pool);
    const all = await Promise.all(Array.from({ length: 12 }, () => pool.getConnection()));
    assertEquals(log.includes("enqueue"), false);
    for (const connection of all) connection.release();
  },

  "the connection that came back last goes out first": async ({ make }) => {
    const pool = make();
    const all = await Promise.all([1, 2, 3].map(() => pool.getConnection()));
    const cores = all.map(({ connection }) => connection);
    for (const connection of all) connection.release();
    const next = await pool.getConnection();
    assertEquals(cores.indexOf(next.connection), 2);
    next.release();
  },

  "without waitForConnections, a pool that is full says so": async ({ make }) => {
    const pool = make({ connectionLimit: 1, waitForConnections: false });
    const connection = await pool.getConnection();
    await assertRejects(() => pool.getConnection(), Error, "No connections available.");
    await assertRejects(() => pool.query("SELECT 1"), Error, "No connections available.");
    connection.release();
    await pool.query("SELECT 1");
  },

  "queueLimit bounds those who wait": async ({ make }) => {
    const pool = make({ connectionLimit: 1, queueLimit: 1 });
    const connection = await pool.getConnection();
    const waiter = pool.getConnection();
    await assertRejects(() => pool.getConnection(), Error, "Queue limit reached.");
    connection.release();
    (await waiter).release();
  },

  "a URI, with options in it and beside it": async ({ make, follows }) => {
    const { user, password, database } = WHO;
    const host = follows ? "db.internal" : server.host;
    const uri =
      `mysql://${user}:${password}@${host}:${server.port}/${database}?connectionLimit=1&rowsAsArray=true`;
    const absent = { host: undefined, user: undefined, password: undefined, database: undefined };
    const pool = make({ ...absent, uri, port: undefined, dateStrings: true } as unknown as Options);
    const [rows] = await pool.query("SELECT DATABASE(), DATE '2026-01-02'");
    assertEquals(rows as unknown, [["orders", "2026-01-02"]]);
    assertEquals((pool.pool as unknown as { config: Options }).config.connectionLimit, 1);
  },
};

const querying: Record<string, Show> = {
  "query() and execute() take text, values, and an options object": async ({ make }) => {
    const pool = make();
    const one = [{ one: 1 }];
    assertEquals((await pool.query("SELECT 1 AS one"))[0] as unknown, one);
    assertEquals((await pool.query("SELECT ? AS one", [1]))[0] as unknown, one);
    assertEquals((await pool.query({ sql: "SELECT ? AS one", values: [1] }))[0] as unknown, one);
    const rowsAsArray = { sql: "SELECT 1, 2", rowsAsArray: true };
    assertEquals((await pool.query(rowsAsArray))[0] as unknown, [[1, 2]]);
    assertEquals((await pool.execute("SELECT ? AS one", [1]))[0] as unknown, one);
    assertEquals((await pool.execute("SELECT 1 AS one"))[0] as unknown, one);
  },

  "named placeholders": async ({ make }) => {
    const pool = make({ namedPlaceholders: true });
    const [rows] = await pool.execute("SELECT :n AS n", { n: 3 });
    assertEquals(rows as unknown, [{ n: 3 }]);
  },

  "a failed query rejects with the server's error, and its connection stays": async ({ make }) => {
    const pool = make({ connectionLimit: 1 });
    const before = (await pool.query<Rows>("SELECT CONNECTION_ID() AS id"))[0];
    const failing = [
      () => pool.query("SELECT no_such_column"),
      () => pool.execute("SELECT no_such_column"),
    ];
    for (const fail of failing) {
      const error = await assertRejects(fail) as Error & { code: string; errno: number };
      assertEquals([error.code, error.errno], ["ER_BAD_FIELD_ERROR", 1054]);
    }
    assertEquals((await pool.query<Rows>("SELECT CONNECTION_ID() AS id"))[0], before);
  },

  "a session that is killed in the middle of query() rejects it, and the pool goes on": async (
    { make },
  ) => {
    const pool = make({ connectionLimit: 1 });
    const connection = await pool.getConnection();
    const session = await id(connection);
    connection.release();
    const rejected = assertRejects(() => pool.query("SELECT SLEEP(5)"));
    await pause(50);
    await kill(session);
    await rejected;
    assertEquals((await pool.query("SELECT 1 AS one"))[0] as unknown, [{ one: 1 }]);
  },

  "an idle session that is killed is replaced": async ({ make }) => {
    const pool = make({ connectionLimit: 1 });
    const connection = await pool.getConnection();
    const session = await id(connection);
    connection.release();
    await kill(session);
    await until(() => streamOf(connection.connection).destroyed);
    const [[row]] = await pool.query<Rows>("SELECT CONNECTION_ID() AS id");
    assert(row!.id !== session);
  },

  "a transaction that is left open stays open, and so do the session's settings": async (
    { make },
  ) => {
    const pool = make({ connectionLimit: 1 });
    const connection = await pool.getConnection();
    await connection.query("SET @left = 'here'");
    await connection.beginTransaction();
    connection.release();
    const [[row]] = await pool.query<Rows>("SELECT @left AS l, @@in_transaction AS t");
    assertEquals([row!.l, row!.t], ["here", 1]);
    await pool.query("ROLLBACK");
  },

  "resetOnRelease gives the next holder a fresh session": async ({ make }) => {
    const pool = make({ connectionLimit: 1, resetOnRelease: true } as Options);
    const connection = await pool.getConnection();
    await connection.query("SET @left = 'here'");
    connection.release();
    const [[row]] = await pool.query<Rows>("SELECT @left AS l");
    assertEquals(row!.l, null);
  },

  "queries of a connection listener run before those of the holder": async ({ make }) => {
    const pool = make();
    pool.on("connection", (connection) => {
      (connection as unknown as mysql.PoolConnection).query("SET @greeting = 'hello'");
    });
    const [[row]] = await pool.query<Rows>("SELECT @greeting AS greeting");
    assertEquals(row!.greeting, "hello");
  },

  "a connect that fails, fails with the driver's error": async ({ make }) => {
    const refused = await assertRejects(() => make({ port: 1 }).query("SELECT 1")) as Error & {
      code: string;
      fatal: boolean;
    };
    assertEquals([refused.code, refused.fatal], ["ECONNREFUSED", true]);
    const denied = await assertRejects(() => make({ password: "wrong" }).getConnection()) as
      & Error
      & { code: string; errno: number };
    assertEquals([denied.code, denied.errno], ["ER_ACCESS_DENIED_ERROR", 1045]);
  },
};

const releasing: Record<string, Show> = {
  "events come in order, with their connection": async ({ make }) => {
    const pool = make({ connectionLimit: 1 });
    const log = events(pool);
    const connection = await pool.getConnection();
    connection.release();
    const again = await pool.getConnection();
    const waiter = pool.getConnection();
    again.release();
    (await waiter).release();
    assertEquals(log, [
      "connection 1",
      "acquire 1",
      "release 1",
      "acquire 1",
      "enqueue",
      "release 1",
    ]);
  },

  "listeners may be taken off again": async ({ make }) => {
    const pool = make();
    const log: unknown[] = [];
    const listener = () => log.push(1);
    pool.on("acquire", listener);
    await pool.query("SELECT 1");
    pool.removeListener("acquire", listener);
    await pool.query("SELECT 1");
    assertEquals(log, [1]);
  },

  "destroy() closes the connection, and makes room for whoever waits": async ({ make }) => {
    const pool = make({ connectionLimit: 1 });
    const connection = await pool.getConnection();
    const session = await id(connection);
    const waiter = pool.getConnection();
    connection.destroy();
    const next = await waiter;
    assert(await id(next) !== session);
    connection.release();
    next.release();
  },

  "a second release() is nothing": async ({ make }) => {
    const pool = make({ connectionLimit: 2 });
    const connection = await pool.getConnection();
    connection.release();
    connection.release();
    pool.releaseConnection(connection);
    const [one, other] = await Promise.all([pool.getConnection(), pool.getConnection()]);
    assert(one.connection !== other.connection);
    one.release();
    pool.releaseConnection(other);
  },

  "idle connections above maxIdle are closed, and no others": async ({ make }) => {
    const pool = make({ connectionLimit: 3, maxIdle: 1 });
    const all = await Promise.all([1, 2, 3].map(() => pool.getConnection()));
    const streams = all.map(({ connection }) => streamOf(connection));
    for (const connection of all) connection.release();
    const closed = () => streams.filter(({ destroyed }) => destroyed).length;
    await until(() => closed() === 2);
    await pause(100);
    assertEquals(closed(), 2);
  },

  "idle connections are closed after idleTimeout": async ({ make }) => {
    const pool = make({ connectionLimit: 3, maxIdle: 2, idleTimeout: 500 });
    const all = await Promise.all([1, 2].map(() => pool.getConnection()));
    const streams = all.map(({ connection }) => streamOf(connection));
    for (const connection of all) connection.release();
    await until(() => streams.every(({ destroyed }) => destroyed));
  },

  "end() closes connections that are idle and those that are out, once their queries are done":
    async ({ make }) => {
      const pool = make();
      const [idle, out] = await Promise.all([pool.getConnection(), pool.getConnection()]);
      idle.release();
      const query = out.query("SELECT SLEEP(0.2) AS slept");
      await pool.end();
      assertEquals((await query)[0] as unknown, [{ slept: 0 }]);
      await until(() => streamOf(out.connection).destroyed);
      await assertRejects(() => pool.getConnection(), Error, "Pool is closed.");
      await assertRejects(() => pool.query("SELECT 1"), Error, "Pool is closed.");
      await assertRejects(() => pool.execute("SELECT 1"), Error, "Pool is closed.");
      out.release();
    },

  "end() rejects those who wait": async ({ make }) => {
    const pool = make({ connectionLimit: 1 });
    await pool.getConnection();
    const waiter = assertRejects(() => pool.getConnection(), Error, "Pool is closed.");
    await pause(10);
    await pool.end();
    await waiter;
  },

  "a pool that was never used ends": async ({ make }) => {
    await make({ connectionLimit: 3, maxIdle: 1 }).end();
  },

  "callbacks are refused": async ({ make }) => {
    const pool = make();
    const query = pool.query as unknown as (sql: string, callback: unknown) => unknown;
    assertThrows(() => query.call(pool, "SELECT 1", () => {}), Error, "Callback function");
    await pool.query("SELECT 1");
  },
};

type ShowCore = (subject: Subject<Core, Options>) => Promise<void>;

const callbacks: Record<string, ShowCore> = {
  "getConnection(), query() and execute() by callback": async ({ make }) => {
    const pool = make();
    assert(pool instanceof CorePool);
    const rows = await new Promise((resolve, reject) =>
      pool.getConnection((error, connection) => {
        if (error) return reject(error);
        assert(connection instanceof mysql.PoolConnection);
        connection.query("SELECT 1 AS one", (failure, rows) => {
          connection.release();
          failure ? reject(failure) : resolve(rows);
        });
      })
    );
    assertEquals(rows, [{ one: 1 }]);
    const answers = await Promise.all([
      new Promise((resolve) => pool.query("SELECT ? AS n", [7], (...all) => resolve(all))),
      new Promise((resolve) => pool.execute("SELECT ? AS n", [7], (...all) => resolve(all))),
    ]) as unknown[][];
    for (const [error, rows] of answers) assertEquals([error, rows], [null, [{ n: 7 }]]);
  },

  "a query without a callback emits its rows": async ({ make }) => {
    const pool = make();
    const rows: unknown[] = [];
    const query = pool.query("SELECT 1 AS one UNION SELECT 2");
    query.on("result", (row: unknown) => rows.push(row));
    await new Promise((resolve) => query.on("end", resolve));
    assertEquals(rows, [{ one: 1 }, { one: 2 }]);
    await pause(10);
  },

  "query().stream() streams": async ({ make }) => {
    const pool = make();
    const rows: unknown[] = [];
    for await (const row of pool.query("SELECT 1 AS n UNION SELECT 2").stream()) rows.push(row);
    assertEquals(rows, [{ n: 1 }, { n: 2 }]);
    await pause(10);
  },

  "promise() gives a pool with promises over the same connections": async ({ make }) => {
    const pool = make({ connectionLimit: 1 });
    const promised = pool.promise();
    assert(promised instanceof PromisePool);
    const log = events(promised);
    const connection = await promised.getConnection();
    connection.release();
    assertEquals(log, ["connection 1", "acquire 1", "release 1"]);
    const core = await new Promise((resolve, reject) =>
      pool.getConnection((error, core) => error ? reject(error) : resolve(core))
    ) as mysql.PoolConnection;
    assert(core === connection.connection as unknown);
    pool.releaseConnection(core);
  },

  "an error reaches the callback": async ({ make }) => {
    const pool = make();
    const error = await new Promise<{ errno: number }>((resolve) =>
      pool.query("SELECT no_such_column", (error) => resolve(error as unknown as { errno: number }))
    );
    assertEquals(error.errno, 1054);
    const refused = make({ port: 1 });
    const failure = await new Promise<{ code: string }>((resolve) =>
      refused.getConnection((error) => resolve(error as unknown as { code: string }))
    );
    assertEquals(failure.code, "ECONNREFUSED");
  },

  "end() without a callback, and getConnection() after it": async ({ make }) => {
    const pool = make();
    await new Promise<void>((resolve) => pool.query("SELECT 1", () => resolve()));
    (pool as unknown as { end(): void }).end();
    const error = await new Promise<Error | null>((resolve) => pool.getConnection(resolve));
    assertEquals(error?.message, "Pool is closed.");
  },
};

if (ON_MARIADB.skipped) {
  ON_MARIADB.test("mysql2's pools and DnsMysql2Pool do the same", () => {});
} else {
  for (const behaviours of [taking, querying, releasing]) testBehaviours(ofPromises, behaviours);
  testBehaviours(ofCallbacks, callbacks);
}
