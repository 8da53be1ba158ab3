/**
 * What `DnsPgPool` does that `pg.Pool` does not, on real PostgreSQL servers.
 */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import process from "node:process";
import { inspect } from "node:util";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import Cursor from "npm:pg-cursor@^2";
import { DnsPgPool, type DnsPgPoolOptions } from "../../drop_in/pg_pool.ts";
import type { Engine } from "../../engine.ts";
import { ConnectError, ConnectionLostError, ResolveError } from "../../errors.ts";
import { clearDnsCache } from "../../resolver.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { CopyQuery } from "../support/handover_postgres.ts";
import { type Setup, withPools } from "../support/drop_in_setup.ts";
import { REFUSING_PORT } from "../support/sockets.ts";
import { runProgram } from "../support/program.ts";
import { pause, soon, until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };

let first: PostgresServer;
let second: PostgresServer;

Deno.test.beforeAll(async () => {
  const hosts = await loopbackPair();
  const port = await freePort(hosts);
  first = await startPostgres({ host: hosts[0], port, ...LOGIN });
  second = await startPostgres({ host: hosts[1], port, ...LOGIN });
});

Deno.test.afterAll(async () => {
  await first.stop({ mode: "immediate" });
  await second.stop({ mode: "immediate" });
});

type Options = DnsPgPoolOptions<typeof pg>;

type Pool = InstanceType<typeof pg.Pool> & { readonly engine: unknown };

/** Runs a test with pools for a name that points at the first server. */
function withPgPools(test: (setup: Setup<Pool, Options>) => Promise<void>): Promise<void> {
  const { host, port } = first;
  return withPools(host, {
    open: (options) => new DnsPgPool(pg, { ...LOGIN, host: "db.internal", port, ...options }),
    end: async (pool) => pool.ending || await pool.end(),
  }, test);
}

async function where(pool: { query(text: string): Promise<pg.QueryResult> }): Promise<string> {
  const { rows } = await pool.query("SELECT host(inet_server_addr()) AS host");
  return rows[0].host;
}

/** Waits until the pool knows that the name has moved. */
async function untilMoved(pool: Pool, host: string): Promise<void> {
  const engine = pool.engine as Engine<unknown>;
  await until(() => engine.status().answer.addresses[0] === host);
}

/** Waits until a session knows a new value of the server's setting. */
async function untilSet(
  client: { query(text: string): Promise<pg.QueryResult> },
  value: string,
): Promise<void> {
  const text = "SELECT current_setting('default_transaction_read_only') AS value";
  await until(async () => (await client.query(text)).rows[0].value === value);
}

const pid = async (client: pg.ClientBase): Promise<number> =>
  (await client.query("SELECT pg_backend_pid() AS pid")).rows[0].pid;

Deno.test("DnsPgPool: when the record moves, idle clients are closed, and the next one is open to the new server", () =>
  withPgPools(async ({ dns, make }) => {
    const pool = make();
    const removed: pg.PoolClient[] = [];
    pool.on("remove", (client) => removed.push(client));
    const clients = await Promise.all([pool.connect(), pool.connect()]);
    for (const client of clients) client.release();
    assertEquals(await where(pool), first.host);
    dns.addresses = [second.host];
    await until(() => removed.length === 2);
    assertEquals([pool.totalCount, pool.idleCount], [0, 0]);
    assertEquals(await where(pool), second.host);
  }));

Deno.test("DnsPgPool: when the record moves, a client in use works on, does not count toward max, and is closed when it is released", () =>
  withPgPools(async ({ dns, make }) => {
    const pool = make({ max: 1 });
    const client = await pool.connect();
    dns.addresses = [second.host];
    await untilMoved(pool, second.host);
    assertEquals(await where(client), first.host);
    assertEquals(await where(pool), second.host);
    client.release();
    await until(() => pool.totalCount === 1);
    assertEquals(await where(pool), second.host);
  }));

Deno.test("DnsPgPool: when the record moves, callers for which a client will be opened do not count as waiting", () =>
  withPgPools(async ({ dns, make }) => {
    const pool = make({ max: 2, connectConcurrency: 1 });
    const out = await Promise.all([pool.connect(), pool.connect()]);
    dns.addresses = [second.host];
    await untilMoved(pool, second.host);
    const counts = () => [pool.totalCount, pool.idleCount, pool.waitingCount];
    assertEquals(counts(), [2, 0, 0]);
    const others = [1, 2, 3].map(async () => (await pool.connect()).release());
    const counted = counts();
    await Promise.all(others);
    assertEquals(counted, [4, 0, 1]);
    for (const client of out) client.release();
    await until(() => String(counts()) === "2,2,0");
  }));

Deno.test("DnsPgPool: when the record moves, a waiting caller is served by the new server", () =>
  withPgPools(async ({ dns, make }) => {
    const pool = make({ max: 1 });
    const client = await pool.connect();
    const waiter = where(pool);
    dns.addresses = [second.host];
    assertEquals(await waiter, second.host);
    client.release();
  }));

Deno.test("DnsPgPool: a client connects to the address, and keeps the name in its parameters", () =>
  withPgPools(async ({ make }) => {
    const pool = make();
    const client = await pool.connect();
    const { connectionParameters } = client as unknown as { connectionParameters: pg.ClientConfig };
    assertEquals([client.host, connectionParameters.host], [first.host, "db.internal"]);
    client.release();
  }));

Deno.test("DnsPgPool: after a read-only error that the caller catches, the client is not handed out again, and DNS is asked at once", () =>
  withPgPools(async ({ dns, make }) => {
    const admin = new pg.Pool({ ...LOGIN, host: first.host, port: first.port, max: 1 });
    const setReadOnly = async (value: string) => {
      await admin.query(`ALTER SYSTEM SET default_transaction_read_only = ${value}`);
      await admin.query("SELECT pg_reload_conf()");
      await untilSet(admin, value);
    };
    for (const targetSessionAttrs of ["any", "read-write"] as const) {
      dns.ttl = 300;
      clearDnsCache();
      const pool = make({ targetSessionAttrs });
      const client = await pool.connect();
      const id = await pid(client);
      await pause(1000); // DNS is asked at most once a second
      const asked = dns.questions.length;
      await setReadOnly("on");
      await untilSet(client, "on");
      await client.query("CREATE TABLE things (n int)").catch(() => {});
      client.release();
      await until(() => pool.totalCount === 0);
      await setReadOnly("off");
      await until(() => dns.questions.length > asked);
      assertEquals(dns.questions.length, asked + 1);
      const next = await pool.connect();
      assert(await pid(next) !== id);
      next.release();
    }
    await admin.end();
  }));

Deno.test("DnsPgPool: a write refused in a transaction that is read-only by itself costs no client", () =>
  withPgPools(async ({ make }) => {
    for (const targetSessionAttrs of ["any", "read-write"] as const) {
      const pool = make({ max: 1, targetSessionAttrs });
      const client = await pool.connect();
      await client.query("BEGIN READ ONLY");
      await client.query("CREATE TABLE things (n int)").catch(() => {});
      await client.query("ROLLBACK");
      client.release();
      const next = await pool.connect();
      assertStrictEquals(next, client);
      next.release();
    }
  }));

Deno.test("DnsPgPool: errors of clients without a listener do not end the process, idle or in use", async () => {
  const { code, out, err } = await runProgram(`
    import pg from "npm:pg@^8.23";
    import { DnsPgPool } from "root/drop_in/pg_pool.ts";
    const lookup = { name: "table", lookup: () => Promise.resolve({ addresses: ["${first.host}"], ttl: 60 }) };
    const { user, password, database } = ${JSON.stringify(LOGIN)};
    const options = { user, password, database, port: ${first.port}, max: 3, dnsLookup: lookup };
    const hosts = ["db.internal", "${first.host}"];
    for (const host of hosts) {
      const pool = new DnsPgPool(pg, { ...options, host });
      const [used, idle] = await Promise.all([pool.connect(), pool.connect()]);
      const ids = [];
      for (const client of [used, idle]) {
        ids.push((await client.query("SELECT pg_backend_pid() AS id")).rows[0].id);
      }
      idle.release();
      const ends = [used, idle].map((client) => new Promise((resolve) => client.once("end", resolve)));
      const killer = await new pg.Client({ ...options, host: "${first.host}" });
      await killer.connect();
      await killer.query("SELECT pg_terminate_backend(id) FROM unnest($1::int[]) AS id", [ids]);
      await killer.end();
      await Promise.all(ends);
      console.log(pool.totalCount, pool.idleCount);
      used.release();
      console.log((await pool.query("SELECT 1 AS one")).rows[0].one);
      await pool.end();
    }
  `);
  assertEquals([code, out], [0, "1 0\n1\n1 0\n1"], err);
});

Deno.test("DnsPgPool: allowExitOnIdle lets the process exit; without it, idle clients keep it alive, as with pg.Pool", async () => {
  const program = (pool: string) => `
    import process from "node:process";
    import pg from "npm:pg@^8.23";
    import { DnsPgPool } from "root/drop_in/pg_pool.ts";
    const lookup = { name: "table", lookup: () => Promise.resolve({ addresses: ["${first.host}"], ttl: 60 }) };
    const options = { ...${JSON.stringify(LOGIN)}, port: ${first.port}, idleTimeoutMillis: 2000 };
    const pool = ${pool};
    await pool.query("SELECT 1");
    process.on("exit", () => console.log(pool.totalCount));
  `;
  const original = (exit: boolean) =>
    `new pg.Pool({ ...options, host: "${first.host}", allowExitOnIdle: ${exit} })`;
  const ours = (exit: boolean) =>
    `new DnsPgPool(pg, { ...options, host: "db.internal", dnsLookup: lookup, allowExitOnIdle: ${exit} })`;
  await Promise.all([original, ours].map(async (pool) => {
    // Without it, the process exits after idleTimeoutMillis, which closes the client.
    for (const [exit, clients] of [[true, "1"], [false, "0"]] as const) {
      const { code, out, err } = await runProgram(program(pool(exit)));
      assertEquals([code, out], [0, clients], pool(exit) + err);
    }
  }));
});

Deno.test("DnsPgPool: connectionTimeoutMillis limits the wait for a server that restarts; without it, connect() rejects at once", () =>
  withPgPools(async ({ make }) => {
    const port = await freePort([first.host]);
    await using server = await startPostgres({ ...LOGIN, host: first.host, port });
    const retrying = make({ port, connectionTimeoutMillis: 30_000 });
    const failing = make({ port });
    for (const pool of [retrying, failing]) assertEquals(await where(pool), first.host);
    await server.kill();
    await until(() => retrying.totalCount + failing.totalCount === 0);
    const result = where(retrying);
    const error = await assertRejects(() => where(failing)) as Error & { code: string };
    assertEquals(error.code, "ECONNREFUSED");
    await server.start();
    assertEquals(await result, first.host);
    for (const pool of [retrying, failing]) await pool.end();
  }));

Deno.test("DnsPgPool: connectionTimeoutMillis limits the wait for a server with the role of targetSessionAttrs", () =>
  withPgPools(async ({ make }) => {
    const readOnly = { options: "-c default_transaction_read_only=on" };
    const pool = make({
      ...readOnly,
      targetSessionAttrs: "read-write",
      connectionTimeoutMillis: 3000,
    });
    const startMs = performance.now();
    const error = await assertRejects(() => soon(pool.connect()), ConnectError);
    const tookMs = performance.now() - startMs;
    assert(tookMs > 2990, `after ${tookMs} ms`);
    assertStringIncludes(error.message, '"read-write" is wanted');
    const fitting = make({ ...readOnly, targetSessionAttrs: "read-only" });
    assertEquals(await where(fitting), first.host);
  }));

Deno.test("DnsPgPool: a name that cannot be resolved rejects with an error like that of node:dns", () =>
  withPgPools(async ({ dns, make }) => {
    const cases = [["negative", "ENOTFOUND"], ["transient", "EAI_AGAIN"]] as const;
    for (const [failure, code] of cases) {
      dns.failure = failure;
      clearDnsCache();
      const pool = make({ dnsMaxRetries: 1 });
      const error = await assertRejects(() => pool.query("SELECT 1")) as Error & {
        code: string;
        hostname: string;
      };
      assertEquals([error.code, error.hostname], [code, "db.internal"]);
      assert(error.cause instanceof ResolveError);
      assertEquals(pool.totalCount, 0);
    }
  }));

Deno.test("DnsPgPool: a client that died and is never released gives its slot to the next caller, and end() does not wait for it", () =>
  withPgPools(async ({ make }) => {
    const [pool, killer] = [make({ max: 1 }), make()];
    let removed = 0;
    let late: pg.PoolClient;
    pool.on("remove", () => removed++);
    for (let i = 0; i < 3; i++) {
      const client = await pool.connect();
      assertEquals([pool.totalCount, removed], [1, i]);
      const waiter = i === 2 ? where(pool) : undefined;
      const ended = new Promise((resolve) => client.once("end", resolve));
      await killer.query("SELECT pg_terminate_backend($1)", [await pid(client)]);
      if (waiter) assertEquals(await waiter, first.host);
      else await ended;
      assertEquals([pool.totalCount, removed], [1, waiter ? 3 : i]);
      if (i === 1) late = client;
    }
    // A release that comes after that changes nothing.
    late!.release();
    assertEquals([pool.totalCount, removed], [1, 3]);
    await pool.connect().then(async (client) => {
      await killer.query("SELECT pg_terminate_backend($1)", [await pid(client)]);
    });
    await pool.end();
  }));

Deno.test("DnsPgPool: a client that is opened after its caller's timeout becomes idle", () =>
  withPgPools(async ({ dns, make }) => {
    let prepared!: () => void;
    const onConnect = () => new Promise<void>((resolve) => prepared = resolve);
    // The attempt to connect begins, and so ends, later than the wait of the caller.
    dns.delayMs = 1500;
    clearDnsCache();
    const pool = make({ connectionTimeoutMillis: 3000, onConnect } as Partial<Options>);
    await assertRejects(
      () => pool.connect(),
      Error,
      "Connection terminated due to connection timeout",
    );
    assertEquals(pool.totalCount, 1);
    prepared();
    await until(() => pool.idleCount === 1);
    assertEquals(await where(pool), first.host);
  }));

Deno.test("DnsPgPool: an onConnect that hangs ends with the connect attempt, and frees its slot", () =>
  withPgPools(async ({ make }) => {
    let hangs = true;
    const pool = make({
      max: 1,
      connectionTimeoutMillis: 300,
      onConnect: () => hangs ? new Promise(() => {}) : undefined,
    });
    await assertRejects(() => pool.connect());
    await until(() => pool.totalCount === 0);
    hangs = false;
    // Again and again, until the machine is fast enough for the timeout.
    await until(() => where(pool).then((host) => host === first.host, () => false));
  }));

Deno.test("DnsPgPool: if a connect listener throws, connect() rejects, and the pool remains usable", () =>
  withPgPools(async ({ make }) => {
    const pool = make();
    pool.once("connect", () => {
      throw new Error("no good listener");
    });
    await assertRejects(() => pool.connect(), Error, "no good listener");
    assertEquals(await where(pool), first.host);
  }));

Deno.test("DnsPgPool: an error that a callback throws is uncaught, as with pg.Pool", async () => {
  for (const pool of ["new pg.Pool(options)", "new DnsPgPool(pg, options)"]) {
    const { code, out, err } = await runProgram(`
      import process from "node:process";
      import pg from "npm:pg@^8.23";
      import { DnsPgPool } from "root/drop_in/pg_pool.ts";
      const options = { ...${JSON.stringify(LOGIN)}, host: "${first.host}", port: ${first.port} };
      const thrown = new Promise((resolve) =>
        process.on("uncaughtException", (error, origin) => resolve([origin, error.message]))
      );
      const pool = ${pool};
      pool.connect((error, client, done) => {
        done();
        throw new Error("thrown by a callback");
      });
      console.log(...await thrown);
      console.log(pool.idleCount);
      await pool.end();
    `);
    assertEquals([code, out], [0, "uncaughtException thrown by a callback\n1"], err);
  }
});

Deno.test("DnsPgPool: clients in use on a departed server that no longer answers are terminated, and new ones are handed out meanwhile", async () => {
  const port = await freePort([first.host, second.host]);
  await using frozen = await startPostgres({ ...LOGIN, host: first.host, port });
  await using other = await startPostgres({ ...LOGIN, host: second.host, port });
  await withPgPools(async ({ dns, make }) => {
    const pool = make({ port, max: 1, probeTimeout: 0.5 });
    assertEquals(await where(pool), frozen.host);
    await frozen.freeze();
    const stuck = assertRejects(() => pool.query("SELECT 1"), ConnectionLostError);
    dns.addresses = [other.host];
    assertEquals(await soon(where(pool)), other.host);
    await soon(stuck);
    await frozen.thaw();
    await pool.end();
  });
});

Deno.test("DnsPgPool: end() lets callers that came before it have their clients, also those that wait for one", () =>
  withPgPools(async ({ make }) => {
    const pool = make({ max: 1 });
    const client = await pool.connect();
    const waiters = [1, 2].map((n) => pool.query("SELECT $1::int AS n", [n]));
    const end = pool.end();
    await assertRejects(() => pool.query("SELECT 3"), Error, "Cannot use a pool after calling end");
    client.release();
    assertEquals((await Promise.all(waiters)).map(({ rows }) => rows[0].n), [1, 2]);
    await end;
    assertEquals([pool.ended, pool.totalCount], [true, 0]);
    assert((client as unknown as { _ended: boolean })._ended);
  }));

Deno.test("DnsPgPool: Client follows the name, and ends what a session runs on the server that has the session", () =>
  withPgPools(async ({ dns, make }) => {
    const pool = make();
    const { Client, options } = pool as unknown as {
      Client: typeof pg.Client;
      options: pg.PoolOptions;
    };
    const control = async (client: pg.PoolClient, how: "text" | "value" | "callback") => {
      const other = new Client({ ...options, password: options.password });
      await other.connect();
      const { processID } = client as unknown as { processID: number };
      const text = `select pg_cancel_backend(${how === "text" ? processID : "$1"}) AS done`;
      const values = how === "text" ? [] : [processID];
      const { rows } = how !== "callback" ? await other.query(text, values) : await new Promise<
        pg.QueryResult
      >((resolve, reject) =>
        other.query(text, values, (error, result) => error ? reject(error) : resolve(result))
      );
      assertEquals(rows, [{ done: true }]);
      await other.end();
    };
    const old = await pool.connect();
    const cancelled = async (client: pg.PoolClient, how: Parameters<typeof control>[1]) => {
      let isOver = false;
      const failing = assertRejects(() => soon(client.query("SELECT pg_sleep(30)")))
        .finally(() => isOver = true);
      // A cancel that comes before its statement has no effect.
      for (; !isOver; await pause(20)) await control(client, how);
      assertEquals((await failing as pg.DatabaseError).code, "57014");
    };
    await cancelled(old, "text");
    dns.addresses = [second.host];
    await untilMoved(pool, second.host);
    const current = await pool.connect();
    assertEquals([await where(old), await where(current)], [first.host, second.host]);
    await cancelled(old, "value");
    await cancelled(current, "callback");
    await cancelled(old, "callback");
    const plain = new Client({ ...options, password: options.password });
    await plain.connect();
    assertEquals(await where(plain), second.host);
    await plain.end();
    old.release();
    current.release();
  }));

Deno.test("DnsPgPool: a client class whose methods take a callback only, and one whose methods are async, work", () =>
  withPgPools(async ({ make }) => {
    type Callback = (...args: unknown[]) => void;
    // deno-lint-ignore no-explicit-any -- the types of pg have both forms only
    const Base = pg.Client as any;
    class OfCallbacks extends Base {
      connect(callback: Callback) {
        super.connect((...args: unknown[]) => callback(...args));
      }
      query(text: unknown, values: unknown, callback: Callback) {
        super.query(text, values, (...args: unknown[]) => callback(...args));
      }
      end(callback: Callback) {
        super.end(() => callback());
      }
    }
    class Async extends Base {
      async connect(...args: unknown[]) {
        await Promise.resolve();
        return super.connect(...args);
      }
      async query(...args: unknown[]) {
        await Promise.resolve();
        return super.query(...args);
      }
      async end(...args: unknown[]) {
        await Promise.resolve();
        return super.end(...args);
      }
    }
    for (const Client of [OfCallbacks, Async] as unknown as Options["Client"][]) {
      const pool = make({ Client, targetSessionAttrs: "read-write" } as Options);
      assertEquals((await soon(pool.query("SELECT 1 AS one"))).rows, [{ one: 1 }]);
      await soon(pool.end());
    }
  }));

Deno.test("DnsPgPool: engine gives status and events", () =>
  withPgPools(async ({ dns, make }) => {
    const pool = make();
    const { engine } = pool as unknown as { engine: import("../../engine.ts").Engine<unknown> };
    const changes: unknown[] = [];
    engine.addEventListener("addresschange", ({ detail }) => changes.push(detail.addresses));
    await pool.query("SELECT 1");
    assertEquals(engine.status().answer.addresses, [first.host]);
    dns.addresses = [second.host];
    await until(() => changes.length === 1);
    assertEquals(changes, [[second.host]]);
  }));

Deno.test("DnsPgPool: the password is not visible in the pool or in errors", () =>
  withPgPools(async ({ make }) => {
    const { user, password, database } = LOGIN;
    const pool = make();
    const client = await pool.connect();
    for (const depth of [1, 5, Infinity]) {
      assert(!inspect(pool, { depth }).includes(password));
    }
    client.release();
    const url = `postgres://${user}:${password}@db.internal:${first.port}/${database}`;
    const refused = make({ connectionString: url, options: "-c no_such_setting=1" });
    const error = await assertRejects(() => refused.connect());
    assert(!inspect(error, { depth: 9 }).includes(password));
  }));

Deno.test("DnsPgPool: options that cannot be used are refused by name", () => {
  const port = 1;
  const cases: [object, typeof TypeError | typeof RangeError, string][] = [
    [{ stream: () => {} }, TypeError, '"stream" must not be given: it would bypass DNS'],
    [{ connection: {} }, TypeError, '"connection" must not be given: it would bypass DNS'],
    [
      { poolTimeout: 3 },
      TypeError,
      '"poolTimeout" must not be given: use "connectionTimeoutMillis"',
    ],
    [{ connectTimeout: 3 }, TypeError, 'use "connectionTimeoutMillis" of pg, in milliseconds'],
    [{ idleTimeout: 3 }, TypeError, 'use "idleTimeoutMillis" of pg, in milliseconds'],
    [{ poolRecycle: 3 }, TypeError, 'use "maxLifetimeSeconds" of pg'],
    [{ maxOverflow: 3 }, TypeError, 'it is part of "max" of pg'],
    [{ minIdle: 3 }, TypeError, 'use "min" of pg'],
    [{ dnsNameserver: ["10.0.0.2"] }, TypeError, 'did you mean "dnsNameservers"?'],
    [{ dnsTimeout: 12_000 }, RangeError, "did you mean 12?"],
    [{ targetSessionAttrs: "write" }, TypeError, '"targetSessionAttrs" must be one of'],
    [{ max: -1 }, RangeError, '"max" must be a number of clients, at least 0 or Infinity, got -1'],
    [{ max: "many" }, TypeError, 'got "many"'],
    [{ min: 3, max: 2 }, RangeError, '"min" must be at most "max", which is 2, got 3'],
    [{ idleTimeoutMillis: -1 }, RangeError, '"idleTimeoutMillis"'],
    [{ connectionTimeoutMillis: "soon" }, TypeError, '"connectionTimeoutMillis"'],
    [{ maxLifetimeSeconds: "long" }, TypeError, '"maxLifetimeSeconds"'],
    [{ onConnect: "SET x TO 1" }, TypeError, '"onConnect" must be a function, got "SET x TO 1"'],
    [{ verify: true }, TypeError, '"verify" must be a function, got true'],
    [{ host: "no host" }, TypeError, 'got "no host"'],
  ];
  for (const [options, Class, message] of cases) {
    const make = () => new DnsPgPool(pg, { host: "db.internal", port, ...options } as Options);
    assertThrows(make, Class, message);
  }
});

Deno.test("DnsPgPool: numbers may be strings, as they are in the environment; null and 0 mean the same as to pg.Pool", async () => {
  const options = { max: "3", min: "1", idleTimeoutMillis: null, connectionTimeoutMillis: "0" };
  const pool = new DnsPgPool(pg, { host: "db.internal", ...options } as unknown as Options);
  const { engine } = pool as unknown as { engine: import("../../engine.ts").Engine<unknown> };
  assertEquals(engine.status().poolSize, 3);
  await pool.end();
});

Deno.test("DnsPgPool: a value that is not pg is refused", () => {
  for (const module of [undefined, {}, { Client: pg.Client }, { Pool: pg.Pool }]) {
    assertThrows(
      () => new DnsPgPool(module as unknown as typeof pg),
      TypeError,
      'with the classes "Client" and "Pool"',
    );
  }
  class Foreign {
    readonly host = undefined;
  }
  const Client = Foreign as unknown as NonNullable<pg.PoolConfig["Client"]>;
  assertThrows(
    () => new DnsPgPool(pg, { Client }),
    TypeError,
    '"Client" must be the client class of pg',
  );
});

Deno.test("DnsPgPool: warns once for each IP address and socket path, which are not followed", async () => {
  const warnings: string[] = [];
  const listener = (warning: Error & { code?: string }) => {
    if (warning.code === "DNSPOOL_HOST_NOT_FOLLOWED") warnings.push(warning.message);
  };
  process.on("warning", listener);
  const port = REFUSING_PORT;
  const hosts = ["127.0.0.1", "/no/such/dir", "localhost"];
  for (let round = 0; round < 2; round++) {
    for (const host of hosts) {
      const pool = new DnsPgPool(pg, { ...LOGIN, host, port });
      const original = new pg.Pool({ ...LOGIN, host, port });
      const [ours, its] = await Promise.all(
        [pool, original].map((pool) => pool.query("SELECT 1").catch((error) => error.code)),
      );
      assertEquals(ours, its);
      await Promise.all([pool.end(), original.end()]);
    }
  }
  await pause(10);
  process.off("warning", listener);
  assertEquals(warnings, [
    'DnsPgPool does not follow DNS for the host "127.0.0.1", which is an IP address',
    'DnsPgPool does not follow DNS for the host "/no/such/dir", which is a socket path',
  ]);
});

Deno.test("DnsPgPool: options that need an engine are refused if the host is a socket path", () => {
  assertThrows(
    () => new DnsPgPool(pg, { host: "/var/run", targetSessionAttrs: "read-write" }),
    TypeError,
    '"targetSessionAttrs" must not be given: DNS is not followed for a host that is a socket path',
  );
  assertThrows(
    () => new DnsPgPool(pg, { host: "/var/run", poolTimeout: 3 } as Options),
    TypeError,
    '"poolTimeout"',
  );
});

Deno.test("DnsPgPool: the class is created once for a module", () => {
  const [one, other] = [1, 2].map(() => new DnsPgPool(pg, { host: "db.internal" }));
  assertStrictEquals(one!.constructor, other!.constructor);
  assert(one instanceof pg.Pool);
  for (const pool of [one, other]) assert(pool instanceof DnsPgPool);
  const others = [new pg.Pool(), undefined, {}, "pool"] as unknown[];
  for (const pool of others) assert(!(pool instanceof DnsPgPool));
});

Deno.test("DnsPgPool: after a migration, a named statement fails once at most for each client", () =>
  withPgPools(async ({ make }) => {
    const pool = make({ max: 1 });
    await pool.query("CREATE TABLE migrated (name text)");
    const statement = { name: "all", text: "SELECT * FROM migrated" };
    // The holder keeps the error to itself.
    const run = async () => {
      const client = await pool.connect();
      const outcome = await client.query(statement).then(() => "done", ({ message }) => message);
      client.release();
      return outcome;
    };
    assertEquals(await run(), "done");
    await pool.query("ALTER TABLE migrated ADD COLUMN size int");
    assertStringIncludes(await run(), "cached plan");
    assertEquals(await run(), "done");
    await pool.query("DROP TABLE migrated");
  }));

Deno.test("DnsPgPool: a client that is released with an open cursor or an unfinished COPY is closed at once", () =>
  withPgPools(async ({ make }) => {
    const pool = make({ max: 1 });
    const left: Record<string, (client: pg.PoolClient) => unknown> = {
      cursor: (client) => client.query(new Cursor("SELECT generate_series(1, 100)")).read(1),
      COPY: (client) => client.query(new CopyQuery("COPY pg_class FROM STDIN")).begun,
      "COPY that has not begun": (client) => void client.query(new CopyQuery("COPY t FROM STDIN")),
    };
    await pool.query("CREATE TABLE t (id int)");
    for (const [name, leave] of Object.entries(left)) {
      const client = await pool.connect();
      const id = await pid(client);
      await soon(Promise.resolve(leave(client)));
      client.release();
      const { rows } = await soon(pool.query("SELECT pg_backend_pid() AS pid, 7 AS n"));
      assertEquals([rows[0].n, rows[0].pid !== id], [7, true], name);
    }
    await pool.query("DROP TABLE t");
  }));

Deno.test("DnsPgPool: a client that is released while a query runs is handed out after its end, or closed after connectionTimeoutMillis", () =>
  withPgPools(async ({ make }) => {
    const pool = make({ max: 2, connectionTimeoutMillis: 500 });
    const [client, other] = [await pool.connect(), await pool.connect()];
    other.release();
    const id = await pid(client);
    const sleeping = client.query("SELECT pg_sleep(30)").catch((error: Error) => error);
    client.release();
    for (let n = 0; n < 5; n++) {
      assertEquals((await soon(pool.query(`SELECT ${n} AS n`))).rows, [{ n }]);
    }
    assert(await soon(sleeping) instanceof Error);
    await until(() => pool.totalCount === 1);
    assert(await pid(other) !== id);
  }));

Deno.test("DnsPgPool: a client whose session a FATAL error of any SQLSTATE ended is not handed out again", () =>
  withPgPools(async ({ make }) => {
    const pool = make({ max: 1 });
    const engine = pool.engine as Engine<unknown>;
    for (let each = 0; each < 5; each++) {
      const client = await pool.connect();
      await client.query("SET transaction_timeout = 30");
      await client.query("BEGIN");
      const error = await assertRejects(() => client.query("SELECT pg_sleep(5)"), pg.DatabaseError);
      assertEquals([error.severity, error.code], ["FATAL", "25P04"]);
      assert(engine.isDisconnect(error));
      client.release();
      assertEquals((await soon(pool.query("SELECT 1 AS one"))).rows, [{ one: 1 }]);
    }
  }));

Deno.test('DnsPgPool: poolResetOnReturn "reset" makes the session like a new one, and calls onConnect again', () =>
  withPgPools(async ({ make }) => {
    const connects: unknown[] = [];
    const onConnect = (client: pg.ClientBase) => client.query("SET lock_timeout = 1234");
    const pool = make({ max: 1, poolResetOnReturn: "reset", onConnect } as Partial<Options>);
    pool.on("connect", (client) => connects.push(client));
    const client = await pool.connect();
    await client.query("SET search_path = elsewhere; SET lock_timeout = 1; LISTEN news");
    await client.query({ name: "mine", text: "SELECT 1" });
    await client.query("BEGIN");
    client.release();
    const again = await soon(pool.connect());
    assertStrictEquals(again, client);
    const { rows: [row] } = await again.query(
      "SELECT current_setting('search_path') AS path, current_setting('lock_timeout') AS timeout, now() = statement_timestamp() AS own, (SELECT count(*)::int FROM pg_listening_channels()) AS channels",
    );
    assertEquals({ ...row }, {
      path: '"$user", public',
      timeout: "1234ms",
      own: true,
      channels: 0,
    });
    assertEquals((await again.query({ name: "mine", text: "SELECT 2 AS n" })).rows, [{ n: 2 }]);
    again.release();
    await until(() => pool.idleCount === 1);
    assertEquals(connects.length, 1);
  }));

Deno.test("DnsPgPool: a client that is held for longer than leaseTimeout is terminated, and another one handed out", () =>
  withPgPools(async ({ make }) => {
    const logger = { debug() {}, info() {}, warn() {} };
    const pool = make({ max: 1, leaseTimeout: 0.5, logger } as Partial<Options>);
    const client = await pool.connect();
    const query = client.query("SELECT pg_sleep(30)").then(() => undefined, (error) => error);
    const { rows: [row] } = await soon(pool.query("SELECT 1 AS n"));
    assertEquals(row.n, 1);
    assertEquals((await soon(query)).code, "LEASE_TIMEOUT");
    client.release();
    assertEquals((await pool.query("SELECT 2 AS n")).rows[0].n, 2);
  }));
