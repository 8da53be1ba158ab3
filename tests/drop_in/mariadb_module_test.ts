/**
 * `dnsMariadb(mariadb)`: a module like mariadb whose pools and connections follow DNS, on real MariaDB servers.
 */

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import * as mariadb from "npm:mariadb@^3.5";
import defaultModule from "npm:mariadb@^3.5";
import callbacks from "npm:mariadb@^3.5/callback";
import * as callbackModule from "npm:mariadb@^3.5/callback";
import { dnsMariadb, DnsMariadbPool, type DnsPoolOptions } from "../../drop_in/mariadb_pool.ts";
import { ConnectionLostError } from "../../errors.ts";
import { freePort } from "../../lab/free_port.ts";
import { startMariadb } from "../../lab/mariadb.ts";
import { clearDnsCache } from "../../resolver.ts";
import { LOGIN, mariadbPair } from "../support/drop_in_mariadb.ts";
import { type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { mariadbTest } from "../support/servers.ts";
import { REFUSING_PORT, untilSocketsClosed } from "../support/sockets.ts";
import { pause, soon, until } from "../support/waiting.ts";

const pair = mariadbPair();

type Connection = mariadb.Connection & { readonly departed?: boolean };

interface Setup {
  readonly dns: FakeLookup;
  /** The module with promises, and the one with callbacks. */
  readonly module: typeof mariadb;
  readonly callbacks: typeof callbackModule;
  readonly config: mariadb.ConnectionConfig;
  /** Opens a connection with promises. */
  open(config?: mariadb.ConnectionConfig): Promise<Connection>;
}

/** Runs a test with connections for a name that points at the first server, with a TTL of half a second. */
async function withModule(
  test: (setup: Setup) => Promise<void>,
  { password = LOGIN.password, ...options }: DnsPoolOptions & { password?: string } = {},
): Promise<void> {
  clearDnsCache();
  const dns = fakeLookup([pair.first.host], 0.5);
  const all = { dnsLookup: dns, dnsFallback: false as const, ...options };
  const module = dnsMariadb(mariadb, all);
  const config = {
    user: LOGIN.user,
    database: LOGIN.database,
    ...(!options.credentials && { password }),
    host: "db.internal",
    port: pair.first.port,
    connectTimeout: 10_000,
  };
  const opened: Connection[] = [];
  await untilSocketsClosed(async () => {
    try {
      await test({
        dns,
        module,
        config,
        callbacks: dnsMariadb(callbackModule, all),
        async open(own) {
          const connection = await module.createConnection({ ...config, ...own });
          opened.push(connection);
          return connection;
        },
      });
    } finally {
      for (const connection of opened) await connection.end().catch(() => {});
    }
  });
}

async function where(client: Pick<mariadb.Connection, "query">): Promise<string> {
  const [row] = await client.query("SELECT @@bind_address AS host");
  return row.host;
}

/** Moves the record, and waits until a connection knows. */
async function moveTo(host: string, dns: FakeLookup, connection: Connection): Promise<void> {
  dns.addresses = [host];
  await until(() => !connection.isValid());
}

Deno.test("dnsMariadb(mariadb) has the members of mariadb, except those that open connections", () => {
  const own = /^(createConnection|createPool|createPoolCluster|importFile|default)$/;
  for (const from of [mariadb, defaultModule, callbacks, callbackModule]) {
    const module = dnsMariadb(from as typeof mariadb);
    for (const [name, value] of Object.entries(from)) {
      const made = (module as unknown as Record<string, unknown>)[name];
      if (!own.test(name)) assertStrictEquals(made, value, name);
      else if (name === "default") assertStrictEquals(made, module);
      else assert(made !== value, name);
    }
    assertThrows(
      () => module.createPoolCluster(),
      TypeError,
      "make a pool for each name",
    );
  }
});

Deno.test("dnsMariadb() refuses what is not the module, and options that are none", () => {
  assertThrows(() => dnsMariadb({} as typeof mariadb), TypeError, '"mariadb" must be the module');
  const options = { dnsNameserver: ["10.0.0.2"] } as DnsPoolOptions;
  assertThrows(() => dnsMariadb(mariadb, options), TypeError, '"dnsNameservers"');
});

mariadbTest(
  "dnsMariadb(): createPool makes a DnsMariadbPool with the module's options",
  () =>
    withModule(async ({ dns, module, config }) => {
      const { host, port, user, password, database } = config;
      const uri = `mariadb://${user}:${password}@${host}:${port}/${database}?connectionLimit=1`;
      for (const options of [{ ...config, connectionLimit: 1 }, uri]) {
        const pool = module.createPool(options);
        assert(pool instanceof DnsMariadbPool);
        dns.addresses = [pair.first.host];
        await until(async () => await where(pool) === pair.first.host);
        dns.addresses = [pair.second.host];
        await until(async () => await where(pool) === pair.second.host);
        await pool.end();
      }
    }),
);

mariadbTest(
  "dnsMariadb(): a connection is open to an address of the name; when that departs, isValid() is false, and statements run",
  () =>
    withModule(async ({ dns, open }) => {
      const connection = await open();
      assertEquals([await where(connection), connection.isValid()], [pair.first.host, true]);
      await moveTo(pair.second.host, dns, connection);
      assertEquals(await where(connection), pair.first.host);
      assertEquals(await where(await open()), pair.second.host);
      dns.addresses = [pair.first.host];
      await until(() => connection.isValid());
      await moveTo(pair.second.host, dns, connection);
    }),
);

mariadbTest(
  "dnsMariadb(): connections with callbacks follow the name",
  () =>
    withModule(async ({ dns, callbacks, config }) => {
      for (const host of [pair.first.host, pair.second.host]) {
        dns.addresses = [host];
        clearDnsCache();
        const connection = callbacks.createConnection(config);
        const rows = await new Promise<{ host: string }[]>((resolve, reject) =>
          connection.query(
            "SELECT @@bind_address AS host",
            (error, rows) => error ? reject(error) : resolve(rows!),
          )
        );
        assertEquals(rows[0]!.host, host);
        await new Promise<void>((resolve) => connection.end(() => resolve()));
      }
    }),
);

mariadbTest(
  "dnsMariadb(): importFile runs on an address of the name",
  () =>
    withModule(async ({ module, callbacks, config }) => {
      const dir = await mkdtemp(join(tmpdir(), "dnspool-"));
      const file = join(dir, "orders.sql");
      await writeFile(file, "INSERT INTO orders (customer, server) VALUES (77, @@bind_address);");
      await module.importFile({ ...config, file });
      await new Promise<void>((resolve, reject) =>
        callbacks.importFile({ ...config, file }, (error) => error ? reject(error) : resolve())
      );
      const connection = await module.createConnection(config);
      const rows = await connection.query("SELECT server FROM orders WHERE customer = 77");
      assertEquals(rows.map(({ server }: { server: string }) => server), [
        pair.first.host,
        pair.first.host,
      ]);
      await connection.end();
      await rm(dir, { recursive: true });
    }),
);

mariadbTest(
  "dnsMariadb(): a connection to a departed server that no longer answers is terminated",
  async () => {
    const port = await freePort([pair.first.host, pair.second.host]);
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
  "dnsMariadb(): with two addresses, one of which refuses, the connection is open to the other",
  () =>
    withModule(async ({ dns, open }) => {
      dns.addresses = ["127.0.0.1", pair.second.host];
      assertEquals(await where(await open()), pair.second.host);
    }),
);

mariadbTest(
  "dnsMariadb() and DnsMariadbPool: several hosts, as options and in a URI",
  () =>
    withModule(async ({ dns, module, config, open }) => {
      const host = `127.0.0.1,${pair.second.host}`;
      assertEquals(await where(await open({ host })), pair.second.host);
      const { user, password, port, database } = config;
      const uri = `mariadb://${user}:${password}@127.0.0.1:${port},db.internal:${port}/${database}`;
      for (const options of [{ ...config, host, acquireTimeout: 20_000 }, uri]) {
        dns.addresses = [pair.second.host];
        clearDnsCache();
        const pool = module.createPool(options);
        assertEquals(await where(pool), pair.second.host);
        await pool.end();
      }
    }),
);

mariadbTest(
  "dnsMariadb(): errors of the connect are those of mariadb: refused, not resolved, wrong password, too late",
  () =>
    withModule(async ({ dns, open, callbacks, config }) => {
      const codeOf = async (own: mariadb.ConnectionConfig) =>
        (await assertRejects(() => open(own)) as Error & { code: string }).code;
      assertEquals(await codeOf({ port: REFUSING_PORT }), "ECONNREFUSED");
      assertEquals(await codeOf({ password: "wrong" }), "ER_ACCESS_DENIED_ERROR");
      const failed = callbacks.createConnection({ ...config, password: "wrong" });
      const error = await new Promise((resolve) => failed.on("connect", resolve));
      assertEquals((error as { errno: number }).errno, 1045);
      dns.failure = "negative";
      clearDnsCache();
      assertEquals(await codeOf({}), "ENOTFOUND");
      dns.failure = undefined;
      dns.delayMs = 10_000;
      clearDnsCache();
      assertEquals(await codeOf({ connectTimeout: 100 }), "ER_CONNECTION_TIMEOUT");
    }),
);

mariadbTest(
  "dnsMariadb(): destroy() in the middle of a statement kills it, on the server of the connection",
  () =>
    withModule(async ({ dns, open }) => {
      const connection = await open();
      const id = connection.threadId;
      const running = assertRejects(() => connection.query("SELECT SLEEP(30)"));
      await pause(50);
      await moveTo(pair.second.host, dns, connection);
      connection.destroy();
      await soon(running);
      dns.addresses = [pair.first.host];
      clearDnsCache();
      const other = await open();
      await until(async () =>
        (await other.query("SELECT 1 FROM information_schema.processlist WHERE id = ?", [id]))
          .length === 0
      );
    }),
);

mariadbTest(
  "dnsMariadb() and DnsMariadbPool: credentials give the login, and are asked again once it is refused",
  async () => {
    let asked = 0;
    const credentials = () => ({ password: asked++ === 0 ? "old" : LOGIN.password });
    await withModule(async ({ dns, open, module, config }) => {
      const code = (await assertRejects(() => open()) as Error & { code: string }).code;
      assertEquals(code, "ER_ACCESS_DENIED_ERROR");
      const connection = await open();
      assertEquals([await where(connection), asked], [pair.first.host, 2]);
      asked = 0;
      const pool = new DnsMariadbPool(mariadb, {
        ...config,
        connectionLimit: 2,
        credentials,
        dnsLookup: dns,
        dnsFallback: false,
      });
      let core: unknown;
      (pool as unknown as { on(event: string, listener: (core: unknown) => void): void })
        .on("acquire", (each) => core = each);
      assertEquals(await where(pool), pair.first.host);
      assert(asked >= 2, `asked ${asked} times`);
      assert(!inspect([core, pool, pool.engine], { depth: 6 }).includes(LOGIN.password));
      const held = await pool.getConnection();
      const running = assertRejects(() => held.query("SELECT SLEEP(30)"));
      await pause(50);
      held.destroy();
      await soon(running);
      await pool.end();
      assertThrows(
        () => module.createPool({ ...config, password: "x" }),
        TypeError,
        '"password" must not be given',
      );
    }, { credentials });
  },
);
