/**
 * The observable behavior of `pg.Pool`, tested on the original and on `DnsPgPool` with a real PostgreSQL.
 */

import {
  assert,
  assertEquals,
  assertGreater,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import { join } from "node:path";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import Cursor from "npm:pg-cursor@^2";
import QueryStream from "npm:pg-query-stream@^4";
import { DnsPgPool } from "../../drop_in/pg_pool.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { REFUSING_PORT } from "../support/sockets.ts";
import { type Subject, testBehaviors } from "../support/drop_in_suite.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { runProgram } from "../support/program.ts";
import { pause, soon, until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };

let server: PostgresServer;
let socketDir: string;

Deno.test.beforeAll(async () => {
  const [host] = await loopbackPair();
  socketDir = await mkdtemp(join(os.tmpdir(), "dnspool-"));
  await chmod(socketDir, 0o777);
  const settings = { unix_socket_directories: socketDir };
  const hba = ["local all all scram-sha-256"];
  server = await startPostgres({ host, port: await freePort([host]), ...LOGIN, settings, hba });
});

Deno.test.afterAll(async () => {
  await server.stop({ mode: "immediate" });
  await rm(socketDir, { recursive: true });
});

type Pool = pg.Pool;
type Options = pg.PoolConfig & { port?: number };

const makers = {
  original: {
    make: (options: Options) =>
      new pg.Pool({ ...LOGIN, host: server.host, port: server.port, ...options }),
    close,
  },
  DnsPgPool: {
    make: (options: Options) =>
      new DnsPgPool(pg, {
        ...LOGIN,
        host: "db.internal",
        port: server.port,
        dnsLookup: fakeLookup([server.host], 60),
        dnsFallback: false,
        ...options,
      }),
    close,
  },
};

async function close(pool: Pool): Promise<void> {
  if (!pool.ending) await pool.end();
}

const ended = (client: pg.PoolClient) => (client as unknown as { _ended: boolean })._ended;

const counts = ({ totalCount, idleCount, waitingCount }: Pool) => [
  totalCount,
  idleCount,
  waitingCount,
];
const useCount = (client: pg.PoolClient) =>
  (client as unknown as { _poolUseCount: number })._poolUseCount;
const pid = async (client: pg.ClientBase): Promise<number> =>
  (await client.query("SELECT pg_backend_pid() AS pid")).rows[0].pid;

/** Runs a statement on a connection of its own. */
async function administer(text: string, values: unknown[]): Promise<unknown[]> {
  const admin = new pg.Client({ connectionString: server.url() });
  await admin.connect();
  const { rows } = await admin.query(text, values);
  await admin.end();
  return rows;
}

/** Terminates a session on the server. */
async function kill(id: number): Promise<void> {
  await administer("SELECT pg_terminate_backend($1)", [id]);
}

/** Waits until a session runs a statement that begins with a text. */
async function untilRunning(id: number, text: string): Promise<void> {
  const sql =
    "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND query LIKE $2";
  await until(async () => (await administer(sql, [id, `${text}%`])).length > 0);
}

/** Connects, again and again until the machine is fast enough for the pool's timeout. */
async function connectInTime(pool: Pool): Promise<pg.PoolClient> {
  let client: pg.PoolClient | undefined;
  await until(async () => {
    client = await pool.connect().catch(() => undefined);
    return client !== undefined;
  });
  return client!;
}

function events(pool: Pool): string[] {
  const log: string[] = [];
  const names = new Map<pg.PoolClient, number>();
  const name = (client: pg.PoolClient) => {
    if (!names.has(client)) names.set(client, names.size + 1);
    return names.get(client);
  };
  pool.on("connect", (client) => log.push(`connect ${name(client)}`));
  pool.on("acquire", (client) => log.push(`acquire ${name(client)}`));
  pool.on("release", (error, client) => log.push(`release ${name(client)} ${error ?? "well"}`));
  pool.on("remove", (client) => log.push(`remove ${name(client)}`));
  return log;
}

type Run = (subject: Subject<Pool, Options>) => Promise<void>;

const taking: Record<string, Run> = {
  "connect() returns a client by promise; release() makes it idle at once": async ({ make }) => {
    const pool = make();
    assertEquals(counts(pool), [0, 0, 0]);
    const connecting = pool.connect();
    assertEquals(counts(pool), [1, 0, 0]);
    const client = await connecting;
    assertEquals(counts(pool), [1, 0, 0]);
    assertEquals((await client.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
    client.release();
    assertEquals(counts(pool), [1, 1, 0]);
  },

  "connect() passes a client to a callback, with a function to release it": async ({ make }) => {
    const pool = make();
    let resolve!: (results: unknown[]) => void;
    const promise = new Promise<unknown[]>((fulfil) => resolve = fulfil);
    assertEquals(
      pool.connect((error, client, done) => {
        client!.query("SELECT 1 AS one", (failure, result) => {
          done();
          resolve([error, failure, result.rows, pool.idleCount]);
        });
      }),
      undefined,
    );
    assertEquals(await promise, [undefined, null, [{ one: 1 }], 1]);
  },

  "a pool is an instance of pg.Pool, with its properties": async ({ make }) => {
    const pool = make({ max: 3, idleTimeoutMillis: 500 });
    assert(pool instanceof pg.Pool);
    const { max, min, maxUses, allowExitOnIdle, maxLifetimeSeconds, idleTimeoutMillis } = pool
      .options as pg.PoolOptions & { min: number };
    assertEquals(
      [max, min, maxUses, allowExitOnIdle, maxLifetimeSeconds, idleTimeoutMillis],
      [3, 0, Infinity, false, 0, 500],
    );
    assertEquals((pool.options as pg.PoolConfig).password, LOGIN.password);
    assert(!JSON.stringify(pool.options).includes(LOGIN.password));
    const { Client } = pool as unknown as { Client: typeof pg.Client };
    const client = await pool.connect();
    assert(client instanceof pg.Client && client instanceof Client);
    assertEquals([client.database, client.user, client.port], ["orders", "app", server.port]);
    client.release();
  },

  "max limits the number of clients; callers above it wait in order": async ({ make }) => {
    const pool = make({ max: 2 });
    const [first, second] = await Promise.all([pool.connect(), pool.connect()]);
    const served: number[] = [];
    const waiters = [1, 2, 3].map((n) =>
      pool.connect().then((client) => {
        served.push(n);
        return client;
      })
    );
    assertEquals(counts(pool), [2, 0, 3]);
    first.release();
    (await waiters[0]!).release();
    (await waiters[1]!).release();
    (await waiters[2]!).release();
    second.release();
    assertEquals(served, [1, 2, 3]);
    assertEquals(counts(pool), [2, 2, 0]);
  },

  "poolSize is another name for max": async ({ make }) => {
    const pool = make({ poolSize: 1 } as Options);
    const client = await pool.connect();
    const waiter = pool.connect();
    assertEquals(counts(pool), [1, 0, 1]);
    client.release();
    (await waiter).release();
  },

  "query() runs fifty queries at once on five clients": async ({ make }) => {
    const pool = make({ max: 5 });
    // Opens all of them first: on a busy machine one client may be done before the next is open.
    const all = await Promise.all([1, 2, 3, 4, 5].map(() => pool.connect()));
    for (const client of all) client.release();
    let maxTotal = 0;
    pool.on("acquire", () => maxTotal = Math.max(maxTotal, pool.totalCount));
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, n) => pool.query("SELECT $1::int AS n", [n])),
    );
    assertEquals(results.map(({ rows }) => rows[0].n), Array.from({ length: 50 }, (_, n) => n));
    assertEquals([maxTotal, pool.totalCount], [5, 5]);
  },

  "connect() hands out the client that was released last": async ({ make }) => {
    const pool = make();
    const all = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
    for (const client of all) client.release();
    assertStrictEquals(await pool.connect(), all[2]);
    assertStrictEquals(await pool.connect(), all[1]);
    for (const client of all.slice(1)) client.release();
  },

  "connect() and end() return promises of the class in the options": async ({ make }) => {
    class Mine<T> extends Promise<T> {}
    const pool = make({ Promise: Mine } as unknown as Options);
    const connecting = pool.connect();
    assert(connecting instanceof Mine);
    (await connecting).release();
    const querying = pool.query("SELECT 1");
    assert(querying instanceof Promise);
    await querying;
    const ending = pool.end();
    assert(ending instanceof Mine);
    await ending;
  },
};

const querying: Record<string, Run> = {
  "query() takes text, values, a config, and a callback as its last argument": async ({ make }) => {
    const pool = make();
    const one = [{ one: 1 }];
    assertEquals((await pool.query("SELECT 1 AS one")).rows, one);
    assertEquals((await pool.query("SELECT $1::int AS one", [1])).rows, one);
    assertEquals((await pool.query({ text: "SELECT $1::int AS one", values: [1] })).rows, one);
    assertEquals((await pool.query({ text: "SELECT 1, 2", rowMode: "array" })).rows, [[1, 2]]);
    const named = { name: "named", text: "SELECT $1::int AS one" };
    assertEquals((await pool.query(named, [1])).rows, one);
    assertEquals((await pool.query(named, [1])).rows, one);
    const byCallback = (call: (callback: (error: Error, result: pg.QueryResult) => void) => void) =>
      new Promise((resolve, reject) =>
        call((error, result) => error ? reject(error) : resolve(result.rows))
      );
    assertEquals(await byCallback((callback) => pool.query("SELECT 1 AS one", callback)), one);
    assertEquals(
      await byCallback((callback) => pool.query("SELECT $1::int AS one", [1], callback)),
      one,
    );
    assertEquals(
      await byCallback((callback) => pool.query({ text: "SELECT 1 AS one" }, callback)),
      one,
    );
    assertEquals(counts(pool), [1, 1, 0]);
  },

  "query() rejects a function as its first argument": async ({ make }) => {
    const pool = make();
    const error = await new Promise<Error>((resolve) =>
      (pool as unknown as { query(callback: unknown): void }).query(resolve)
    );
    assertEquals(
      error.message,
      "Passing a function as the first parameter to pool.query is not supported",
    );
  },

  "a failed query() rejects with the server's error, and its client is closed": async (
    { make },
  ) => {
    const pool = make();
    const log = events(pool);
    const error = await assertRejects(() => pool.query("SELECT no_such_column"));
    assert(error instanceof pg.DatabaseError);
    assertEquals(error.code, "42703");
    const byCallback = await new Promise<pg.DatabaseError>((resolve) =>
      pool.query("SELECT no_such_column", (error) => resolve(error as pg.DatabaseError))
    );
    assertEquals(byCallback.code, "42703");
    await until(() => log.includes("remove 2"));
    assertEquals(counts(pool), [0, 0, 0]);
  },

  "query() rejects if its session is terminated while it runs": async ({ make }) => {
    const pool = make();
    const client = await pool.connect();
    const id = await pid(client);
    client.release();
    const query = pool.query("SELECT pg_sleep(30)");
    const rejected = assertRejects(() => query);
    await untilRunning(id, "SELECT pg_sleep");
    await kill(id);
    const error = await rejected as pg.DatabaseError;
    assertEquals(error.code, "57P01");
    await until(() => pool.totalCount === 0);
  },

  "query() rejects if the query cannot be sent": async ({ make }) => {
    const pool = make();
    await assertRejects(() => pool.query(null as unknown as string), TypeError);
    await until(() => pool.totalCount === 0);
  },

  "cursors and query streams run on a client": async ({ make }) => {
    const pool = make();
    const client = await pool.connect();
    const cursor = client.query(new Cursor("SELECT * FROM generate_series(1, 5) AS n"));
    assertEquals(await cursor.read(2), [{ n: 1 }, { n: 2 }]);
    await cursor.close();
    const stream = client.query(new QueryStream("SELECT * FROM generate_series(1, 3) AS n"));
    const rows = [];
    for await (const row of stream) rows.push(row);
    assertEquals(rows, [{ n: 1 }, { n: 2 }, { n: 3 }]);
    client.release();
    assertEquals(counts(pool), [1, 1, 0]);
  },

  "query() takes a query object of the driver": async ({ make }) => {
    const pool = make();
    const rows: unknown[] = [];
    const query = new pg.Query("SELECT 1 AS one");
    query.on("row", (row) => rows.push(row));
    const ended = new Promise((resolve) => query.on("end", resolve));
    pool.query(query);
    await ended;
    assertEquals(rows, [{ one: 1 }]);
    await until(() => pool.idleCount === 1);
  },

  "a client receives notifications": async ({ make }) => {
    const pool = make();
    const client = await pool.connect();
    const notified = new Promise((resolve) => client.on("notification", resolve));
    await client.query("LISTEN news");
    await pool.query("SELECT pg_notify('news', 'good')");
    assertEquals((await notified as pg.Notification).payload, "good");
    client.release();
  },

  "queries of a connect listener run before those of the caller": async ({ make }) => {
    const pool = make();
    pool.on("connect", (client) => {
      client.query("SET search_path TO elsewhere");
    });
    assertEquals((await pool.query("SHOW search_path")).rows, [{ search_path: "elsewhere" }]);
  },

  "release() does not end an open transaction or reset the session's settings": async (
    { make },
  ) => {
    const pool = make({ max: 1 });
    const client = await pool.connect();
    await client.query("BEGIN");
    await client.query("SET LOCAL application_name TO 'left open'");
    client.release();
    const { rows } = await pool.query("SHOW application_name");
    assertEquals(rows, [{ application_name: "left open" }]);
    await pool.query("ROLLBACK");
  },

  "release() lets a query end that is running on the client": async ({ make, follows }) => {
    const pool = make({ max: 1 });
    const client = await pool.connect();
    const sleeping = client.query("SELECT pg_sleep(0.1)");
    client.release();
    assertEquals(counts(pool), [1, follows ? 0 : 1, 0]);
    assertEquals((await pool.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
    assertEquals(counts(pool), [1, 1, 0]);
    await sleeping;
  },
};

const releasing: Record<string, Run> = {
  "events are emitted in order, with their client": async ({ make }) => {
    const pool = make();
    const log = events(pool);
    const client = await pool.connect();
    client.release();
    (await pool.connect()).release();
    assertEquals(log, ["connect 1", "acquire 1", "release 1 well", "acquire 1", "release 1 well"]);
    await pool.end();
    await until(() => log.length === 6);
    assertEquals(log[5], "remove 1");
  },

  "release(true) and release(error) close the client": async ({ make }) => {
    const pool = make();
    const log = events(pool);
    const id = await pool.connect().then(async (client) => {
      const id = await pid(client);
      client.release(true);
      return id;
    });
    assertEquals(counts(pool), [0, 0, 0]);
    (await pool.connect()).release(new Error("no good"));
    assertEquals(counts(pool), [0, 0, 0]);
    await until(() => log.includes("remove 1") && log.includes("remove 2"));
    assertEquals(log.filter((line) => line.startsWith("release")), [
      "release 1 true",
      "release 2 Error: no good",
    ]);
    const { rows } = await pool.query("SELECT 1 FROM pg_stat_activity WHERE pid = $1", [id]);
    assertEquals(rows, []);
  },

  "release() throws when it is called twice, and frees nothing": async ({ make }) => {
    const pool = make({ max: 1 });
    const text = "Release called on client which has already been released to the pool.";
    const client = await pool.connect();
    const { release } = client;
    client.release();
    assertThrows(() => client.release(), Error, text);
    const again = await pool.connect();
    assertStrictEquals(again, client);
    assertThrows(() => release(), Error, text);
    assertEquals(counts(pool), [1, 0, 0]);
    again.release();
    await new Promise<void>((resolve, reject) =>
      pool.connect((_error, client, done) => {
        done();
        try {
          assertThrows(() => done(), Error, text);
          assertThrows(() => client!.release(), Error, text);
          resolve();
        } catch (error) {
          reject(error);
        }
      })
    );
  },

  "a client counts its releases": async ({ make }) => {
    const pool = make();
    for (const n of [1, 2, 3]) {
      const client = await pool.connect();
      client.release();
      assertEquals(useCount(client), n);
    }
  },

  "maxUses closes a client after that number of uses": async ({ make }) => {
    const pool = make({ maxUses: 2 });
    const first = await pool.connect();
    first.release();
    const second = await pool.connect();
    assertStrictEquals(second, first);
    second.release();
    assertEquals(counts(pool), [0, 0, 0]);
    const third = await pool.connect();
    assert(third !== first);
    third.release();
  },

  "a client that the caller ended is not handed out again": async ({ make }) => {
    const pool = make();
    const log = events(pool);
    const client = await pool.connect();
    await client.end();
    await pause(1);
    assertEquals([pool.totalCount, log.includes("remove 1")], [1, false]);
    client.release();
    await until(() => log.includes("remove 1"));
    assertEquals(counts(pool), [0, 0, 0]);
    assertEquals((await pool.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
  },

  "a client that dies while it is in use emits an error and rejects queries; it may still be released":
    async ({ make }) => {
      const pool = make();
      const log = events(pool);
      const errors: unknown[] = [];
      pool.on("error", (error) => errors.push(error));
      const client = await pool.connect();
      const messages: string[] = [];
      client.on("error", (error) => messages.push(error.message));
      await kill(await pid(client));
      await until(() => messages.length > 0);
      await assertRejects(() => client.query("SELECT 1"));
      await until(() => ended(client));
      await pause(1); // the event `end` comes a tick later
      assertEquals([pool.totalCount, log.includes("remove 1")], [1, false]);
      client.release();
      assertThrows(() => client.release());
      await until(() => log.includes("remove 1"));
      assertEquals([counts(pool), errors], [[0, 0, 0], []]);
    },

  "an idle client that dies is removed, and the pool emits error once": async ({ make }) => {
    const pool = make();
    const log = events(pool);
    const errors: unknown[][] = [];
    pool.on("error", (error, client) => errors.push([error, client]));
    const client = await pool.connect();
    const id = await pid(client);
    client.release();
    await kill(id);
    await until(() => log.includes("remove 1"));
    assertEquals(errors.length, 1);
    const [error, about] = errors[0] as [pg.DatabaseError & { client: unknown }, unknown];
    assertEquals(error.code, "57P01");
    assertStrictEquals(error.client, client);
    assertStrictEquals(about, client);
    assertEquals(counts(pool), [0, 0, 0]);
    assertEquals((await pool.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
  },
};

const aging: Record<string, Run> = {
  "idleTimeoutMillis closes idle clients, down to min": async ({ make }) => {
    const pool = make({ idleTimeoutMillis: 100, min: 1 });
    const all = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
    for (const client of all) client.release();
    assertEquals(pool.totalCount, 3);
    await until(() => pool.totalCount === 1);
    await pause(300);
    assertEquals(counts(pool), [1, 1, 0]);
  },

  "idleTimeoutMillis 0 closes no client": async ({ make }) => {
    const pool = make({ idleTimeoutMillis: 0 });
    (await pool.connect()).release();
    await pause(300);
    assertEquals(counts(pool), [1, 1, 0]);
  },

  "maxLifetimeSeconds: an idle client past its lifetime is not handed out again": async (
    { make },
  ) => {
    const pool = make({ maxLifetimeSeconds: 1 });
    const first = await pool.connect();
    first.release();
    await pause(1100);
    const second = await pool.connect();
    assert(second !== first);
    second.release();
    assertEquals(counts(pool), [1, 1, 0]);
  },

  "maxLifetimeSeconds: an idle client is closed at its lifetime, also one that min keeps": async (
    { make },
  ) => {
    const pool = make({ maxLifetimeSeconds: 1, min: 1, idleTimeoutMillis: 0 });
    const startMs = performance.now(); // the lifetime begins before the client is handed out
    const client = await pool.connect();
    client.release();
    await until(() => pool.totalCount === 0);
    assertGreater(performance.now() - startMs, 900); // a lifetime is shortened at random
    assert(
      ended(client) || await new Promise((resolve) => client.once("end", () => resolve(true))),
    );
  },

  "maxLifetimeSeconds: a client in use past its lifetime counts as expired, and is closed when it is released":
    async (
      { make },
    ) => {
      const pool = make({ maxLifetimeSeconds: 1 });
      const client = await pool.connect();
      assertEquals(pool.expiredCount, 0);
      await pause(1100);
      assertEquals([pool.expiredCount, pool.totalCount], [1, 1]);
      assertEquals((await client.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
      client.release();
      assertEquals([pool.expiredCount, pool.totalCount], [0, 0]);
    },
};

const failing: Record<string, Run> = {
  "connect() rejects with the socket's error if the server refuses, and leaves no client behind":
    async ({ make }) => {
      const pool = make({ port: REFUSING_PORT });
      const error = await assertRejects(() => pool.connect()) as Error & { code: string };
      assertEquals(error.code, "ECONNREFUSED");
      const byCallback = await new Promise<unknown[]>((resolve) =>
        pool.connect((error, client, done) => resolve([error, client, typeof done]))
      );
      assertEquals((byCallback[0] as { code: string }).code, "ECONNREFUSED");
      assertEquals(byCallback.slice(1), [undefined, "function"]);
      const byQuery = await assertRejects(() => pool.query("SELECT 1")) as Error & { code: string };
      assertEquals(byQuery.code, "ECONNREFUSED");
      assertEquals(counts(pool), [0, 0, 0]);
    },

  "connect() rejects with the server's error: wrong password, no such database": async (
    { make },
  ) => {
    const cases: [Options, string][] = [
      [{ password: "wrong" }, "28P01"],
      [{ database: "no_such_database" }, "3D000"],
    ];
    for (const [options, code] of cases) {
      const pool = make(options);
      const error = await assertRejects(() => pool.connect());
      assert(error instanceof pg.DatabaseError);
      assertEquals(error.code, code);
      assertEquals(counts(pool), [0, 0, 0]);
    }
  },

  "a failed connect frees its slot for the next caller": async ({ make }) => {
    let wrong = true;
    const password = () => wrong ? "wrong" : LOGIN.password;
    const pool = make({ max: 1, password });
    const first = pool.connect();
    const second = pool.connect();
    second.catch(() => {});
    await assertRejects(() => first, pg.DatabaseError);
    wrong = false;
    // The second caller's client may already have been connecting with the wrong password.
    const client = await second.catch(() => pool.connect());
    client.release();
    assertEquals(counts(pool), [1, 1, 0]);
  },

  "connectionTimeoutMillis ends the wait for a client that is in use": async ({ make }) => {
    const pool = make({ max: 1, connectionTimeoutMillis: 200 });
    const client = await connectInTime(pool);
    const ways = {
      "by promise": () => pool.connect(),
      "by callback": () =>
        new Promise((resolve, reject) =>
          pool.connect((error, client) => error ? reject(error) : resolve(client))
        ),
    };
    for (const [way, connect] of Object.entries(ways)) {
      const startMs = performance.now();
      await assertRejects(
        () => soon(connect()),
        Error,
        "timeout exceeded when trying to connect",
      );
      const tookMs = performance.now() - startMs;
      assert(tookMs > 190, `${way} after ${tookMs} ms`);
    }
    assertEquals(counts(pool), [1, 0, 0]);
    client.release();
    assertEquals((await pool.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
  },

  "connectionTimeoutMillis ends the wait for a server that does not answer": async ({ make }) => {
    const sockets: net.Socket[] = [];
    const silent = net.createServer((socket) => void sockets.push(socket));
    const port = await freePort([server.host]);
    await new Promise<void>((resolve) => silent.listen(port, server.host, resolve));
    try {
      const pool = make({ port, connectionTimeoutMillis: 200 });
      const startMs = performance.now();
      await assertRejects(
        () => soon(pool.connect()),
        Error,
        "Connection terminated due to connection timeout",
      );
      const tookMs = performance.now() - startMs;
      assert(tookMs > 190, `after ${tookMs} ms`);
      await until(() => pool.totalCount === 0);
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => silent.close(resolve));
    }
  },

  "ssl: connect() rejects if the server has no TLS": async ({ make }) => {
    const pool = make({ ssl: true });
    await assertRejects(
      () => pool.connect(),
      Error,
      "The server does not support SSL connections",
    );
  },
};

const configuring: Record<string, Run> = {
  "onConnect is awaited before a client is announced and handed out": async ({ make }) => {
    const log: string[] = [];
    const pool = make({
      onConnect: async (client) => {
        log.push("begin");
        await client.query("SET application_name TO 'prepared'");
        log.push("end");
      },
    });
    pool.on("connect", () => log.push("connect"));
    assertEquals((await pool.query("SHOW application_name")).rows, [{
      application_name: "prepared",
    }]);
    assertEquals(log, ["begin", "end", "connect"]);
    await pool.query("SELECT 1");
    assertEquals(log.length, 3);
  },

  "onConnect: if it fails, connect() rejects and leaves no client behind": async ({ make }) => {
    const log: string[] = [];
    for (
      const onConnect of [
        () => Promise.reject(new Error("not today")),
        () => {
          throw new Error("not today");
        },
      ]
    ) {
      const pool = make({ onConnect });
      pool.on("connect", () => log.push("connect"));
      pool.on("remove", () => log.push("remove"));
      await assertRejects(() => pool.connect(), Error, "not today");
      await until(() => pool.totalCount === 0);
    }
    assertEquals(log, []);
  },

  "verify is called for each new client, and may reject it": async ({ make }) => {
    let good = false;
    let asked = 0;
    const pool = make({
      verify: (_client, done) => {
        asked++;
        done(good ? undefined : new Error("not this one"));
      },
    });
    const log = events(pool);
    await assertRejects(() => pool.connect(), Error, "not this one");
    await until(() => log.includes("remove 1"));
    assertEquals(log, ["connect 1", "acquire 1", "release 1 Error: not this one", "remove 1"]);
    good = true;
    (await pool.connect()).release();
    (await pool.connect()).release();
    assertEquals(asked, 2);
  },

  "password may be a function, and may change later": async ({ make }) => {
    let asked = 0;
    const pool = make({
      password: () => {
        asked++;
        return Promise.resolve(LOGIN.password);
      },
    });
    const [first, second] = await Promise.all([pool.connect(), pool.connect()]);
    assertEquals(asked, 2);
    (pool.options as pg.PoolConfig).password = "wrong now";
    await assertRejects(() => pool.connect(), Error, "password authentication failed");
    first.release();
    second.release();
  },

  "connectionString takes precedence over the other options": async ({ make, follows }) => {
    const host = follows ? "db.internal" : server.host;
    const { user, password, database } = LOGIN;
    const connectionString =
      `postgres://${user}:${password}@${host}:${server.port}/${database}?application_name=from_the_string`;
    const pool = make({ connectionString, user: "nobody", host: "nowhere.invalid", port: 1 });
    const { rows } = await pool.query(
      "SELECT current_user AS who, current_setting('application_name') AS app",
    );
    assertEquals(rows, [{ who: user, app: "from_the_string" }]);
  },

  "environment variables are used for missing options": async ({ make, follows }) => {
    const env = {
      PGHOST: follows ? "db.internal" : server.host,
      PGPORT: String(server.port),
      PGUSER: LOGIN.user,
      PGPASSWORD: LOGIN.password,
      PGDATABASE: LOGIN.database,
      PGAPPNAME: "from the environment",
    };
    const nothing = {
      host: undefined,
      port: undefined,
      user: undefined,
      password: undefined,
      database: undefined,
    };
    for (const [name, value] of Object.entries(env)) process.env[name] = value;
    try {
      const pool = make(nothing as unknown as Options);
      const { rows } = await pool.query(
        "SELECT current_user AS who, current_database() AS db, current_setting('application_name') AS app",
      );
      assertEquals(rows, [{ who: LOGIN.user, db: LOGIN.database, app: env.PGAPPNAME }]);
    } finally {
      for (const name of Object.keys(env)) delete process.env[name];
    }
  },

  "options of the client are passed on: types, timeouts, names, server options": async (
    { make },
  ) => {
    const pool = make({
      types: { getTypeParser: () => (value: string) => `<${value}>` } as unknown as NonNullable<
        pg.PoolConfig["types"]
      >,
      statement_timeout: 1234,
      lock_timeout: 2345,
      idle_in_transaction_session_timeout: 3456,
      application_name: "app name",
      options: "-c search_path=elsewhere",
    });
    const show = async (name: string) =>
      Object.values((await pool.query(`SHOW ${name}`)).rows[0])[0];
    assertEquals(
      [
        await show("statement_timeout"),
        await show("lock_timeout"),
        await show("idle_in_transaction_session_timeout"),
        await show("application_name"),
        await show("search_path"),
      ],
      ["<1234ms>", "<2345ms>", "<3456ms>", "<app name>", "<elsewhere>"],
    );
  },

  "query_timeout rejects a query that takes longer": async ({ make }) => {
    const pool = make({ query_timeout: 100 });
    await assertRejects(() => pool.query("SELECT pg_sleep(30)"), Error, "Query read timeout");
    await until(() => pool.totalCount === 0);
  },

  "opens as many clients at once as callers ask for": async ({ make }) => {
    let open!: () => void;
    const opened = new Promise<void>((resolve) => open = resolve);
    let count = 0;
    const onConnect = () => {
      if (++count === 8) open();
      return opened;
    };
    const pool = make({ max: 8, onConnect } as Options);
    const all = Promise.all(Array.from({ length: 8 }, () => pool.connect()));
    await opened;
    for (const client of await all) client.release();
  },

  "Client: a subclass that takes longer than the timeout before it connects": async ({ make }) => {
    let connected = 0;
    class Slow extends pg.Client {
      // deno-lint-ignore no-explicit-any -- of pg's overloads, the pool calls that with a callback
      override connect(callback?: any): any {
        setTimeout(() => super.connect((error: Error) => (connected++, callback(error))), 300);
      }
    }
    const Client = Slow as unknown as NonNullable<Options["Client"]>;
    const pool = make({ Client, connectionTimeoutMillis: 50 });
    const result = await pool.connect().catch((error: Error) => error);
    await until(() => connected === 1);
    // pg.Pool hands out the client, on a socket that it had destroyed.
    if (!(result instanceof Error)) return result.release();
    assertEquals(result.message, "Connection terminated due to connection timeout");
    await until(() => pool.totalCount === 0);
  },

  "Client: the class in the options is used": async ({ make }) => {
    class Mine extends pg.Client {
      readonly mine = true;
    }
    const pool = make({ Client: Mine as unknown as NonNullable<Options["Client"]> });
    const client = await pool.connect();
    assert(client instanceof Mine && client.mine);
    client.release();
  },

  "pipeline mode works": async ({ make }) => {
    const pool = make({ pipeline: true });
    const client = await pool.connect();
    const results = await Promise.all([1, 2, 3].map((n) => client.query(`SELECT ${n} AS n`)));
    assertEquals(results.map(({ rows }) => rows[0].n), [1, 2, 3]);
    client.release();
  },

  "log receives lines of text": async ({ make }) => {
    const lines: unknown[] = [];
    const pool = make({ log: (...parts: unknown[]) => void lines.push(parts[0]) });
    await pool.query("SELECT 1");
    assert(lines.length > 2 && lines.every((line) => typeof line === "string"));
  },

  "a socket path works as the host": async ({ make }) => {
    if (os.platform() === "win32") return;
    const pool = make({ host: socketDir });
    const { rows } = await pool.query("SELECT inet_server_addr() IS NULL AS by_socket");
    assertEquals([rows, counts(pool)], [[{ by_socket: true }], [1, 1, 0]]);
  },

  "an IP address works as the host": async ({ make }) => {
    const pool = make({ host: server.host });
    assertEquals((await pool.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
    assertEquals(counts(pool), [1, 1, 0]);
  },
};

const ending: Record<string, Run> = {
  "end() waits for clients that are in use": async ({ make }) => {
    const pool = make();
    const client = await pool.connect();
    await pool.query("SELECT 1");
    assertEquals([pool.ending, pool.ended], [false, false]);
    let done = false;
    const end = pool.end().then(() => done = true);
    assertEquals([pool.ending, pool.ended], [true, false]);
    await pause(50);
    assertEquals(done, false);
    assertEquals((await client.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
    client.release();
    await end;
    assertEquals([pool.ending, pool.ended, pool.totalCount], [true, true, 0]);
  },

  "end() right after queries lets them end": async ({ make }) => {
    const pool = make({ max: 3 });
    const queries = [1, 2, 3].map((n) => pool.query("SELECT $1::int AS n", [n]));
    const end = pool.end();
    const byCallback = await new Promise<Error>((resolve) =>
      pool.query("SELECT 4", (error) => resolve(error))
    );
    assertEquals(byCallback.message, "Cannot use a pool after calling end on the pool");
    assertEquals((await Promise.all(queries)).map(({ rows }) => rows[0].n), [1, 2, 3]);
    await end;
    assertEquals([pool.ended, pool.totalCount], [true, 0]);
  },

  "end() lets the error of a connect that is under way reach its caller": async (
    { make },
  ) => {
    const pool = make({ port: REFUSING_PORT });
    const query = pool.query("SELECT 1");
    const end = pool.end();
    const error = await assertRejects(() => query) as Error & { code: string };
    assertEquals(error.code, "ECONNREFUSED");
    await end;
  },

  "max may be changed at any time": async ({ make }) => {
    const pool = make({ max: 1 });
    const first = await pool.connect();
    pool.options.max = 2;
    const second = await soon(pool.connect());
    pool.options.max = 1;
    first.release();
    second.release();
    assertEquals(pool.options.max, 1);
    const again = await pool.connect();
    again.release();
  },

  "end() does not wait for a query that is running on a client that was released": async (
    { make },
  ) => {
    const pool = make({ max: 1 });
    const client = await pool.connect();
    const slow = { text: "SELECT pg_sleep(600)", query_timeout: 50 };
    await assertRejects(() => client.query(slow), Error, "Query read timeout");
    client.release();
    await soon(pool.end());
    assertEquals(pool.totalCount, 0);
  },

  "an idle client that emits an error is removed, and the pool emits it": async ({ make }) => {
    const pool = make();
    const heard: unknown[] = [];
    pool.on("error", (error, client) => heard.push(error, client));
    const client = await pool.connect();
    client.release();
    await pause(1);
    client.on("error", (error) => heard.push(error.message));
    const { connection } = client as unknown as { connection: { stream: net.Socket } };
    const goodbye = new Promise((resolve) => connection.stream.once("end", resolve));
    client.emit("error", new Error("expected"));
    assertEquals([heard.length, heard[1] === client, heard[2]], [3, true, "expected"]);
    await soon(goodbye);
    assertEquals(counts(pool), [0, 0, 0]);
    assertEquals((await pool.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
  },

  "end() takes a callback, and closes a pool that was never used": async ({ make }) => {
    const pool = make();
    const error = await new Promise<unknown>((resolve) => {
      const end = pool.end as (callback: (error?: Error) => void) => unknown;
      assertEquals(end.call(pool, resolve), undefined);
    });
    assertEquals([error, pool.ended], [undefined, true]);
  },

  "end(): connect() and query() reject afterwards, and so does a second end()": async (
    { make },
  ) => {
    const pool = make();
    await pool.end();
    const closed = "Cannot use a pool after calling end on the pool";
    await assertRejects(() => pool.connect(), Error, closed);
    await assertRejects(() => pool.query("SELECT 1"), Error, closed);
    assertEquals(
      ((await new Promise<unknown>((resolve) => pool.connect(resolve))) as Error).message,
      closed,
    );
    const twice = "Called end on pool more than once";
    await assertRejects(() => pool.end(), Error, twice);
    const end = pool.end as (callback: (error?: Error) => void) => unknown;
    assertEquals(
      ((await new Promise<unknown>((resolve) => end.call(pool, resolve))) as Error).message,
      twice,
    );
  },
};

Deno.test("DnsPgPool: errors of clients of a socket path without a listener do not end the process", async () => {
  const options = { ...LOGIN, host: socketDir, port: server.port };
  const { code, out, err } = await runProgram(`
    import pg from "npm:pg@^8.23";
    import { DnsPgPool } from "root/drop_in/pg_pool.ts";
    const pool = new DnsPgPool(pg, ${JSON.stringify(options)});
    const clients = await Promise.all([pool.connect(), pool.connect()]);
    const ids = await Promise.all(clients.map(async (client) =>
      (await client.query("SELECT pg_backend_pid() AS id")).rows[0].id
    ));
    clients[1].release();
    const ends = clients.map((client) => new Promise((resolve) => client.once("end", resolve)));
    const killer = new pg.Client(${JSON.stringify(options)});
    await killer.connect();
    await killer.query("SELECT pg_terminate_backend(id) FROM unnest($1::int[]) AS id", [ids]);
    await killer.end();
    await Promise.all(ends);
    clients[0].release();
    console.log((await pool.query("SELECT 1 AS one")).rows[0].one);
    await pool.end();
  `);
  assertEquals([code, out], [0, "1"], err);
});

testBehaviors<Pool, Options>(makers, {
  ...taking,
  ...querying,
  ...releasing,
  ...aging,
  ...failing,
  ...configuring,
  ...ending,
});
