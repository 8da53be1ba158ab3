/**
 * The observable behavior of mysql2's pools, tested on the originals and on `DnsMysql2Pool` with a real MariaDB.
 */

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import mysql from "npm:mysql2@^3.24";
import mysqlOfPromises from "npm:mysql2@^3.24/promise";
import { DnsMysql2Pool } from "../../drop_in/mysql2_pool.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import { REFUSING_PORT } from "../support/sockets.ts";
import { type Subject, testBehaviors } from "../support/drop_in_suite.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { listen } from "../support/peers.ts";
import { ON_MARIADB } from "../support/servers.ts";
import { pause, soon, until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };

let server: MariadbServer;

if (!ON_MARIADB.skipped) {
  Deno.test.beforeAll(async () => {
    const [host] = await loopbackPair();
    server = await startMariadb({ host, port: await freePort([host]), ...LOGIN });
  });
  Deno.test.afterAll(() => server.stop({ mode: "immediate" }));
}

type Core = mysql.Pool;
type Pool = mysqlOfPromises.Pool;
type Options = mysql.PoolOptions;
type Rows = mysql.RowDataPacket[];

type Class = abstract new (...args: never[]) => object;
/** Classes that the types of mysql2 do not declare. */
const { Pool: CorePool } = mysql as unknown as { Pool: Class };
const { PromisePool } = mysqlOfPromises as unknown as { PromisePool: Class };

const streamOf = (connection: unknown) =>
  (connection as { stream: { destroyed: boolean; on(event: string, listener: () => void): void } })
    .stream;

const base = () => ({ ...LOGIN, host: server.host, port: server.port });
const followed = () => ({
  ...base(),
  host: "db.internal",
  dnsLookup: fakeLookup([server.host], 60),
  dnsFallback: false,
});

const ofPromises = {
  original: {
    make: (options: Options) => mysqlOfPromises.createPool({ ...base(), ...options }),
    close: closePool,
  },
  DnsMysql2Pool: {
    make: (options: Options): Pool =>
      new DnsMysql2Pool(mysqlOfPromises, { ...followed(), ...options }),
    close: closePool,
  },
};

const ofCallbacks = {
  original: {
    make: (options: Options) => mysql.createPool({ ...base(), ...options }),
    close: closeCore,
  },
  DnsMysql2Pool: {
    make: (options: Options): Core => new DnsMysql2Pool(mysql, { ...followed(), ...options }),
    close: closeCore,
  },
};

async function closePool(pool: Pool): Promise<void> {
  if (!(pool.pool as unknown as { _closed: boolean })._closed) await pool.end();
}

async function closeCore(pool: Core): Promise<void> {
  if (!(pool as unknown as { _closed: boolean })._closed) {
    await new Promise<void>((resolve) => pool.end(() => resolve()));
  }
}

/** Runs a statement as the administrator. */
async function administer(sql: string): Promise<Rows> {
  const admin = await mysqlOfPromises.createConnection(server.adminUrl());
  const [rows] = await admin.query<Rows>(sql);
  const closed = new Promise<void>((resolve) =>
    (admin as unknown as { connection: { stream: { once: typeof addEventListener } } }).connection
      .stream.once("close", () => resolve())
  );
  await admin.end();
  await closed;
  return rows;
}

/** Waits until a session runs a statement that begins with a text. */
async function untilRunning(id: number, text: string): Promise<void> {
  const sql =
    `SELECT 1 FROM information_schema.processlist WHERE id = ${id} AND info LIKE '${text}%'`;
  await until(async () => (await administer(sql)).length > 0);
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

type Run = (subject: Subject<Pool, Options>) => Promise<void>;

const id = async (connection: mysqlOfPromises.Connection): Promise<number> =>
  ((await connection.query<Rows>("SELECT CONNECTION_ID() AS id"))[0][0] as { id: number }).id;

const taking: Record<string, Run> = {
  "getConnection() returns a connection; after release() it returns the same one": async (
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
    assertEquals([again.threadId, again.config.database], [session, LOGIN.database]);
    again.release();
  },

  "a pool is an instance of the module's classes, with their properties": async ({ make }) => {
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

  "connectionLimit limits the number of connections; callers above it wait in order": async (
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

  "query() runs forty queries at once on four connections": async ({ make }) => {
    const pool = make({ connectionLimit: 4 });
    // Opens all of them first: on a busy machine one connection may be done before the next is open.
    const all = await Promise.all([1, 2, 3, 4].map(() => pool.getConnection()));
    for (const connection of all) connection.release();
    const numbers = Array.from({ length: 40 }, (_, n) => n);
    const results = await Promise.all(
      numbers.map((n) => pool.query<Rows>("SELECT ? AS n, CONNECTION_ID() AS id", [n])),
    );
    assertEquals(results.map(([rows]) => rows[0]!.n), numbers);
    assertEquals(new Set(results.map(([rows]) => rows[0]!.id)).size, 4);
  },

  "connectionLimit 0 means no limit": async ({ make }) => {
    const pool = make({ connectionLimit: 0 });
    const log = events(pool);
    const all = await Promise.all(Array.from({ length: 12 }, () => pool.getConnection()));
    assertEquals(log.includes("enqueue"), false);
    for (const connection of all) connection.release();
  },

  "getConnection() hands out the connection that was released last": async ({ make }) => {
    const pool = make();
    const all = await Promise.all([1, 2, 3].map(() => pool.getConnection()));
    const cores = all.map(({ connection }) => connection);
    for (const connection of all) connection.release();
    const next = await pool.getConnection();
    assertEquals(cores.indexOf(next.connection), 2);
    next.release();
  },

  "waitForConnections false: getConnection() and query() reject when the pool is full": async (
    { make },
  ) => {
    const pool = make({ connectionLimit: 1, waitForConnections: false });
    const connection = await pool.getConnection();
    await assertRejects(() => pool.getConnection(), Error, "No connections available.");
    await assertRejects(() => pool.query("SELECT 1"), Error, "No connections available.");
    connection.release();
    await pool.query("SELECT 1");
  },

  "queueLimit limits the number of waiting callers": async ({ make }) => {
    const pool = make({ connectionLimit: 1, queueLimit: 1 });
    const connection = await pool.getConnection();
    const waiter = pool.getConnection();
    await assertRejects(() => pool.getConnection(), Error, "Queue limit reached.");
    connection.release();
    (await waiter).release();
  },

  "uri may contain options, and may stand beside options": async ({ make, follows }) => {
    const { user, password, database } = LOGIN;
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

const querying: Record<string, Run> = {
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

  "execute() takes named placeholders": async ({ make }) => {
    const pool = make({ namedPlaceholders: true });
    const [rows] = await pool.execute("SELECT :n AS n", { n: 3 });
    assertEquals(rows as unknown, [{ n: 3 }]);
  },

  "a failed query rejects with the server's error, and its connection stays in the pool": async (
    { make },
  ) => {
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

  "query() rejects if its session is killed while it runs, and the pool remains usable": async (
    { make },
  ) => {
    const pool = make({ connectionLimit: 1 });
    const connection = await pool.getConnection();
    const session = await id(connection);
    connection.release();
    const rejected = assertRejects(() => pool.query("SELECT SLEEP(30)"));
    await untilRunning(session, "SELECT SLEEP");
    await administer(`KILL ${session}`);
    await rejected;
    assertEquals((await pool.query("SELECT 1 AS one"))[0] as unknown, [{ one: 1 }]);
  },

  "an idle connection whose session is killed is replaced": async ({ make }) => {
    const pool = make({ connectionLimit: 1 });
    const connection = await pool.getConnection();
    const session = await id(connection);
    connection.release();
    await administer(`KILL ${session}`);
    await until(() => streamOf(connection.connection).destroyed);
    const [[row]] = await pool.query<Rows>("SELECT CONNECTION_ID() AS id");
    assert(row!.id !== session);
  },

  "release() does not end an open transaction or reset the session's settings": async (
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

  "resetOnRelease resets the session": async ({ make }) => {
    const pool = make({ connectionLimit: 1, resetOnRelease: true } as Options);
    const connection = await pool.getConnection();
    await connection.query("SET @left = 'here'");
    connection.release();
    const [[row]] = await pool.query<Rows>("SELECT @left AS l");
    assertEquals(row!.l, null);
  },

  "queries of a connection listener run before those of the caller": async ({ make }) => {
    const pool = make();
    pool.on("connection", (connection) => {
      (connection as unknown as mysql.PoolConnection).query("SET @greeting = 'hello'");
    });
    const [[row]] = await pool.query<Rows>("SELECT @greeting AS greeting");
    assertEquals(row!.greeting, "hello");
  },

  "getConnection() and query() reject with the driver's error if a connect fails": async (
    { make },
  ) => {
    const refused = await assertRejects(() => make({ port: REFUSING_PORT }).query("SELECT 1")) as
      & Error
      & {
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

const releasing: Record<string, Run> = {
  "events are emitted in order, with their connection": async ({ make }) => {
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

  "removeListener() removes a listener": async ({ make }) => {
    const pool = make();
    const log: unknown[] = [];
    const listener = () => log.push(1);
    pool.on("acquire", listener);
    await pool.query("SELECT 1");
    pool.removeListener("acquire", listener);
    await pool.query("SELECT 1");
    assertEquals(log, [1]);
  },

  "destroy() closes the connection, and frees its slot for a waiting caller": async ({ make }) => {
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

  "release() has no effect when it is called twice": async ({ make }) => {
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

  "maxIdle: idle connections above it are closed, and no others": async ({ make }) => {
    const pool = make({ connectionLimit: 3, maxIdle: 1 });
    const all = await Promise.all([1, 2, 3].map(() => pool.getConnection()));
    const streams = all.map(({ connection }) => streamOf(connection));
    for (const connection of all) connection.release();
    const count = () => streams.filter(({ destroyed }) => destroyed).length;
    await until(() => count() === 2);
    await pause(100);
    assertEquals(count(), 2);
  },

  "maxIdle: connections above it that are used again soon are not opened anew": async (
    { make },
  ) => {
    const pool = make({ connectionLimit: 8, maxIdle: 2 });
    const sessions = new Set<unknown>();
    const log = events(pool);
    // As many rounds as fit between two looks at the idle connections, which are a second apart.
    await until(async () => {
      sessions.clear();
      log.length = 0;
      for (let round = 0; round < 5; round++) {
        const all = await Promise.all(Array.from({ length: 8 }, () => pool.getConnection()));
        for (const { threadId } of all) sessions.add(threadId);
        for (const connection of all) connection.release();
      }
      return sessions.size === 8;
    });
  },

  "maxIdle: one that was used a moment ago is not closed at once": async ({ make }) => {
    const pool = make({ connectionLimit: 3, maxIdle: 0, idleTimeout: 60_000 });
    const connection = await pool.getConnection();
    connection.release();
    await until(() => streamOf(connection.connection).destroyed);
  },

  "opens as many connections at once as callers ask for": async ({ make }) => {
    await using listener = await listen();
    const pool = make({ host: "127.0.0.1", port: listener.port, connectionLimit: 8 });
    const all = Array.from({ length: 8 }, () => pool.getConnection().catch(() => {}));
    for (let n = 0; n < 8; n++) await listener.accept();
    for (const peer of listener.peers) await peer.close();
    await Promise.all(all);
  },

  "the queues that monitoring reads": async ({ make }) => {
    const pool = make({ connectionLimit: 2 });
    type Queue = { length: number; get(index: number): unknown; toArray(): unknown[] };
    const queues = pool.pool as unknown as Record<
      "_allConnections" | "_freeConnections" | "_connectionQueue",
      Queue
    >;
    const { _allConnections: all, _freeConnections: free, _connectionQueue: queue } = queues;
    const lengths = () => [all.length, free.length, queue.length];
    assertEquals(lengths(), [0, 0, 0]);
    const opening = [pool.getConnection(), pool.getConnection()];
    assertEquals(lengths(), [2, 0, 0]);
    const [one, other] = await Promise.all(opening);
    const waiter = pool.getConnection();
    assertEquals(lengths(), [2, 0, 1]);
    one!.release();
    (await waiter).release();
    assertEquals(lengths(), [2, 1, 0]);
    assertStrictEquals(free.get(0), one!.connection);
    assertEquals([free.get(1), free.toArray().length], [undefined, 1]);
    assert(all.toArray().includes(other!.connection));
    one!.connection.destroy();
    assertEquals(lengths(), [1, 0, 0]);
    other!.destroy();
    assertEquals(lengths(), [0, 0, 0]);
    const fresh = await pool.getConnection();
    assertEquals(lengths(), [1, 0, 0]);
    fresh.release();
    assertEquals(lengths(), [1, 1, 0]);
  },

  "connectionLimit may be changed at any time": async ({ make }) => {
    const pool = make({ connectionLimit: 1 });
    const first = await pool.getConnection();
    const { config } = pool.pool as unknown as { config: { connectionLimit: number } };
    config.connectionLimit = 2;
    const second = await soon(pool.getConnection());
    config.connectionLimit = 1;
    const waiter = pool.getConnection();
    first.release();
    second.release();
    (await waiter).release();
    assertEquals(config.connectionLimit, 1);
  },

  "config of a connection opens another one to the same server, on a socket of its own": async (
    { make },
  ) => {
    const pool = make({ connectionLimit: 1 });
    const busy = await pool.getConnection();
    const sleeping = busy.query<Rows>("SELECT SLEEP(30) AS slept");
    await untilRunning(busy.threadId, "SELECT SLEEP");
    const { clientFlags: _, maxPacketSize: __, ...config } = busy.config as unknown as Record<
      string,
      unknown
    >;
    const control = await mysqlOfPromises.createConnection(config as mysql.ConnectionOptions);
    const { connection: core } = control as unknown as { connection: unknown };
    assert(streamOf(core) !== streamOf(busy.connection));
    await control.query(`KILL QUERY ${busy.threadId}`);
    await control.end();
    const outcome = await soon(sleeping).then(([rows]) => rows[0]!.slept, ({ errno }) => errno);
    assert([1, 1317].includes(outcome), `${outcome}`);
    assertEquals((await busy.query("SELECT 1 AS one"))[0] as unknown, [{ one: 1 }]);
    busy.release();
  },

  "idleTimeout: idle connections are closed after it": async ({ make }) => {
    const pool = make({ connectionLimit: 3, maxIdle: 2, idleTimeout: 500 });
    const all = await Promise.all([1, 2].map(() => pool.getConnection()));
    const streams = all.map(({ connection }) => streamOf(connection));
    for (const connection of all) connection.release();
    await until(() => streams.every(({ destroyed }) => destroyed));
  },

  "end() closes idle connections, and those in use once their queries are done": async (
    { make },
  ) => {
    const pool = make();
    const [idle, used] = await Promise.all([pool.getConnection(), pool.getConnection()]);
    idle.release();
    const query = used.query("SELECT SLEEP(0.2) AS slept");
    await pool.end();
    assertEquals((await query)[0] as unknown, [{ slept: 0 }]);
    await until(() => streamOf(used.connection).destroyed);
    await assertRejects(() => pool.getConnection(), Error, "Pool is closed.");
    await assertRejects(() => pool.query("SELECT 1"), Error, "Pool is closed.");
    await assertRejects(() => pool.execute("SELECT 1"), Error, "Pool is closed.");
    used.release();
  },

  "end() rejects waiting callers": async ({ make }) => {
    const pool = make({ connectionLimit: 1 });
    await pool.getConnection();
    const waiter = assertRejects(() => pool.getConnection(), Error, "Pool is closed.");
    await pause(10);
    await pool.end();
    await waiter;
  },

  "end() closes a pool that was never used": async ({ make }) => {
    await make({ connectionLimit: 3, maxIdle: 1 }).end();
  },

  "query() of the pool with promises refuses a callback": async ({ make }) => {
    const pool = make();
    const query = pool.query as unknown as (sql: string, callback: unknown) => unknown;
    assertThrows(() => query.call(pool, "SELECT 1", () => {}), Error, "Callback function");
    await pool.query("SELECT 1");
  },
};

type RunCore = (subject: Subject<Core, Options>) => Promise<void>;

const callbacks: Record<string, RunCore> = {
  "getConnection(), query() and execute() take a callback": async ({ make }) => {
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

  "query() without a callback emits its rows": async ({ make }) => {
    const pool = make();
    const rows: unknown[] = [];
    const query = pool.query("SELECT 1 AS one UNION SELECT 2");
    query.on("result", (row: unknown) => rows.push(row));
    await new Promise((resolve) => query.on("end", resolve));
    assertEquals(rows, [{ one: 1 }, { one: 2 }]);
    await pause(10);
  },

  "query().stream() returns a stream of rows": async ({ make }) => {
    const pool = make();
    const rows: unknown[] = [];
    for await (const row of pool.query("SELECT 1 AS n UNION SELECT 2").stream()) rows.push(row);
    assertEquals(rows, [{ n: 1 }, { n: 2 }]);
    await pause(10);
  },

  "promise() returns a pool with promises that has the same connections": async ({ make }) => {
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

  "errors are passed to the callback": async ({ make }) => {
    const pool = make();
    const error = await new Promise<{ errno: number }>((resolve) =>
      pool.query("SELECT no_such_column", (error) => resolve(error as unknown as { errno: number }))
    );
    assertEquals(error.errno, 1054);
    const refused = make({ port: REFUSING_PORT });
    const failure = await new Promise<{ code: string }>((resolve) =>
      refused.getConnection((error) => resolve(error as unknown as { code: string }))
    );
    assertEquals(failure.code, "ECONNREFUSED");
  },

  "end() works without a callback, and getConnection() fails after it": async ({ make }) => {
    const pool = make();
    await new Promise<void>((resolve) => pool.query("SELECT 1", () => resolve()));
    (pool as unknown as { end(): void }).end();
    const error = await new Promise<Error | null>((resolve) => pool.getConnection(resolve));
    assertEquals(error?.message, "Pool is closed.");
  },
};

if (ON_MARIADB.skipped) {
  ON_MARIADB.test("mysql2's pools and DnsMysql2Pool behave alike", () => {});
} else {
  for (const behaviors of [taking, querying, releasing]) testBehaviors(ofPromises, behaviors);
  testBehaviors(ofCallbacks, callbacks);
}
