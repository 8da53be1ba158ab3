/**
 * The behavior of `DnsMariadbPool` that mariadb's pools do not have, on real MariaDB servers.
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { inspect } from "node:util";
import * as mariadb from "npm:mariadb@^3.5";
import * as callbacks from "npm:mariadb@^3.5/callback";
import {
  DnsMariadbPool,
  type DnsMariadbPoolExtras,
  type DnsMariadbPoolOptions,
} from "../../drop_in/mariadb_pool.ts";
import { ConnectionLostError } from "../../errors.ts";
import { freePort } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
import { clearDnsCache } from "../../resolver.ts";
import { administer, LOGIN, mariadbPair } from "../support/drop_in_mariadb.ts";
import { type Setup, withPools } from "../support/drop_in_setup.ts";
import type { FakeLookup } from "../support/fake_lookup.ts";
import { mariadbTest } from "../support/servers.ts";
import { REFUSING_PORT } from "../support/sockets.ts";
import { pause, soon, until } from "../support/waiting.ts";

const pair = mariadbPair();

type Options = DnsMariadbPoolOptions<typeof mariadb>;
type Pool = mariadb.Pool & DnsMariadbPoolExtras;
type Code = Error & { code: string; cause: Error & { code: string } };

/** Runs a test with pools for a name that points at the first server. */
function withMariadbPools(test: (setup: Setup<Pool, Options>) => Promise<void>): Promise<void> {
  const { host, port } = pair.first;
  return withPools(host, {
    open: (options) =>
      new DnsMariadbPool(mariadb, { ...LOGIN, host: "db.internal", port, ...options }),
    end: (pool) => pool.closed ? Promise.resolve() : pool.end(),
  }, test);
}

const counts = (pool: Pool) => [pool.activeConnections(), pool.idleConnections()];

async function where(client: Pick<mariadb.Pool, "query">): Promise<string> {
  const [row] = await client.query("SELECT @@bind_address AS host");
  return row.host;
}

/** Moves the record, and waits until the pool knows. */
async function moveTo(host: string, dns: FakeLookup, { engine }: Pool): Promise<void> {
  dns.addresses = [host];
  await until(() => engine!.status().answer.addresses[0] === host);
}

mariadbTest(
  "DnsMariadbPool: when the record moves, idle connections are closed, those in use when they are released",
  () =>
    withMariadbPools(async ({ dns, make }) => {
      const pool = make({ connectionLimit: 2, minimumIdle: 0 });
      const [used, idle] = await Promise.all([pool.getConnection(), pool.getConnection()]);
      await idle.release();
      await moveTo(pair.second.host, dns, pool);
      await until(() => pool.idleConnections() === 0);
      assertEquals(await where(used), pair.first.host);
      // It does not count toward the limit.
      const others = await Promise.all([pool.getConnection(), pool.getConnection()]);
      for (const other of others) assertEquals(await where(other), pair.second.host);
      assertEquals(pool.totalConnections(), 3);
      await used.release();
      for (const other of others) await other.release();
      await until(() => String(counts(pool)) === "0,2");
      assertEquals(await where(pool), pair.second.host);
    }),
);

mariadbTest(
  "DnsMariadbPool: minimumIdle is filled on the new address, before and after the record moves",
  () =>
    withMariadbPools(async ({ dns, make }) => {
      const pool = make({ connectionLimit: 3, minimumIdle: 2 });
      await until(() => String(counts(pool)) === "0,2");
      assertEquals(Object.keys(pool.engine!.status().byAddress), [pair.first.host]);
      await moveTo(pair.second.host, dns, pool);
      await until(() => pool.engine!.status().byAddress[pair.second.host]?.idle === 2);
      assertEquals(Object.keys(pool.engine!.status().byAddress), [pair.second.host]);
    }),
);

mariadbTest(
  "DnsMariadbPool: a statement that runs is answered although its connection is released after end()",
  () =>
    withMariadbPools(async ({ make }) => {
      for (let times = 0; times < 20; times++) {
        const pool = make();
        const connection = await pool.getConnection();
        const answer = connection.query("SELECT 2 AS n");
        const ended = pool.end();
        await connection.release();
        assertEquals(await soon(answer), [{ n: 2 }]);
        await ended;
      }
    }),
);

mariadbTest(
  "DnsMariadbPool: a server that is down when the pool is made is waited for until acquireTimeout",
  () =>
    withMariadbPools(async ({ dns, make }) => {
      dns.addresses = ["127.0.0.1"];
      clearDnsCache();
      const pool = make({ acquireTimeout: 20_000 });
      const result = where(pool);
      await until(() => dns.questions.length > 0);
      await moveTo(pair.first.host, dns, pool);
      assertEquals(await result, pair.first.host);
    }),
);

mariadbTest(
  "DnsMariadbPool: idle connections and connections in use whose server dies leave the pool, which goes on",
  () =>
    withMariadbPools(async ({ make }) => {
      const port = await freePort([pair.first.host]);
      await using server = await startMariadb({ ...LOGIN, host: pair.first.host, port });
      const pool = make({ port, connectionLimit: 2, minimumIdle: 0, acquireTimeout: 20_000 });
      const [used, idle] = await Promise.all([pool.getConnection(), pool.getConnection()]);
      await idle.release();
      await server.kill();
      await until(() => String(counts(pool)) === "0,0");
      await assertRejects(() => used.query("SELECT 1"));
      await used.release();
      const result = where(pool);
      await server.start();
      assertEquals(await result, pair.first.host);
      await pool.end();
    }),
);

mariadbTest(
  "DnsMariadbPool: connections in use on a departed server that no longer answers are terminated",
  async () => {
    const port = await freePort([pair.first.host, pair.second.host]);
    await using frozen = await startMariadb({ ...LOGIN, host: pair.first.host, port });
    await using other = await startMariadb({ ...LOGIN, host: pair.second.host, port });
    await withMariadbPools(async ({ dns, make }) => {
      const pool = make({ port, connectionLimit: 1, probeTimeout: 0.5, acquireTimeout: 20_000 });
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
  "DnsMariadbPool: after a read-only error that the caller catches, the connection is replaced, and DNS is asked at once",
  () =>
    withMariadbPools(async ({ dns, make }) => {
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
        await connection.release();
        assertEquals(await where(pool), pair.second.host);
      } finally {
        await administer(pair.first, "SET GLOBAL read_only = OFF");
      }
    }),
);

mariadbTest(
  "DnsMariadbPool: a name that cannot be resolved is the cause of the error at acquireTimeout, as of node:dns",
  () =>
    withMariadbPools(async ({ dns, make }) => {
      for (
        const [failure, code] of [["negative", "ENOTFOUND"], ["transient", "EAI_AGAIN"]] as const
      ) {
        dns.failure = failure;
        clearDnsCache();
        const pool = make({ dnsMaxRetries: 1, acquireTimeout: 100 });
        const error = await assertRejects(() => pool.query("SELECT 1")) as Code;
        assertEquals([error.code, error.cause.code], ["ER_GET_CONNECTION_TIMEOUT", code]);
        assert(error instanceof mariadb.SqlError);
      }
    }),
);

mariadbTest(
  "DnsMariadbPool: callers that wait for a login that is refused cause one attempt at a time",
  () =>
    withMariadbPools(async ({ make }) => {
      const attempts = () =>
        administerRows("SHOW GLOBAL STATUS LIKE 'Access_denied_errors'").then(([row]) =>
          Number((row as { Value: string }).Value)
        );
      const before = await attempts();
      const pool = make({ password: "wrong", acquireTimeout: 300, connectionLimit: 10 });
      const callers = Array.from({ length: 20 }, () => assertRejects(() => pool.query("SELECT 1")));
      for (const error of await Promise.all(callers) as Code[]) {
        assertEquals(error.cause.code, "ER_ACCESS_DENIED_ERROR");
      }
      const denied = await attempts() - before;
      assert(denied >= 1 && denied <= 3, `${denied} logins`);
    }),
);

/** Runs a statement as the administrator. */
async function administerRows(sql: string): Promise<unknown[]> {
  const { hostname, port, username, password } = new URL(pair.first.adminUrl());
  const admin = await mariadb.createConnection({
    host: hostname,
    port: Number(port),
    user: username,
    ...(password && { password }),
  });
  try {
    return await admin.query(sql);
  } finally {
    await admin.end();
  }
}

mariadbTest(
  "DnsMariadbPool: the settings of a connection are good for another one, to the same server",
  () =>
    withMariadbPools(async ({ dns, make }) => {
      const pool = make({ connectionLimit: 1 });
      let settings: mariadb.ConnectionConfig | undefined;
      (pool as unknown as { on(event: string, listener: (core: unknown) => void): void })
        .on("acquire", (core) => settings = (core as { opts: mariadb.ConnectionConfig }).opts);
      const connection = await pool.getConnection();
      await moveTo(pair.second.host, dns, pool);
      const running = assertRejects(() => connection.query("SELECT SLEEP(30)"));
      const control = await mariadb.createConnection(settings!);
      assertEquals(await where(control), pair.first.host);
      const runs =
        "SELECT 1 FROM information_schema.processlist WHERE info LIKE '%SLEEP(30)' AND id = ";
      await until(async () => (await control.query(runs + connection.threadId)).length > 0);
      await control.query(`KILL QUERY ${connection.threadId}`);
      await soon(running);
      await control.end();
      await connection.release();
    }),
);

mariadbTest(
  "DnsMariadbPool: engine gives status and events; a pool with callbacks has it too",
  () =>
    withMariadbPools(async ({ dns, make }) => {
      const pool = make();
      const changes: unknown[] = [];
      pool.engine!.addEventListener(
        "addresschange",
        ({ detail }) => changes.push(detail.addresses),
      );
      await pool.query("SELECT 1");
      assertEquals(await pool.engine!.query("SELECT ? AS n", [3]), [{ n: 3 }] as unknown[]);
      await moveTo(pair.second.host, dns, pool);
      await until(() => changes.length === 1);
      const options = { ...LOGIN, host: "db.internal", minimumIdle: 0, dnsLookup: dns };
      const other = new DnsMariadbPool(callbacks, options);
      assert(other instanceof DnsMariadbPool && pool instanceof DnsMariadbPool);
      assertEquals(other.engine!.driver, "mariadb");
      await new Promise<void>((resolve) => other.end(() => resolve()));
    }),
);

mariadbTest(
  "DnsMariadbPool: poolRecycle replaces connections, and targetSessionAttrs chooses the server",
  () =>
    withMariadbPools(async ({ dns, make }) => {
      dns.addresses = [pair.first.host, pair.second.host];
      clearDnsCache();
      await administer(pair.first, "SET GLOBAL read_only = ON");
      try {
        const base = { connectionLimit: 1, acquireTimeout: 20_000, connectTimeout: 10_000 };
        const writer = make({ ...base, targetSessionAttrs: "read-write", poolRecycle: 0.2 });
        assertEquals(await where(writer), pair.second.host);
        const reader = make({ ...base, targetSessionAttrs: "standby" });
        assertEquals(await where(reader), pair.first.host);
        const session = () => writer.query("SELECT CONNECTION_ID() AS id").then(([{ id }]) => id);
        const first = await session();
        await until(async () => await session() !== first);
      } finally {
        await administer(pair.first, "SET GLOBAL read_only = OFF");
      }
    }),
);

mariadbTest(
  "DnsMariadbPool: options that would bypass DNS or that nothing obeys are refused, by name",
  () =>
    withMariadbPools(async ({ make }) => {
      const cases: [object, string][] = [
        [{ stream: () => {} }, '"stream" must not be given: it would bypass DNS'],
        [{ permitRedirect: true }, '"permitRedirect" must not be given'],
        [{ poolTimeout: 5 }, 'use "acquireTimeout"'],
        [{ poolSize: 5 }, 'use "connectionLimit"'],
        [{ minIdle: 5 }, 'use "minimumIdle"'],
        [{ dnsNameserver: "10.0.0.2" }, 'did you mean "dnsNameservers"?'],
        [{ isolationLevel: "serializable" }, '"isolationLevel" must not be given'],
        [{ connectionLimit: 0 }, '"connectionLimit" must be at least 1, got 0'],
        [{ connectionLimit: -1 }, '"connectionLimit" must be'],
        [{ acquireTimeout: "soon" }, '"acquireTimeout" must be'],
        [{ idleTimeout: NaN }, '"idleTimeout" must be'],
        [{ uri: "postgres://app:s3cret@db.internal/orders" }, '"uri" must be like'],
        [{ uri: "mariadb://db.internal/orders?dnsFamily=4" }, '"dnsFamily in the URI"'],
      ];
      for (const [options, message] of cases) {
        const error = assertThrows(() => make(options as Options)) as Error;
        assert(error.message.includes(message), `${error.message} for ${inspect(options)}`);
        assert(!error.message.includes("s3cret"));
      }
      assertThrows(
        () => new DnsMariadbPool({} as typeof mariadb, {}),
        TypeError,
        '"mariadb" must be the module',
      );
      await Promise.resolve();
    }),
);

mariadbTest(
  "DnsMariadbPool: a URI, alone and beside options",
  () =>
    withMariadbPools(async ({ make }) => {
      const { port } = pair.first;
      const uri = (scheme: string) =>
        `${scheme}://${LOGIN.user}:${LOGIN.password}@db.internal:${port}/orders?connectionLimit=2&minimumIdle=1&dateStrings=true`;
      for (const scheme of ["mariadb", "mysql"]) {
        const options = { uri: uri(scheme), connectionLimit: 3, port: undefined };
        const pool = make(options as unknown as Options);
        const [row] = await pool.query(
          "SELECT CAST('2020-01-02' AS date) AS day, DATABASE() AS name",
        );
        assertEquals([row.day, row.name], ["2020-01-02", "orders"]);
        assert(String(pool).includes("limit=3"));
      }
    }),
);

mariadbTest(
  "DnsMariadbPool: the password is not visible in the engine or in errors",
  () =>
    withMariadbPools(async ({ make }) => {
      const { password } = LOGIN;
      const pool = make({ user: "stranger", acquireTimeout: 100 });
      const error = await assertRejects(() => pool.query("SELECT 1"));
      const shown = [pool.engine, pool.engine!.status(), error, String(pool.engine!.url)];
      for (const each of shown) assert(!inspect(each, { depth: 8 }).includes(password));
    }),
);

mariadbTest(
  "DnsMariadbPool: an address and localhost need no DNS; with a socket path the pool is the original's",
  async () => {
    const { host, port } = pair.first;
    const pool = new DnsMariadbPool(mariadb, { ...LOGIN, host, port, connectionLimit: 1 });
    assertEquals(await where(pool), host);
    await pool.end();
    const base = { ...LOGIN, acquireTimeout: 50, port: REFUSING_PORT };
    const local = new DnsMariadbPool(mariadb, { ...base, socketPath: "/does/not/exist" });
    assertEquals(local.engine, undefined);
    const error = await assertRejects(() => local.query("SELECT 1")) as Code;
    assertEquals(error.code, "ER_GET_CONNECTION_TIMEOUT");
    await local.end();
    const refused = { ...base, socketPath: "/x", targetSessionAttrs: "primary" as const };
    assertThrows(() => new DnsMariadbPool(mariadb, refused), TypeError, "socket path");
  },
);

mariadbTest(
  "DnsMariadbPool: a connection that is held for longer than leaseTimeout is terminated, what it runs is cancelled, and another one handed out",
  () =>
    withMariadbPools(async ({ make }) => {
      const logger = { debug() {}, info() {}, warn() {} };
      const own = { connectionLimit: 1, minimumIdle: 0, leaseTimeout: 0.5, logger };
      const pool = make(own as unknown as Partial<Options>);
      const admin = make({ connectionLimit: 1 });
      let events = 0;
      pool.engine!.addEventListener("leasetimeout", () => void events++);
      const seen: string[] = [];
      for (const name of ["acquire", "connection", "release"] as const) {
        pool.on(name as "acquire", () => void seen.push(name));
      }
      const code = (promise: Promise<unknown>) =>
        soon(promise).then(() => "done", (error) => error.code);
      const ways: (() => Promise<unknown>)[] = [
        async () => {
          const connection = await pool.getConnection();
          try {
            await connection.query("SELECT SLEEP(31)");
          } finally {
            await connection.release();
          }
        },
        () => pool.query("SELECT SLEEP(31)"),
        () => pool.execute("SELECT SLEEP(31)"),
      ];
      for (const [index, way] of ways.entries()) {
        seen.length = 0;
        const failed = code(way());
        await until(() => pool.activeConnections() === 1);
        const [row] = await soon(pool.query("SELECT 1 AS n"));
        assertEquals(row.n, 1);
        assertEquals([await failed, events], ["LEASE_TIMEOUT", index + 1], `${index}`);
        assertEquals(seen.filter((name) => name === "acquire").length, 2);
        await until(async () => {
          const list = await admin.query(
            "SELECT id FROM information_schema.processlist WHERE info LIKE '%SLEEP(3%' AND id <> CONNECTION_ID()",
          );
          return list.length === 0;
        }, "the end of the statement");
      }
      const idle = await pool.getConnection(); // nothing runs on it
      await until(() => events === ways.length + 1);
      assertEquals(idle.isValid(), false);
      await idle.release();
      await soon(pool.query("SELECT 2"));
      await until(() => String(counts(pool)) === "0,1");
      await soon(pool.end());
    }),
);
