/**
 * The behavior of `DnsMysql2Pool` that mysql2's pools do not have, on real MariaDB servers.
 */

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import process from "node:process";
import { inspect } from "node:util";
import mysqlOfCallbacks from "npm:mysql2@^3.24";
import mysql from "npm:mysql2@^3.24/promise";
import {
  DnsMysql2Pool,
  type DnsMysql2PoolExtras,
  type DnsMysql2PoolOptions,
} from "../../drop_in/mysql2_pool.ts";
import { ConnectError, ConnectionLostError, PoolTimeoutError, ResolveError } from "../../errors.ts";
import { clearDnsCache } from "../../resolver.ts";
import { freePort } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
import { type Setup, withPools } from "../support/drop_in_setup.ts";
import { REFUSING_PORT } from "../support/sockets.ts";
import { type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { administer, LOGIN, mariadbPair, where } from "../support/drop_in_mariadb.ts";
import { runProgram } from "../support/program.ts";
import { mariadbTest } from "../support/servers.ts";
import { pause, soon, until } from "../support/waiting.ts";

const pair = mariadbPair();

type Options = DnsMysql2PoolOptions<typeof mysql>;
type Pool = mysql.Pool & DnsMysql2PoolExtras;

/** Runs a test with pools for a name that points at the first server. */
function withMysql2Pools(test: (setup: Setup<Pool, Options>) => Promise<void>): Promise<void> {
  const { host, port } = pair.first;
  return withPools(host, {
    open: (options) =>
      new DnsMysql2Pool(mysql, { ...LOGIN, host: "db.internal", port, ...options }),
    end: (pool) => pool.end(),
  }, test);
}

const counts = ({ engine }: Pool) => {
  const { inUse, idle } = engine!.pool.counts;
  return [inUse, idle];
};

/** Moves the record, and waits until the pool knows. */
async function moveTo(host: string, dns: FakeLookup, { engine }: Pool): Promise<void> {
  dns.addresses = [host];
  await until(() => engine!.status().answer.addresses[0] === host);
}

/** Calls `getConnection()` several times at once, and releases each connection at once; returns what became of each. */
function outcomes(pool: Pool, callers: number): Promise<string[]> {
  const call = () =>
    pool.getConnection().then((connection) => {
      connection.release();
      return "served";
    }, ({ message }: Error) => message);
  return Promise.all(Array.from({ length: callers }, call));
}

mariadbTest(
  "DnsMysql2Pool: when the record moves, idle connections are closed, those in use when they are released",
  () =>
    withMysql2Pools(async ({ dns, make }) => {
      const pool = make({ connectionLimit: 2 });
      const [used, idle] = await Promise.all([pool.getConnection(), pool.getConnection()]);
      idle.release();
      dns.addresses = [pair.second.host];
      await until(() => counts(pool)[1] === 0);
      assertEquals(await where(used), pair.first.host);
      // It does not count toward the limit.
      const others = await Promise.all([pool.getConnection(), pool.getConnection()]);
      for (const other of others) assertEquals(await where(other), pair.second.host);
      used.release();
      for (const other of others) other.release();
      await until(() => String(counts(pool)) === "0,2");
      assertEquals(await where(pool), pair.second.host);
    }),
);

mariadbTest(
  "DnsMysql2Pool: departed connections do not count for waitForConnections and queueLimit",
  () =>
    withMysql2Pools(async ({ dns, make }) => {
      const pools = [
        make({ connectionLimit: 1, waitForConnections: false }),
        make({ connectionLimit: 1, queueLimit: 1 }),
      ];
      for (const pool of pools) {
        dns.addresses = [pair.first.host];
        await until(async () => await where(pool) === pair.first.host);
        const out = await pool.getConnection();
        dns.addresses = [pair.second.host];
        await until(() => pool.engine!.status().answer.addresses[0] === pair.second.host);
        assertEquals(await where(pool), pair.second.host);
        out.release();
      }
    }),
);

mariadbTest(
  "DnsMysql2Pool: connections to an address that lingers count for waitForConnections and queueLimit",
  async () => {
    const base = { connectionLimit: 1, dnsAddressLinger: 60, poolTimeout: 10 };
    await withMysql2Pools(async ({ dns, make }) => {
      const pool = make({ ...base, waitForConnections: false });
      const out = await pool.getConnection();
      await moveTo(pair.second.host, dns, pool);
      assertEquals(await outcomes(pool, 1), ["No connections available."]);
      out.release();
    });
    await withMysql2Pools(async ({ dns, make }) => {
      const pool = make({ ...base, queueLimit: 1 });
      const out = await pool.getConnection();
      await moveTo(pair.second.host, dns, pool);
      const results = outcomes(pool, 2);
      out.release();
      assertEquals(await results, ["served", "Queue limit reached."]);
    });
  },
);

mariadbTest(
  "DnsMysql2Pool: a connection whose address departed and came back counts again for waitForConnections",
  () =>
    withMysql2Pools(async ({ dns, make }) => {
      const pool = make({ connectionLimit: 1, waitForConnections: false });
      const out = await pool.getConnection();
      await moveTo(pair.second.host, dns, pool);
      await moveTo(pair.first.host, dns, pool);
      assertEquals(await outcomes(pool, 1), ["No connections available."]);
      out.release();
      assertEquals(await outcomes(pool, 1), ["served"]);
    }),
);

mariadbTest(
  "DnsMysql2Pool: beside departed connections the pool is full once connectionLimit others are open or to be opened",
  async () => {
    const base = { connectionLimit: 2, connectConcurrency: 1, poolTimeout: 10 };
    const cases: [Options, string[]][] = [
      [{ waitForConnections: false }, ["served", "served", "No connections available."]],
      [{ queueLimit: 1 }, ["served", "served", "served", "Queue limit reached."]],
    ];
    for (const [options, expected] of cases) {
      await withMysql2Pools(async ({ dns, make }) => {
        const pool = make({ ...base, ...options });
        const out = await Promise.all([pool.getConnection(), pool.getConnection()]);
        await moveTo(pair.second.host, dns, pool);
        assertEquals(await outcomes(pool, expected.length), expected);
        for (const connection of out) connection.release();
      });
    }
  },
);

mariadbTest(
  "DnsMysql2Pool: after a read-only error that the caller catches, the connection is not handed out again, and DNS is asked at once",
  () =>
    withMysql2Pools(async ({ dns, make }) => {
      dns.ttl = 300;
      clearDnsCache();
      const pool = make({ connectionLimit: 1 });
      await pool.query("CREATE TABLE IF NOT EXISTS things (n int)");
      await administer(pair.first, "SET GLOBAL read_only = ON");
      try {
        await pause(1000); // DNS is asked at most once a second
        const asked = dns.questions.length;
        dns.addresses = [pair.second.host];
        const connection = await pool.getConnection();
        const error = await assertRejects(() => connection.query("INSERT INTO things VALUES (1)"));
        assertEquals((error as Error & { errno: number }).errno, 1290);
        await until(() => dns.questions.length > asked);
        assertEquals(dns.questions.length, asked + 1);
        connection.release();
        assertEquals(await where(pool), pair.second.host);
      } finally {
        await administer(pair.first, "SET GLOBAL read_only = OFF");
      }
    }),
);

mariadbTest(
  "DnsMysql2Pool: a connection that met a read-only error is replaced, and kept if the transaction was read-only by itself",
  () =>
    withMysql2Pools(async ({ make }) => {
      const pool = make({ connectionLimit: 1 });
      await pool.query("CREATE TABLE IF NOT EXISTS things (n int)");
      const threadAfter = async (begin: string) => {
        const connection = await pool.getConnection();
        const { threadId } = connection;
        await connection.query(begin);
        await assertRejects(() => connection.query("INSERT INTO things VALUES (1)"));
        await connection.query("ROLLBACK");
        connection.release();
        const next = await pool.getConnection();
        next.release();
        return next.threadId === threadId ? "kept" : "replaced";
      };
      assertEquals(await threadAfter("START TRANSACTION READ ONLY"), "kept");
      await administer(pair.first, "SET GLOBAL read_only = ON");
      try {
        assertEquals(await threadAfter("START TRANSACTION"), "replaced");
      } finally {
        await administer(pair.first, "SET GLOBAL read_only = OFF");
      }
    }),
);

mariadbTest(
  "DnsMysql2Pool: errors of connections without a listener do not end the process, idle or in use",
  async () => {
    for (const module of ["mysql2", "mysql2/promise"]) {
      const { code, out, err } = await runProgram(`
      import mysql from "npm:${module.replace("mysql2", "mysql2@^3.24")}";
      import admins from "npm:mysql2@^3.24/promise";
      import { DnsMysql2Pool } from "root/drop_in/mysql2_pool.ts";
      const lookup = { name: "table", lookup: () => Promise.resolve({ addresses: ["${pair.first.host}"], ttl: 60 }) };
      const options = { ...${JSON.stringify(LOGIN)}, port: ${pair.first.port}, dnsLookup: lookup };
      for (const host of ["db.internal", "${pair.first.host}"]) {
        const made = new DnsMysql2Pool(mysql, { ...options, host });
        const pool = made.promise ? made.promise() : made;
        const [used, idle] = await Promise.all([pool.getConnection(), pool.getConnection()]);
        const ids = [used, idle].map((one) => one.threadId);
        const closed = [used, idle].map(({ connection: { stream } }) =>
          new Promise((resolve) => stream.once("close", resolve))
        );
        idle.release();
        const admin = await admins.createConnection("${pair.first.adminUrl()}");
        for (const id of ids) await admin.query("KILL " + id);
        await admin.end();
        await Promise.all(closed);
        await new Promise((resolve) => setTimeout(resolve, 1));
        const { inUse, idle: free } = made.engine.pool.counts;
        console.log(inUse, free);
        used.release();
        console.log((await pool.query("SELECT 1 AS one"))[0][0].one);
        await pool.end();
      }
    `);
      assertEquals([code, out], [0, "0 0\n1\n0 0\n1"], err);
    }
  },
);

mariadbTest(
  "DnsMysql2Pool: poolTimeout limits the wait for a server that restarts; without it, getConnection() rejects at once",
  () =>
    withMysql2Pools(async ({ make }) => {
      const port = await freePort([pair.first.host]);
      await using server = await startMariadb({ ...LOGIN, host: pair.first.host, port });
      const retrying = make({ port, poolTimeout: 30 });
      const failing = make({ port });
      for (const pool of [retrying, failing]) assertEquals(await where(pool), pair.first.host);
      await server.kill();
      await until(() => String([counts(retrying), counts(failing)]) === "0,0,0,0");
      const result = where(retrying);
      const error = await assertRejects(() => where(failing)) as Error & { code: string };
      assertEquals(error.code, "ECONNREFUSED");
      await server.start();
      assertEquals(await result, pair.first.host);
      for (const pool of [retrying, failing]) await pool.end();
    }),
);

mariadbTest(
  "DnsMysql2Pool: poolTimeout limits the wait for a connection that is in use",
  () =>
    withMysql2Pools(async ({ make }) => {
      const pool = make({ connectionLimit: 1, poolTimeout: 0.2 });
      // Open before the test, because the timeout may be too short for that on a slow machine.
      await until(() => where(pool).then(() => true, () => false));
      const connection = await pool.getConnection();
      await assertRejects(() => soon(pool.getConnection()), PoolTimeoutError);
      connection.release();
      assertEquals(await where(pool), pair.first.host);
    }),
);

mariadbTest(
  "DnsMysql2Pool: poolTimeout limits the wait for a server with the role of targetSessionAttrs",
  () =>
    withMysql2Pools(async ({ make }) => {
      const pool = make({ targetSessionAttrs: "read-only", poolTimeout: 1 });
      // On a slow machine the timeout may end a probe. The error is then that of the timeout, and the test tries again.
      await until(async () => {
        const error = await assertRejects(() => soon(pool.getConnection()), Error);
        return error instanceof ConnectError && error.message.includes('"read-only" is wanted');
      });
      assertEquals(await where(make({ targetSessionAttrs: "read-write" })), pair.first.host);
    }),
);

mariadbTest(
  "DnsMysql2Pool: connectTimeout ends an attempt on a server that does not answer, with mysql2's error",
  async () => {
    const port = await freePort([pair.first.host]);
    await using frozen = await startMariadb({ ...LOGIN, host: pair.first.host, port });
    await withMysql2Pools(async ({ make }) => {
      await frozen.freeze();
      const error = await assertRejects(() => make({ port, connectTimeout: 300 }).getConnection());
      const { message, code, syscall } = error as Error & { code: string; syscall: string };
      assertEquals([message, code, syscall], ["connect ETIMEDOUT", "ETIMEDOUT", "connect"]);
      await frozen.thaw();
    });
  },
);

mariadbTest(
  "DnsMysql2Pool: a name that cannot be resolved rejects with an error like that of node:dns",
  () =>
    withMysql2Pools(async ({ dns, make }) => {
      const cases = [["negative", "ENOTFOUND"], ["transient", "EAI_AGAIN"]] as const;
      for (const [failure, code] of cases) {
        dns.failure = failure;
        clearDnsCache();
        const error = await assertRejects(() => make({ dnsMaxRetries: 1 }).query("SELECT 1"));
        const { hostname, code: actual } = error as Error & { code: string; hostname: string };
        assertEquals([actual, hostname], [code, "db.internal"]);
        assert((error as Error).cause instanceof ResolveError);
      }
    }),
);

mariadbTest(
  "DnsMysql2Pool: connections in use on a departed server that no longer answers are terminated",
  async () => {
    const port = await freePort([pair.first.host, pair.second.host]);
    await using frozen = await startMariadb({ ...LOGIN, host: pair.first.host, port });
    await using other = await startMariadb({ ...LOGIN, host: pair.second.host, port });
    await withMysql2Pools(async ({ dns, make }) => {
      const pool = make({ port, connectionLimit: 1, probeTimeout: 0.5 });
      assertEquals(await where(pool), frozen.host);
      await frozen.freeze();
      const stuck = assertRejects(() => pool.query("SELECT 1"), ConnectionLostError);
      dns.addresses = [other.host];
      assertEquals(await soon(where(pool)), other.host);
      await soon(stuck);
      await frozen.thaw();
      await pool.end();
    });
  },
);

mariadbTest(
  "DnsMysql2Pool: an error that a callback throws is uncaught, as with mysql2's own pool",
  async () => {
    for (const pool of ["mysql.createPool(options)", "new DnsMysql2Pool(mysql, options)"]) {
      const { code, out, err } = await runProgram(`
      import process from "node:process";
      import mysql from "npm:mysql2@^3.24";
      import { DnsMysql2Pool } from "root/drop_in/mysql2_pool.ts";
      const options = { ...${
        JSON.stringify(LOGIN)
      }, host: "${pair.first.host}", port: ${pair.first.port} };
      const thrown = new Promise((resolve) =>
        process.on("uncaughtException", (error, origin) => resolve([origin, error.message]))
      );
      const pool = ${pool};
      await pool.promise().query("SELECT 1");
      pool.getConnection((error, connection) => {
        connection.release();
        throw new Error("thrown by a callback");
      });
      console.log(...await thrown);
      console.log((await pool.promise().query("SELECT 1 AS one"))[0][0].one);
      await pool.promise().end();
    `);
      assertEquals([code, out], [0, "uncaughtException thrown by a callback\n1"], pool + err);
    }
  },
);

mariadbTest(
  "DnsMysql2Pool: end() ends right after getConnection(), and while a connection is being reset",
  () =>
    withMysql2Pools(async ({ make }) => {
      const pool = make({ resetOnRelease: true });
      const connection = await pool.getConnection();
      connection.release();
      await until(() => String(counts(pool)) === "0,1");
      const [one, other] = [pool.getConnection(), pool.getConnection()];
      const closed = [one, other].map((each) =>
        assertRejects(() => each, Error, "Pool is closed.")
      );
      await Promise.all([pool.end(), pool.end(), ...closed]);
      const last = make({ resetOnRelease: true });
      (await last.getConnection()).release();
      await last.end();
    }),
);

mariadbTest(
  "DnsMysql2Pool: engine gives status and events, for pools with promises and with callbacks",
  () =>
    withMysql2Pools(async ({ dns, make }) => {
      const pool = make();
      const changes: unknown[] = [];
      pool.engine!.addEventListener(
        "addresschange",
        ({ detail }) => changes.push(detail.addresses),
      );
      await pool.query("SELECT 1");
      const core = pool.pool as unknown as Pool;
      assertStrictEquals(core.engine, pool.engine);
      assert(core instanceof DnsMysql2Pool);
      dns.addresses = [pair.second.host];
      await until(() => changes.length === 1);
      assertEquals(changes, [[pair.second.host]]);
    }),
);

mariadbTest(
  "DnsMysql2Pool: the password is not visible in the engine or in errors",
  () =>
    withMysql2Pools(async ({ make }) => {
      const { password } = LOGIN;
      const pool = make({ user: "nobody" });
      const error = await assertRejects(() => pool.getConnection());
      assert(!inspect(error, { depth: 9 }).includes(password));
      assert(!inspect(pool.engine, { depth: 9 }).includes(password));
    }),
);

Deno.test("DnsMysql2Pool: options that cannot be used are refused by name", () => {
  const cases: [object, typeof TypeError | typeof RangeError, string][] = [
    [{ stream: () => {} }, TypeError, '"stream" must not be given: it would bypass DNS'],
    [{ poolSize: 3 }, TypeError, '"poolSize" must not be given: use "connectionLimit" of mysql2'],
    [{ maxOverflow: 3 }, TypeError, 'it is part of "connectionLimit" of mysql2'],
    [{ minIdle: 3 }, TypeError, '"minIdle"'],
    [{ maxUses: 3 }, TypeError, '"maxUses"'],
    [{ dnsNameserver: ["10.0.0.2"] }, TypeError, 'did you mean "dnsNameservers"?'],
    [{ dnsTimeout: 12_000 }, RangeError, "did you mean 12?"],
    [{ poolTimeout: 12_000 }, RangeError, "did you mean 12?"],
    [{ targetSessionAttrs: "write" }, TypeError, '"targetSessionAttrs" must be one of'],
    [
      { connectionLimit: -1 },
      RangeError,
      '"connectionLimit" must be a number of connections, at least 0',
    ],
    [{ connectionLimit: "many" }, TypeError, 'got "many"'],
    [{ maxIdle: -1 }, RangeError, '"maxIdle"'],
    [{ idleTimeout: "long" }, TypeError, '"idleTimeout"'],
    [{ queueLimit: -2 }, RangeError, '"queueLimit"'],
    [{ connectTimeout: "soon" }, TypeError, '"connectTimeout"'],
    [{ host: "no host" }, TypeError, 'got "no host"'],
    [
      { uri: "mysql://db.internal/orders?dnsTimeout=3" },
      TypeError,
      '"dnsTimeout in the URI" must not be given',
    ],
    [
      { uri: "mysql://db.internal/orders?poolTimeout=3" },
      TypeError,
      '"poolTimeout in the URI" must not be given',
    ],
  ];
  for (const module of [mysql, mysqlOfCallbacks]) {
    for (const [options, Class, message] of cases) {
      const make = () => new DnsMysql2Pool(module, { host: "db.internal", ...options } as Options);
      assertThrows(make, Class, message);
    }
  }
});

Deno.test("DnsMysql2Pool: a value that is not mysql2 is refused", () => {
  const modules = [undefined, {}, { createPool() {} }, { createConnection() {} }];
  for (const module of modules) {
    assertThrows(
      () => new DnsMysql2Pool(module as unknown as typeof mysql, {}),
      TypeError,
      'with the functions "createPool" and "createConnection"',
    );
  }
  const foreign = {
    createPool: () => ({}),
    createConnection: () => ({}),
  } as unknown as typeof mysql;
  assertThrows(
    () => new DnsMysql2Pool(foreign, {}),
    TypeError,
    '"mysql2" must be mysql2 3.14 or later',
  );
});

Deno.test("DnsMysql2Pool: the caller's options are not changed, and dnspool's are not passed to mysql2", async () => {
  const { error } = console;
  const lines: unknown[] = [];
  console.error = (line: unknown) => lines.push(line);
  try {
    const options = { uri: "mysql://app:pw@db.internal/orders", poolTimeout: 3, dnsTimeout: 2 };
    const copy = { ...options };
    await new DnsMysql2Pool(mysql, options).end();
    assertEquals(options, copy);
    await new DnsMysql2Pool(mysql, options.uri).end();
    const nothing = { uri: options.uri, poolTimeout: undefined, dnsTimeout: undefined };
    await new DnsMysql2Pool(mysql, nothing as unknown as Options).end();
  } finally {
    console.error = error;
  }
  assertEquals(lines, []);
});

Deno.test("DnsMysql2Pool: the class is created once for a module, and instanceof works", async () => {
  const pools = [1, 2].map(() => new DnsMysql2Pool(mysqlOfCallbacks, { host: "db.internal" }));
  assertStrictEquals(pools[0]!.constructor, pools[1]!.constructor);
  for (const pool of pools) {
    assert(pool instanceof DnsMysql2Pool);
    await pool.promise().end();
  }
  const own = mysqlOfCallbacks.createPool({ host: "db.internal" });
  for (const other of [own, undefined, {}, "pool"] as unknown[]) {
    assert(!(other instanceof DnsMysql2Pool));
  }
  await own.promise().end();
});

Deno.test("DnsMysql2Pool: warns once for each IP address and socket path, which are not followed", async () => {
  const warnings: string[] = [];
  const listener = (warning: Error & { code?: string }) => {
    if (warning.code === "DNSPOOL_HOST_NOT_FOLLOWED") warnings.push(warning.message);
  };
  process.on("warning", listener);
  const port = REFUSING_PORT;
  const places = [
    { host: "127.0.0.1" },
    { socketPath: "/no/such/socket" },
    { host: "localhost" },
  ];
  for (let round = 0; round < 2; round++) {
    for (const place of places) {
      const pools = [
        new DnsMysql2Pool(mysql, { ...place, port }),
        mysql.createPool({ ...place, port }),
      ];
      const [ours, its] = await Promise.all(
        pools.map((pool) => pool.query("SELECT 1").catch((error) => error.code)),
      );
      assertEquals(ours, its);
      for (const pool of pools) await pool.end();
    }
  }
  await pause(10);
  process.off("warning", listener);
  assertEquals(warnings, [
    'DnsMysql2Pool does not follow DNS for the host "127.0.0.1", which is an IP address',
    'DnsMysql2Pool does not follow DNS for the host "/no/such/socket", which is a socket path',
  ]);
});

mariadbTest("DnsMysql2Pool.end(), leaseProbeAfter: ends on a frozen server", async () => {
  const { host } = pair.first;
  const port = await freePort([host]);
  await using server = await startMariadb({ ...LOGIN, host, port });
  const pool = new DnsMysql2Pool(mysql, {
    ...LOGIN,
    host: "db.internal",
    port,
    dnsLookup: fakeLookup([host], 60),
    dnsFallback: false,
    leaseProbeAfter: 0.2,
    probeTimeout: 0.2,
  });
  const connection = await pool.getConnection();
  await server.freeze();
  const query = assertRejects(() => connection.query("SELECT 1"), ConnectionLostError);
  await soon(pool.end());
  await soon(query);
});

mariadbTest(
  "DnsMysql2Pool: a connection that is held for longer than leaseTimeout is terminated, and another one handed out",
  () =>
    withMysql2Pools(async ({ make }) => {
      const logger = { debug() {}, info() {}, warn() {} };
      const pool = make({ connectionLimit: 1, leaseTimeout: 0.5, logger });
      const connection = await pool.getConnection();
      const query = connection.query("SELECT SLEEP(30)").then(() => undefined, (error) => error);
      const [rows] = await soon(pool.query("SELECT 1 AS n"));
      assertEquals(rows, [{ n: 1 }] as typeof rows);
      assertEquals((await soon(query)).code, "LEASE_TIMEOUT");
      connection.release();
      await soon(pool.query("SELECT 2"));
    }),
);

Deno.test("DnsMysql2Pool: options that need an engine are refused if the host is a socket path", () => {
  const options: Record<string, unknown>[] = [
    { targetSessionAttrs: "read-write" },
    { poolTimeout: 3 },
    { poolRecycle: 60 },
  ];
  for (const option of options) {
    assertThrows(
      () => new DnsMysql2Pool(mysql, { socketPath: "/var/run/mysqld.sock", ...option } as Options),
      TypeError,
      `"${
        Object.keys(option)[0]
      }" must not be given: DNS is not followed for a host that is a socket path`,
    );
  }
});

mariadbTest(
  'DnsMysql2Pool: poolResetOnReturn "reset" makes the session like a new one',
  () =>
    withMysql2Pools(async ({ make }) => {
      const pool = make({ connectionLimit: 1, poolResetOnReturn: "reset" });
      const connection = await pool.getConnection();
      const ask = async () => {
        const [rows] = await pool.query(
          "SELECT @mine AS mine, @@time_zone AS zone, DATABASE() AS name, CONNECTION_ID() AS id",
        );
        return { ...(rows as object[])[0] } as Record<string, unknown>;
      };
      const [[{ id }]] = await connection.query("SELECT CONNECTION_ID() AS id") as unknown as [
        [{ id: number }],
      ];
      await connection.query("SET @mine = 7");
      await connection.query("SET time_zone = '+05:00'");
      await connection.query("USE information_schema");
      await connection.execute("SELECT ?", [1]);
      await connection.query("BEGIN");
      connection.release();
      assertEquals(await ask(), { mine: null, zone: "SYSTEM", name: LOGIN.database, id });
      const again = await pool.getConnection();
      await again.execute("SELECT ?", [1]);
      again.release();
    }),
);

mariadbTest(
  'DnsMysql2Pool: poolResetOnReturn "rollback" rolls back, and puts autocommit back',
  () =>
    withMysql2Pools(async ({ make }) => {
      const pool = make({ connectionLimit: 1, poolResetOnReturn: "rollback" });
      await pool.query("CREATE TABLE IF NOT EXISTS left_open (n int)");
      const connection = await pool.getConnection();
      await connection.query("SET autocommit = 0");
      await connection.query("INSERT INTO left_open VALUES (1)");
      connection.release();
      await pool.query("INSERT INTO left_open VALUES (2)");
      const other = make();
      const [rows] = await other.query("SELECT n FROM left_open");
      assertEquals((rows as { n: number }[]).map(({ n }) => n), [2]);
      await pool.query("DROP TABLE left_open");
    }),
);

mariadbTest(
  "DnsMysql2Pool: a connection that is released with a result that is not read is closed at once",
  () =>
    withMysql2Pools(async ({ make }) => {
      const pool = make({ connectionLimit: 1 });
      const connection = await pool.getConnection();
      const { connection: core } = connection as unknown as {
        connection: { query(text: string): { stream(): NodeJS.ReadableStream } };
      };
      const stream = core.query("SELECT REPEAT('x', 1000) FROM seq_1_to_50000").stream();
      stream.on("error", () => {});
      await new Promise((resolve) => stream.once("readable", resolve));
      await pause(20);
      connection.release();
      const [rows] = await soon(pool.query("SELECT 7 AS n"));
      assertEquals((rows as { n: number }[]).map(({ n }) => n), [7]);
    }),
);
