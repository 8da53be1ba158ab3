/**
 * What `DnsMysql2Pool` does that mysql2's pools do not, on real MariaDB servers.
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
import { type Lab, withName } from "../support/drop_in_lab.ts";
import type { FakeLookup } from "../support/fake_lookup.ts";
import { administer, mariadbPair, where, WHO } from "../support/drop_in_mariadb.ts";
import { runProgram } from "../support/program.ts";
import { mariadbTest } from "../support/servers.ts";
import { pause, until } from "../support/waiting.ts";

const pair = mariadbPair();

type Options = DnsMysql2PoolOptions<typeof mysql>;
type Pool = mysql.Pool & DnsMysql2PoolExtras;

/** Pools for a name that points at the first server. */
function lab(test: (lab: Lab<Pool, Options>) => Promise<void>): Promise<void> {
  const { host, port } = pair.first;
  return withName(host, {
    open: (options) => new DnsMysql2Pool(mysql, { ...WHO, host: "db.internal", port, ...options }),
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

/** What becomes of callers who come in the same moment; those who are served give back at once. */
function outcomes(pool: Pool, callers: number): Promise<string[]> {
  const call = () =>
    pool.getConnection().then((connection) => {
      connection.release();
      return "served";
    }, ({ message }: Error) => message);
  return Promise.all(Array.from({ length: callers }, call));
}

mariadbTest(
  "when the record moves, idle connections are closed, those that are out when they are released",
  () =>
    lab(async ({ dns, make }) => {
      const pool = make({ connectionLimit: 2 });
      const [out, idle] = await Promise.all([pool.getConnection(), pool.getConnection()]);
      idle.release();
      dns.addresses = [pair.second.host];
      await until(() => counts(pool)[1] === 0);
      assertEquals(await where(out), pair.first.host);
      // It does not count against the limit.
      const others = await Promise.all([pool.getConnection(), pool.getConnection()]);
      for (const other of others) assertEquals(await where(other), pair.second.host);
      out.release();
      for (const other of others) other.release();
      await until(() => String(counts(pool)) === "0,2");
      assertEquals(await where(pool), pair.second.host);
    }),
);

mariadbTest(
  "the connections that departed do not make the pool full to waitForConnections and queueLimit",
  () =>
    lab(async ({ dns, make }) => {
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
  "connections on an address that lingers make the pool full to waitForConnections and queueLimit",
  async () => {
    const base = { connectionLimit: 1, dnsAddressLinger: 60, poolTimeout: 2 };
    await lab(async ({ dns, make }) => {
      const pool = make({ ...base, waitForConnections: false });
      const out = await pool.getConnection();
      await moveTo(pair.second.host, dns, pool);
      assertEquals(await outcomes(pool, 1), ["No connections available."]);
      out.release();
    });
    await lab(async ({ dns, make }) => {
      const pool = make({ ...base, queueLimit: 1 });
      const out = await pool.getConnection();
      await moveTo(pair.second.host, dns, pool);
      const said = outcomes(pool, 2);
      out.release();
      assertEquals(await said, ["served", "Queue limit reached."]);
    });
  },
);

mariadbTest(
  "a connection whose address departed and came back does not make the pool full",
  () =>
    lab(async ({ dns, make }) => {
      const pool = make({ connectionLimit: 1, waitForConnections: false });
      const out = await pool.getConnection();
      await moveTo(pair.second.host, dns, pool);
      await moveTo(pair.first.host, dns, pool);
      assertEquals(await outcomes(pool, 2), ["served", "No connections available."]);
      out.release();
    }),
);

mariadbTest(
  "beside connections that departed, the pool is full once it opens as many as it may, though not all at once",
  async () => {
    const base = { connectionLimit: 2, connectConcurrency: 1, poolTimeout: 2 };
    const cases: [Options, string[]][] = [
      [{ waitForConnections: false }, ["served", "served", "No connections available."]],
      [{ queueLimit: 1 }, ["served", "served", "served", "Queue limit reached."]],
    ];
    for (const [options, expected] of cases) {
      await lab(async ({ dns, make }) => {
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
  "a read-only error that only the holder sees: the connection is not handed out again, and DNS is asked at once",
  () =>
    lab(async ({ dns, make }) => {
      dns.ttl = 300;
      clearDnsCache();
      const pool = make({ connectionLimit: 1 });
      await pool.query("CREATE TABLE IF NOT EXISTS things (n int)");
      await administer(pair.first, "SET GLOBAL read_only = ON");
      try {
        await pause(1000); // DNS is asked once a second at most
        const asked = dns.questions.length;
        dns.addresses = [pair.second.host];
        const connection = await pool.getConnection();
        const error = await assertRejects(() => connection.query("INSERT INTO things VALUES (1)"));
        assertEquals((error as Error & { errno: number }).errno, 1290);
        await pause(20);
        assertEquals(dns.questions.length, asked + 1);
        connection.release();
        assertEquals(await where(pool), pair.second.host);
      } finally {
        await administer(pair.first, "SET GLOBAL read_only = OFF");
      }
    }),
);

mariadbTest(
  "a server that is read-only and stays the name's: each connection that met it is replaced",
  () =>
    lab(async ({ make }) => {
      const pool = make({ connectionLimit: 1 });
      await pool.query("CREATE TABLE IF NOT EXISTS things (n int)");
      const connection = await pool.getConnection();
      const { threadId } = connection;
      await connection.query("START TRANSACTION READ ONLY");
      await assertRejects(() => connection.query("INSERT INTO things VALUES (1)"));
      await connection.query("ROLLBACK");
      connection.release();
      const next = await pool.getConnection();
      assert(next.threadId !== threadId);
      next.release();
    }),
);

mariadbTest(
  "sessions that are killed, idle and out, with nobody listening, do not end the process",
  async () => {
    for (const module of ["mysql2", "mysql2/promise"]) {
      const { code, out, err } = await runProgram(`
      import mysql from "npm:${module.replace("mysql2", "mysql2@^3.24")}";
      import admins from "npm:mysql2@^3.24/promise";
      import { DnsMysql2Pool } from "root/drop_in/mysql2_pool.ts";
      const lookup = { name: "table", lookup: () => Promise.resolve({ addresses: ["${pair.first.host}"], ttl: 60 }) };
      const options = { ...${JSON.stringify(WHO)}, port: ${pair.first.port}, dnsLookup: lookup };
      for (const host of ["db.internal", "${pair.first.host}"]) {
        const made = new DnsMysql2Pool(mysql, { ...options, host });
        const pool = made.promise ? made.promise() : made;
        const [out, idle] = await Promise.all([pool.getConnection(), pool.getConnection()]);
        const ids = [out, idle].map((one) => one.threadId);
        idle.release();
        const admin = await admins.createConnection("${pair.first.adminUrl()}");
        for (const id of ids) await admin.query("KILL " + id);
        await admin.end();
        await new Promise((resolve) => setTimeout(resolve, 100));
        const { inUse, idle: free } = made.engine.pool.counts;
        console.log(inUse, free);
        out.release();
        console.log((await pool.query("SELECT 1 AS one"))[0][0].one);
        await pool.end();
      }
    `);
      assertEquals([code, out], [0, "0 0\n1\n0 0\n1"], err);
    }
  },
);

mariadbTest(
  "a server that restarts is waited for as long as poolTimeout says, and not without it",
  () =>
    lab(async ({ make }) => {
      const port = await freePort([pair.first.host]);
      await using server = await startMariadb({ ...WHO, host: pair.first.host, port });
      const patient = make({ port, poolTimeout: 15 });
      const hasty = make({ port });
      for (const pool of [patient, hasty]) assertEquals(await where(pool), pair.first.host);
      await server.kill();
      await until(() => String([counts(patient), counts(hasty)]) === "0,0,0,0");
      const waiting = where(patient);
      const error = await assertRejects(() => where(hasty)) as Error & { code: string };
      assertEquals(error.code, "ECONNREFUSED");
      await server.start();
      assertEquals(await waiting, pair.first.host);
      for (const pool of [patient, hasty]) await pool.end();
    }),
);

mariadbTest(
  "poolTimeout bounds the wait for somebody else's connection",
  () =>
    lab(async ({ make }) => {
      const pool = make({ connectionLimit: 1, poolTimeout: 0.2 });
      const connection = await pool.getConnection();
      await assertRejects(() => pool.getConnection(), PoolTimeoutError);
      connection.release();
      assertEquals(await where(pool), pair.first.host);
    }),
);

mariadbTest(
  "targetSessionAttrs: a server of another role is waited for, no longer than poolTimeout",
  () =>
    lab(async ({ make }) => {
      const pool = make({ targetSessionAttrs: "read-only", poolTimeout: 0.4 });
      const error = await assertRejects(() => pool.getConnection(), ConnectError);
      assertStringIncludes(error.message, '"read-only" is wanted');
      assertEquals(await where(make({ targetSessionAttrs: "read-write" })), pair.first.host);
    }),
);

mariadbTest(
  "connectTimeout ends the attempt on a server that does not answer, with mysql2's error",
  async () => {
    const port = await freePort([pair.first.host]);
    await using frozen = await startMariadb({ ...WHO, host: pair.first.host, port });
    await lab(async ({ make }) => {
      await frozen.freeze();
      const error = await assertRejects(() => make({ port, connectTimeout: 300 }).getConnection());
      const { message, code, syscall } = error as Error & { code: string; syscall: string };
      assertEquals([message, code, syscall], ["connect ETIMEDOUT", "ETIMEDOUT", "connect"]);
      await frozen.thaw();
    });
  },
);

mariadbTest(
  "a name that cannot be resolved is an error as node:dns has it",
  () =>
    lab(async ({ dns, make }) => {
      const cases = [["negative", "ENOTFOUND"], ["transient", "EAI_AGAIN"]] as const;
      for (const [failure, code] of cases) {
        dns.failure = failure;
        clearDnsCache();
        const error = await assertRejects(() => make({ dnsMaxRetries: 1 }).query("SELECT 1"));
        const { hostname, code: said } = error as Error & { code: string; hostname: string };
        assertEquals([said, hostname], [code, "db.internal"]);
        assert((error as Error).cause instanceof ResolveError);
      }
    }),
);

mariadbTest(
  "a departed server that no longer answers loses the connections that are out",
  async () => {
    const port = await freePort([pair.first.host, pair.second.host]);
    await using frozen = await startMariadb({ ...WHO, host: pair.first.host, port });
    await using other = await startMariadb({ ...WHO, host: pair.second.host, port });
    await lab(async ({ dns, make }) => {
      const pool = make({ port, connectionLimit: 1, probeTimeout: 0.5 });
      assertEquals(await where(pool), frozen.host);
      await frozen.freeze();
      await pause(50);
      const stuck = assertRejects(() => pool.query("SELECT 1"));
      dns.addresses = [other.host];
      assertEquals(await where(pool), other.host);
      const error = await stuck;
      await frozen.thaw();
      assert(error instanceof ConnectionLostError, String(error));
      await pool.end();
    });
  },
);

mariadbTest("what a callback throws is an uncaught error, as with mysql2's own pool", async () => {
  for (const pool of ["mysql.createPool(options)", "new DnsMysql2Pool(mysql, options)"]) {
    const { code, out, err } = await runProgram(`
      import process from "node:process";
      import mysql from "npm:mysql2@^3.24";
      import { DnsMysql2Pool } from "root/drop_in/mysql2_pool.ts";
      const options = { ...${
      JSON.stringify(WHO)
    }, host: "${pair.first.host}", port: ${pair.first.port} };
      process.on("uncaughtException", (error, origin) => console.log(origin, error.message));
      const pool = ${pool};
      await pool.promise().query("SELECT 1");
      pool.getConnection((error, connection) => {
        connection.release();
        throw new Error("thrown by a callback");
      });
      await new Promise((resolve) => setTimeout(resolve, 300));
      console.log((await pool.promise().query("SELECT 1 AS one"))[0][0].one);
      await pool.promise().end();
    `);
    assertEquals([code, out], [0, "uncaughtException thrown by a callback\n1"], pool + err);
  }
});

mariadbTest(
  "end() right after getConnection(), and while a connection is being reset, ends",
  () =>
    lab(async ({ make }) => {
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
  "the engine behind the pool tells more, of both kinds of pools",
  () =>
    lab(async ({ dns, make }) => {
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

mariadbTest("errors and the engine do not tell the password", () =>
  lab(async ({ make }) => {
    const { password } = WHO;
    const pool = make({ user: "nobody" });
    const error = await assertRejects(() => pool.getConnection());
    assert(!inspect(error, { depth: 9 }).includes(password));
    assert(!inspect(pool.engine, { depth: 9 }).includes(password));
  }));

Deno.test("DnsMysql2Pool: options that make no sense here are refused by name", () => {
  const cases: [object, typeof TypeError | typeof RangeError, string][] = [
    [{ stream: () => {} }, TypeError, '"stream": it would bypass DNS'],
    [{ poolSize: 3 }, TypeError, 'it is "connectionLimit"'],
    [{ maxOverflow: 3 }, TypeError, 'it is part of "connectionLimit"'],
    [{ minIdle: 3 }, TypeError, '"minIdle"'],
    [{ maxUses: 3 }, TypeError, '"maxUses"'],
    [{ dnsNameserver: ["10.0.0.2"] }, TypeError, 'did you mean "dnsNameservers"?'],
    [{ dnsTimeout: 12_000 }, RangeError, "did you mean 12?"],
    [{ poolTimeout: 12_000 }, RangeError, "did you mean 12?"],
    [{ targetSessionAttrs: "write" }, TypeError, '"targetSessionAttrs": it is one of'],
    [{ connectionLimit: -1 }, RangeError, "it is a number of connections from 0"],
    [{ connectionLimit: "many" }, TypeError, 'Cannot use "many" for "connectionLimit"'],
    [{ maxIdle: -1 }, RangeError, '"maxIdle"'],
    [{ idleTimeout: "long" }, TypeError, '"idleTimeout"'],
    [{ queueLimit: -2 }, RangeError, '"queueLimit"'],
    [{ connectTimeout: "soon" }, TypeError, '"connectTimeout"'],
    [{ host: "no host" }, TypeError, 'the host "no host"'],
    [{ uri: "mysql://db.internal/orders?dnsTimeout=3" }, TypeError, '"dnsTimeout" in the URI'],
    [{ uri: "mysql://db.internal/orders?poolTimeout=3" }, TypeError, '"poolTimeout" in the URI'],
  ];
  for (const module of [mysql, mysqlOfCallbacks]) {
    for (const [options, Class, message] of cases) {
      const make = () => new DnsMysql2Pool(module, { host: "db.internal", ...options } as Options);
      assertThrows(make, Class, message);
    }
  }
});

Deno.test("what is no mysql2 is refused", () => {
  const modules = [undefined, {}, { createPool() {} }, { createConnection() {} }];
  for (const module of modules) {
    assertThrows(
      () => new DnsMysql2Pool(module as unknown as typeof mysql, {}),
      TypeError,
      'no functions "createPool" and "createConnection"',
    );
  }
  const foreign = {
    createPool: () => ({}),
    createConnection: () => ({}),
  } as unknown as typeof mysql;
  assertThrows(() => new DnsMysql2Pool(foreign, {}), TypeError, "not those of mysql2");
});

Deno.test("the caller's options are left as they are, and mysql2 is shown none of dnspool's", async () => {
  const { error } = console;
  const said: unknown[] = [];
  console.error = (line: unknown) => said.push(line);
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
  assertEquals(said, []);
});

Deno.test("DnsMysql2Pool: the class is made once for a module, and instanceof tells", async () => {
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

Deno.test("an IP address, a list of hosts and a socket path are not followed by DnsMysql2Pool, and that is said once each", async () => {
  const warnings: string[] = [];
  const hear = (warning: Error & { code?: string }) => {
    if (warning.code === "DNSPOOL_HOST_NOT_FOLLOWED") warnings.push(warning.message);
  };
  process.on("warning", hear);
  const port = await freePort(["127.0.0.1"]);
  const places = [
    { host: "127.0.0.1" },
    { host: "one.invalid,two.invalid" },
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
  process.off("warning", hear);
  assertEquals(warnings, [
    'DnsMysql2Pool does not follow DNS for the host "127.0.0.1", which is an IP address',
    'DnsMysql2Pool does not follow DNS for the host "one.invalid,two.invalid", which is a list of hosts',
    'DnsMysql2Pool does not follow DNS for the host "/no/such/socket", which is a socket path',
  ]);
});

Deno.test("what only an engine can do is refused where the pool is mysql2's own", () => {
  const options: Record<string, unknown>[] = [
    { targetSessionAttrs: "read-write" },
    { poolTimeout: 3 },
    { poolRecycle: 60 },
  ];
  for (const option of options) {
    assertThrows(
      () => new DnsMysql2Pool(mysql, { socketPath: "/var/run/mysqld.sock", ...option } as Options),
      TypeError,
      `Cannot use the option "${Object.keys(option)[0]}" with a host that is a socket`,
    );
  }
});
