/**
 * `dnsMysql2(mysql2)`: a module like mysql2 whose pools and connections follow DNS, on real MariaDB servers.
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import mysqlOfCallbacks from "npm:mysql2@^3.24";
import * as callbackModule from "npm:mysql2@^3.24";
import mysql from "npm:mysql2@^3.24/promise";
import * as promiseModule from "npm:mysql2@^3.24/promise";
import { dnsMysql2, DnsMysql2Pool, type DnsPoolOptions } from "../../drop_in/mysql2_pool.ts";
import { ConnectionLostError } from "../../errors.ts";
import { clearDnsCache } from "../../resolver.ts";
import { freePort } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
import { coreOf, LOGIN, mariadbPair, where } from "../support/drop_in_mariadb.ts";
import { REFUSING_PORT, untilSocketsClosed } from "../support/sockets.ts";
import { type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { mariadbTest } from "../support/servers.ts";
import { pause, soon, until } from "../support/waiting.ts";

const pair = mariadbPair();

/** Properties in which libraries look whether a connection may be handed out. */
interface Flags {
  readonly departed: boolean;
  readonly stream: {
    readonly destroyed: boolean;
    once(event: string, listener: () => void): void;
    destroy(): void;
  };
  _protocolError: (Error & { code: string }) | null;
  __knex__disposed: unknown;
}
type Core = mysqlOfCallbacks.Connection & Flags;

interface Setup {
  readonly dns: FakeLookup;
  /** Opens a connection with promises. */
  open(config?: mysql.ConnectionOptions): Promise<mysql.Connection>;
  /** Creates a connection with callbacks, which is being opened. */
  create(config?: mysql.ConnectionOptions): Core;
}

/** Runs a test with connections for a name that points at the first server, with a TTL of half a second. */
async function withModule(
  test: (setup: Setup) => Promise<void>,
  options: DnsPoolOptions = {},
): Promise<void> {
  clearDnsCache();
  const dns = fakeLookup([pair.first.host], 0.5);
  const all = { dnsLookup: dns, dnsFallback: false, ...options };
  const cores: Core[] = [];
  const [promises, callbacks] = [dnsMysql2(mysql, all), dnsMysql2(mysqlOfCallbacks, all)];
  const base = { ...LOGIN, host: "db.internal", port: pair.first.port };
  await untilSocketsClosed(async () => {
    try {
      await test({
        dns,
        async open(config) {
          const connection = await promises.createConnection({ ...base, ...config });
          cores.push(coreOf<Core>(connection));
          return connection;
        },
        create(config) {
          const core = callbacks.createConnection({ ...base, ...config }) as Core;
          cores.push(core);
          return core;
        },
      });
    } finally {
      for (const { stream } of cores) stream.destroy();
    }
  });
}

const opened = (core: Core) =>
  new Promise<void>((resolve, reject) =>
    core.connect((error) => error ? reject(error) : resolve())
  );

Deno.test("dnsMysql2(mysql2) has the members of mysql2, except those that open connections", () => {
  const own = /^(connect|default|create(Pool|Connection|PoolCluster)(Promise)?)$/;
  for (const from of [mysqlOfCallbacks, mysql, callbackModule, promiseModule]) {
    const module = dnsMysql2(from as typeof mysql) as unknown as Record<string, unknown>;
    for (const [name, value] of Object.entries(from)) {
      if (own.test(name)) assert(module[name] !== value, name);
      else assertStrictEquals(module[name], value, name);
    }
    const { createPoolCluster } = module as { createPoolCluster: () => unknown };
    assertThrows(createPoolCluster, TypeError, "Cannot make a pool cluster that follows DNS");
  }
});

Deno.test("dnsMysql2(): options that cannot be used are refused at once, by name", () => {
  assertThrows(
    () => dnsMysql2({} as typeof mysql),
    TypeError,
    'with the functions "createPool" and "createConnection"',
  );
  const misspelt = { dnsNameserver: [] } as DnsPoolOptions;
  assertThrows(() => dnsMysql2(mysql, misspelt), TypeError, 'did you mean "dnsNameservers"?');
  const module = dnsMysql2(mysqlOfCallbacks);
  const given = { host: "db.internal", stream: () => {} } as mysqlOfCallbacks.PoolOptions;
  assertThrows(() => module.createPool(given), TypeError, '"stream"');
  assertThrows(() => module.createConnection(given), TypeError, '"stream"');
});

mariadbTest(
  "dnsMysql2(): createPool follows DNS; its own options take precedence over the module's",
  () =>
    withModule(async ({ dns }) => {
      const module = dnsMysql2(mysqlOfCallbacks, { dnsLookup: dns, dnsFallback: false });
      const base = { ...LOGIN, host: "db.internal", port: pair.first.port };
      const pool = module.createPool(base);
      assert(pool instanceof DnsMysql2Pool);
      assertEquals(await where(pool.promise()), pair.first.host);
      const other = module.createPool(
        { ...base, dnsLookup: fakeLookup([pair.second.host], 60) } as never,
      );
      assertEquals(await where(other.promise()), pair.second.host);
      dns.addresses = [pair.second.host];
      await until(async () => await where(pool.promise()) === pair.second.host);
      for (const one of [pool, other]) await one.promise().end();
    }),
);

mariadbTest(
  "dnsMysql2(): createConnection works with promises and with callbacks, with options and with a URI",
  () =>
    withModule(async ({ dns, open, create }) => {
      const byPromise = await open();
      assert(byPromise instanceof mysql.Connection);
      assertEquals(await where(byPromise), pair.first.host);

      const core = create();
      assert(core instanceof mysqlOfCallbacks.Connection);
      await opened(core);
      assertEquals(await where(core.promise()), pair.first.host);

      // Before it is open.
      assertEquals(await where(create().promise()), pair.first.host);

      const { user, password, database } = LOGIN;
      const uri = `mysql://${user}:${password}@db.internal:${pair.first.port}/${database}`;
      const options = { dnsLookup: dns, dnsFallback: false };
      const byUri = await dnsMysql2(mysql, options).createConnection(uri);
      assertEquals(await where(byUri), pair.first.host);
      await byUri.end();
      const { createConnectionPromise, createPoolPromise } = dnsMysql2(
        mysqlOfCallbacks,
        options,
      ) as unknown as {
        createConnectionPromise: typeof mysql.createConnection;
        createPoolPromise: typeof mysql.createPool;
      };
      const promised = await createConnectionPromise(uri);
      assertEquals(await where(promised), pair.first.host);
      await promised.end();
      const pool = createPoolPromise(uri);
      assertEquals(await where(pool), pair.first.host);
      await pool.end();
    }),
);

mariadbTest(
  "dnsMysql2(): a connection in use whose address departs works on, and shows it in departed, __knex__disposed and _protocolError",
  () =>
    withModule(async ({ dns, create }) => {
      const core = create();
      await opened(core);
      const flags = () => [core.departed, core.__knex__disposed, core._protocolError];
      assertEquals(flags(), [false, undefined, null]);
      await core.promise().beginTransaction();
      dns.addresses = [pair.second.host];
      await until(() => core.departed);
      assertEquals(core.__knex__disposed, `the address ${pair.first.host} departed`);
      assertEquals(core._protocolError!.code, "PROTOCOL_CONNECTION_LOST");
      assertEquals(await where(core.promise()), pair.first.host);
      await core.promise().commit();
      const next = create();
      await opened(next);
      assertEquals([await where(next.promise()), next.departed], [pair.second.host, false]);
      // The address comes back before the connection is closed.
      dns.addresses = [pair.first.host, pair.second.host];
      await until(() => !core.departed);
      assertEquals(flags(), [false, undefined, null]);
      core.__knex__disposed = "broken";
      assertEquals(core.__knex__disposed, "broken");
    }),
);

mariadbTest(
  "dnsMysql2(): a departed connection that is not used is closed, one in use or in a transaction is not",
  () =>
    withModule(async ({ dns, open }) => {
      const [idle, used, busy] = [await open(), await open(), await open()];
      await where(idle);
      await busy.beginTransaction();
      const startMs = performance.now();
      dns.addresses = [pair.second.host];
      await until(() => coreOf<Core>(idle).departed);
      while (performance.now() - startMs < 4000) {
        assertEquals(await where(used), pair.first.host);
        await pause(500);
      }
      await until(() => coreOf<Core>(idle).stream.destroyed);
      assert(performance.now() - startMs > 4500);
      assert(!coreOf<Core>(used).stream.destroyed);
      assert(!coreOf<Core>(busy).stream.destroyed);
      assertEquals(await where(busy), pair.first.host);
    }),
);

mariadbTest(
  "dnsMysql2(): the name is watched while a connection is open, and not afterwards",
  () =>
    withModule(async ({ dns, open }) => {
      const connection = await open();
      await until(() => dns.questions.length >= 3);
      await connection.end();
      await until(() => coreOf<Core>(connection).stream.destroyed);
      await pause(50);
      const last = dns.questions.length;
      await pause(1200);
      assertEquals(dns.questions.length, last);
    }),
);

mariadbTest(
  "dnsMysql2(): after a read-only error a connection is not handed out again, and DNS is asked at once",
  () =>
    withModule(async ({ dns, create }) => {
      dns.ttl = 300;
      clearDnsCache();
      const core = create();
      await opened(core);
      const connection = core.promise();
      await connection.query("CREATE TABLE IF NOT EXISTS things (n int)");
      await pause(1000); // DNS is asked at most once a second
      const asked = dns.questions.length;
      await connection.query("START TRANSACTION READ ONLY");
      await assertRejects(() => connection.query("INSERT INTO things VALUES (1)"));
      await connection.query("ROLLBACK");
      assertEquals(core.__knex__disposed, "the server is read-only");
      await until(() => dns.questions.length > asked);
      assertEquals(dns.questions.length, asked + 1);
    }),
);

mariadbTest(
  "dnsMysql2(): an error of a connection without a listener does not end the process",
  () =>
    withModule(async ({ create, open }) => {
      const [victim, killer] = [create(), await open()];
      await opened(victim);
      await killer.query(`KILL ${victim.threadId}`);
      await until(() => victim.stream.destroyed);
      await assertRejects(() => victim.promise().query("SELECT 1"));
      const { Connection } = mysqlOfCallbacks;
      const plain = dnsMysql2(mysqlOfCallbacks).createConnection({
        host: "127.0.0.1",
        port: REFUSING_PORT,
      });
      assert(plain instanceof Connection);
      await until(() => (plain as Core).stream.destroyed);
    }),
);

mariadbTest(
  "dnsMysql2(): connections in use on a departed server that no longer answers are terminated",
  async () => {
    const port = await freePort([pair.first.host]);
    await using frozen = await startMariadb({ ...LOGIN, host: pair.first.host, port });
    await withModule(async ({ dns, open }) => {
      const connection = await open({ port });
      await frozen.freeze();
      const stuck = assertRejects(() => connection.query("SELECT 1"), ConnectionLostError);
      dns.addresses = [pair.second.host];
      await soon(stuck);
      await frozen.thaw();
    }, { probeTimeout: 0.5 });
  },
);

mariadbTest(
  "dnsMysql2(): of several addresses, a connection takes one that accepts it",
  () =>
    withModule(async ({ dns, open }) => {
      const port = await freePort([pair.first.host, pair.second.host]);
      await using only = await startMariadb({ ...LOGIN, host: pair.second.host, port });
      dns.addresses = [pair.first.host, pair.second.host];
      clearDnsCache();
      const connection = await open({ port });
      assertEquals(await where(connection), pair.second.host);
      await connection.end();
      await until(() => coreOf<Core>(connection).stream.destroyed);
      assert(only.running);
    }),
);

mariadbTest(
  "dnsMysql2(): targetSessionAttrs: a connection takes a server with the role",
  () =>
    withModule(async ({ open }) => {
      assertEquals(await where(await open()), pair.first.host);
    }, { targetSessionAttrs: "read-write" }),
);

mariadbTest(
  "dnsMysql2(): createConnection fails with the error of mysql2",
  () =>
    withModule(async ({ dns, open, create }) => {
      const port = REFUSING_PORT;
      const codeOf = async (opening: Promise<unknown>): Promise<string> =>
        (await assertRejects(() => opening) as Error & { code: string }).code;
      assertEquals(await codeOf(open({ port })), "ECONNREFUSED");
      assertEquals(await codeOf(opened(create({ port }))), "ECONNREFUSED");
      assertEquals(await codeOf(open({ password: "wrong" })), "ER_ACCESS_DENIED_ERROR");
      dns.failure = "negative";
      clearDnsCache();
      assertEquals(await codeOf(open()), "ENOTFOUND");
      dns.failure = undefined;
      dns.delayMs = 60_000;
      clearDnsCache();
      assertEquals(await codeOf(soon(open({ connectTimeout: 200 }))), "ETIMEDOUT");
    }),
);

mariadbTest(
  "dnsMysql2(): destroy() ends a connection at once while its name is being resolved",
  () =>
    withModule(async ({ dns, create }) => {
      dns.respond = () => new Promise(() => {});
      clearDnsCache();
      const core = create();
      const closed = new Promise<void>((resolve) => core.stream.once("close", resolve));
      core.destroy();
      await soon(closed);
    }),
);

mariadbTest(
  "dnsMysql2(): connect() is told of a failure, also if statements are queued, and after the end",
  () =>
    withModule(async ({ create }) => {
      const core = create({ port: REFUSING_PORT });
      const told = (call: (callback: (error: unknown) => void) => void) =>
        soon(new Promise((resolve) => call(resolve)));
      const connecting = told((callback) => core.connect(callback));
      const asking = told((callback) => core.query("SELECT 1", callback));
      for (const error of [await connecting, await asking]) {
        assertEquals((error as { code?: string }).code, "ECONNREFUSED");
      }
      assertInstanceOf(await told((callback) => core.connect(callback)), Error);

      const ended = create();
      const closed = new Promise<void>((resolve) => ended.stream.once("close", resolve));
      ended.destroy();
      assertInstanceOf(await told((callback) => ended.connect(callback)), Error);
      await closed;
      assertInstanceOf(await told((callback) => ended.connect(callback)), Error);
    }),
);

mariadbTest(
  "dnsMysql2(): config of a connection opens another one to the same server, on a socket of its own",
  () =>
    withModule(async ({ dns, open, create }) => {
      const connection = await open();
      dns.addresses = [pair.second.host];
      await until(() => coreOf<Core>(connection).departed);
      const { clientFlags: _, maxPacketSize: __, ...config } = connection.config as unknown as
        & mysql.ConnectionOptions
        & { clientFlags: unknown; maxPacketSize: unknown };
      const other = await mysql.createConnection(config);
      assertEquals(await where(other), pair.first.host);
      await other.end();
      const followed = create(config);
      await opened(followed);
      assertEquals(await where(followed.promise()), pair.first.host);
      assertEquals(await where(connection), pair.first.host);
    }),
);

mariadbTest(
  "dnsMysql2(): destroy() ends a connection that is being opened",
  () =>
    withModule(async ({ dns, create }) => {
      dns.delayMs = 300;
      clearDnsCache();
      const core = create();
      core.destroy();
      await until(() => core.stream.destroyed);
      assertEquals([core.threadId as number | null, core.departed], [null, false]);
    }),
);

mariadbTest(
  "dnsMysql2(): what a connection runs is cancelled on the server when its retireGrace is over",
  async () => {
    await withModule(async ({ dns, open, create }) => {
      const promises = await open();
      const core = create();
      await new Promise((resolve) => core.query("SELECT 1", resolve));
      const watcher = await mysql.createConnection({
        ...LOGIN,
        host: pair.first.host,
        port: pair.first.port,
      });
      const running = async () => {
        const [rows] = await watcher.query(
          "SELECT id FROM information_schema.processlist WHERE info LIKE 'INSERT INTO orders%waits%'",
        );
        return (rows as unknown[]).length;
      };
      // Unlike SLEEP, a wait for a row does not notice that its socket is closed.
      const insert = (server: string) =>
        `INSERT INTO orders (id, server) VALUES (987654, '${server}')`;
      await watcher.query("BEGIN");
      await watcher.query(insert("holds"));
      try {
        const lost = [
          promises.query(insert("waits")).then(() => undefined, (error) => error),
          new Promise((resolve) => core.query(insert("waits"), (error) => resolve(error))),
        ];
        await until(async () => await running() === 2);
        dns.addresses = [pair.second.host];
        for (const error of await soon(Promise.all(lost))) assert(error instanceof Error);
        await until(async () => await running() === 0);
      } finally {
        await watcher.end();
      }
    }, { retireGrace: 0.1 });
  },
);

mariadbTest(
  'dnsMysql2(): with connectRetry "always", the first connection waits for name and server until its own timeout',
  () =>
    withModule(async ({ dns, open }) => {
      dns.failure = "negative";
      const opening = open({ connectTimeout: 20_000 });
      await until(() => Promise.resolve(dns.questions.length >= 3));
      dns.addresses = ["127.0.0.1"]; // no server has this address and port
      dns.failure = undefined;
      const { length } = dns.questions;
      await until(() => Promise.resolve(dns.questions.length >= length + 3));
      dns.addresses = [pair.first.host];
      assertEquals(await where(await opening), pair.first.host);
    }, { connectRetry: "always", dnsGraceTtl: 0 }),
);
