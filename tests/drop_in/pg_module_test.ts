/**
 * `dnsPg(pg)`: a module like `pg` whose pools and clients follow DNS, on real PostgreSQL servers.
 */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import net from "node:net";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
// @ts-types="npm:@types/pg@^8"
import * as pgModule from "npm:pg@^8.23";
import { dnsPg, type DnsPoolOptions } from "../../drop_in/pg_pool.ts";
import { ConnectionLostError } from "../../errors.ts";
import { clearDnsCache, getIpWithTtl } from "../../resolver.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { REFUSING_PORT, untilSocketsClosed } from "../support/sockets.ts";
import { type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
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

/** Properties in which libraries look whether a client may be handed out. */
interface Flags {
  departed: boolean;
  _invalid: unknown;
  __knex__disposed: unknown;
}

type Client = pg.Client & Flags;

interface Setup {
  readonly dns: FakeLookup;
  /** Makes a client for the name. */
  make(config?: pg.ClientConfig): Client;
  /** Makes a pool for the name. */
  pool(config?: pg.PoolConfig): pg.Pool;
}

/** Runs a test with clients for a name that points at the first server, with a TTL of half a second. */
async function withModule(
  test: (setup: Setup) => Promise<void>,
  options: DnsPoolOptions = {},
): Promise<void> {
  clearDnsCache();
  const dns = fakeLookup([first.host], 0.5);
  const module = dnsPg(pg, { dnsLookup: dns, dnsFallback: false, ...options });
  const all: (pg.Client | pg.Pool)[] = [];
  const keep = <T extends pg.Client | pg.Pool>(one: T): T => {
    all.push(one);
    return one;
  };
  const base = { ...LOGIN, host: "db.internal", port: first.port };
  await untilSocketsClosed(async () => {
    try {
      await test({
        dns,
        make: (config) => keep(new module.Client({ ...base, ...config }) as Client),
        pool: (config) => keep(new module.Pool({ ...base, ...config })),
      });
    } catch (error) {
      // Not awaited: closing would wait for what hangs.
      for (const one of all) one.end().catch(() => {});
      throw error;
    }
    for (const one of all) await one.end();
  });
}

async function where(client: pg.ClientBase | pg.Pool): Promise<string> {
  const { rows } = await client.query("SELECT host(inet_server_addr()) AS host");
  return rows[0].host;
}

const ended = (client: pg.Client) => (client as unknown as { _ended: boolean })._ended;

Deno.test("dnsPg(): a host with a final dot is an absolute name, for Client and Pool", async () => {
  await withModule(async ({ dns, make, pool }) => {
    const client = make({ host: "db.internal." });
    await client.connect();
    assertEquals(await where(client), first.host);
    assertEquals(await where(pool({ host: "db.internal.", max: 1 })), first.host);
    const asked = new Set(dns.questions.map(({ name, absolute }) => `${name} ${absolute}`));
    assertEquals([...asked], ["db.internal true"]);
  });
});

Deno.test("dnsPg(pg) has the members of pg, except Pool and Client", () => {
  for (const from of [pg, pgModule as typeof pg]) {
    const module = dnsPg(from);
    for (const name of Object.keys(from) as (keyof typeof pg)[]) {
      if (["Pool", "Client", "native", "default"].includes(name)) continue;
      assertStrictEquals(module[name], from[name], name);
    }
    assertStrictEquals(module.types, pg.types);
    assert(module.Client.prototype instanceof pg.Client);
    assert(module.Pool.prototype instanceof pg.Pool);
    assertEquals(module.native, null);
    const { default: self } = module as unknown as { default?: unknown };
    if (self !== undefined) assertStrictEquals(self, module);
    assertStrictEquals(
      (module.Client as unknown as { Query: unknown }).Query,
      (pg.Client as unknown as { Query: unknown }).Query,
    );
  }
});

Deno.test("dnsPg(): options that cannot be used are refused at once, by name", () => {
  assertThrows(() => dnsPg({} as typeof pg), TypeError, 'with the classes "Client" and "Pool"');
  const misspelt = { dnsNameserver: [] } as DnsPoolOptions;
  assertThrows(() => dnsPg(pg, misspelt), TypeError, 'did you mean "dnsNameservers"?');
  const module = dnsPg(pg);
  const stream = () => new net.Socket();
  for (const Class of [module.Client, module.Pool]) {
    assertThrows(() => new Class({ host: "db.internal", stream }), TypeError, '"stream"');
  }
});

Deno.test("dnsPg(): Pool follows DNS; its own options take precedence over the module's", () =>
  withModule(async ({ dns, pool }) => {
    const followed = pool();
    assertEquals(await where(followed), first.host);
    const other = pool({ dnsLookup: fakeLookup([second.host], 60) } as pg.PoolConfig);
    assertEquals(await where(other), second.host);
    dns.addresses = [second.host];
    await until(() => followed.totalCount === 0);
    assertEquals(await where(followed), second.host);
  }));

Deno.test("dnsPg(): Client connects by promise and by callback, with a config, a connection string, or the environment", () =>
  withModule(async ({ dns, make }) => {
    const byPromise = make();
    assertStrictEquals(await byPromise.connect(), byPromise);
    assertEquals(await where(byPromise), first.host);

    const byCallback = make();
    const error = await new Promise((resolve) => byCallback.connect(resolve));
    assertEquals(error, null);
    assertEquals(await where(byCallback), first.host);

    const module = dnsPg(pg, { dnsLookup: dns });
    const { user, password, database } = LOGIN;
    const url = `postgres://${user}:${password}@db.internal:${first.port}/${database}`;
    for (const config of [url, { connectionString: url }]) {
      const client = new module.Client(config);
      await client.connect();
      assertEquals(await where(client), first.host);
      await client.end();
    }
    const env = { PGHOST: "db.internal", PGPORT: String(first.port), PGPASSWORD: password };
    for (const [name, value] of Object.entries(env)) process.env[name] = value;
    try {
      const client = new module.Client({ user, database });
      await client.connect();
      assertEquals(await where(client), first.host);
      await client.end();
    } finally {
      for (const name of Object.keys(env)) delete process.env[name];
    }
  }));

Deno.test("dnsPg(): a client in use whose address departs works on, and shows it in departed, _invalid and __knex__disposed", () =>
  withModule(async ({ dns, make }) => {
    const client = make();
    await client.connect();
    assertEquals([client.departed, client._invalid, client.__knex__disposed], [
      false,
      undefined,
      undefined,
    ]);
    await client.query("BEGIN");
    dns.addresses = [second.host];
    await until(() => client.departed);
    assertEquals(client._invalid, true);
    assertEquals(client.__knex__disposed, `the address ${first.host} departed`);
    assertEquals(await where(client), first.host);
    await client.query("COMMIT");
    const next = make();
    await next.connect();
    assertEquals([await where(next), next.departed], [second.host, false]);
    // The address comes back before the client is closed.
    dns.addresses = [first.host, second.host];
    await until(() => !client.departed);
    assertEquals(client._invalid, undefined);
  }));

Deno.test("dnsPg(): values that a library sets in _invalid and __knex__disposed are kept", () =>
  withModule(async ({ make }) => {
    const client = make();
    await client.connect();
    client._invalid = true;
    client.__knex__disposed = "broken";
    assertEquals([client._invalid, client.__knex__disposed, client.departed], [
      true,
      "broken",
      false,
    ]);
  }));

Deno.test("dnsPg(): a departed client that is not used is closed, one in a transaction is not", () =>
  withModule(async ({ dns, make }) => {
    const [idle, busy, fresh] = [make(), make(), make()];
    for (const client of [idle, busy, fresh]) await client.connect();
    await busy.query("BEGIN");
    let ends = 0;
    idle.on("end", () => ends++);
    const startMs = performance.now();
    dns.addresses = [second.host];
    await until(() => idle.departed);
    await pause(4000);
    await until(() => ended(idle));
    assert(performance.now() - startMs > 4500);
    assert(!ended(busy));
    assertEquals(await where(busy), first.host);
    await until(() => ends === 1);
  }));

Deno.test("dnsPg(): the name is watched while a client is open, and not afterwards", () =>
  withModule(async ({ dns, make }) => {
    const [one, other] = [make(), make()];
    await Promise.all([one.connect(), other.connect()]);
    await until(() => dns.questions.length >= 3);
    await one.end();
    const asked = dns.questions.length;
    await until(() => dns.questions.length >= asked + 2);
    await other.end();
    await pause(50);
    const last = dns.questions.length;
    await pause(1200);
    assertEquals(dns.questions.length, last);
  }));

Deno.test("dnsPg(): clients share the DNS cache with each other and with getIpWithTtl()", () =>
  withModule(async ({ dns, make }) => {
    dns.ttl = 60;
    await Promise.all([make().connect(), make().connect()]);
    const options = { dnsLookup: dns, dnsFallback: false };
    assertEquals((await getIpWithTtl("db.internal", options))[0], first.host);
    assertEquals(dns.questions.length, 1);
  }));

Deno.test("dnsPg(): after a read-only error a client is not handed out again, and DNS is asked at once", () =>
  withModule(async ({ dns, make }) => {
    dns.ttl = 300;
    clearDnsCache();
    const client = make();
    await client.connect();
    await pause(1000); // DNS is asked at most once a second
    const asked = dns.questions.length;
    await client.query("BEGIN READ ONLY");
    await client.query("CREATE TABLE things (n int)").catch(() => {});
    await client.query("ROLLBACK");
    assertEquals(client.__knex__disposed, "the server is read-only");
    assertEquals(client._invalid, true);
    await until(() => dns.questions.length > asked);
    assertEquals(dns.questions.length, asked + 1);
  }));

Deno.test("dnsPg(): an error of a client without a listener does not end the process", () =>
  withModule(async ({ make }) => {
    const [victim, killer] = [make(), make()];
    await Promise.all([victim.connect(), killer.connect()]);
    const { rows } = await victim.query("SELECT pg_backend_pid() AS id");
    await killer.query("SELECT pg_terminate_backend($1)", [rows[0].id]);
    await until(() => ended(victim));
    await assertRejects(() => victim.query("SELECT 1"));
  }));

Deno.test("dnsPg(): clients in use on a departed server that no longer answers are terminated", async () => {
  const port = await freePort([first.host]);
  await using frozen = await startPostgres({ ...LOGIN, host: first.host, port });
  await withModule(async ({ dns, make }) => {
    const client = make({ port });
    await client.connect();
    await frozen.freeze();
    const stuck = assertRejects(() => client.query("SELECT 1"), ConnectionLostError);
    dns.addresses = [second.host];
    await soon(stuck);
    await frozen.thaw();
    await until(() => ended(client));
  }, { probeTimeout: 0.5 });
});

Deno.test("dnsPg(): of several addresses, a client takes one that accepts a connection", () =>
  withModule(async ({ dns, make }) => {
    const port = await freePort([first.host, second.host]);
    await using only = await startPostgres({ ...LOGIN, host: second.host, port });
    dns.addresses = [first.host, second.host];
    clearDnsCache();
    const client = make({ port });
    await client.connect();
    assertEquals(await where(client), second.host);
    await client.end();
    assert(only.running);
  }));

Deno.test("dnsPg(): connectionTimeoutMillis limits the wait for a server that is down, once a client died", () =>
  withModule(async ({ make }) => {
    const port = await freePort([first.host]);
    await using server = await startPostgres({ ...LOGIN, host: first.host, port });
    const client = make({ port });
    await client.connect();
    await server.kill();
    await until(() => ended(client));
    const failing = await assertRejects(() => make({ port }).connect()) as Error & { code: string };
    assertEquals(failing.code, "ECONNREFUSED");
    const brief = make({ port, connectionTimeoutMillis: 1000 });
    const error = await assertRejects(() => brief.connect()) as Error & { code: string };
    assertEquals(error.code, "ECONNREFUSED");
    const retrying = make({ port, connectionTimeoutMillis: 30_000 });
    const connecting = retrying.connect();
    await server.start();
    await connecting;
    assertEquals(await where(retrying), first.host);
    await retrying.end();
  }));

Deno.test("dnsPg(): after a server that was stopped ended a client, the next one waits until it is back", () =>
  withModule(async ({ make }) => {
    const port = await freePort([first.host]);
    await using server = await startPostgres({ ...LOGIN, host: first.host, port });
    const client = make({ port });
    await client.connect();
    await server.stop({ keep: true });
    await until(() => ended(client));
    const next = make({ port, connectionTimeoutMillis: 30_000 });
    const connecting = next.connect();
    connecting.catch(() => {}); // it is awaited below
    await pause(300);
    await server.start();
    await connecting;
    assertEquals(await where(next), first.host);
    await next.end();
  }));

Deno.test("dnsPg(): connectionTimeoutMillis limits the wait for a server with the role of targetSessionAttrs", () =>
  withModule(async ({ make }) => {
    const options = "-c default_transaction_read_only=on";
    const startMs = performance.now();
    const connecting = make({ options, connectionTimeoutMillis: 3000 }).connect();
    await assertRejects(() => soon(connecting), Error, '"read-write" is wanted');
    const tookMs = performance.now() - startMs;
    assert(tookMs > 2700, `after ${tookMs} ms`);
    const client = make();
    await client.connect();
    assertEquals(await where(client), first.host);
  }, { targetSessionAttrs: "read-write" }));

Deno.test("dnsPg(): connect() rejects with the error of pg if it fails", () =>
  withModule(async ({ dns, make }) => {
    const port = REFUSING_PORT;
    const codeOf = async (client: pg.Client): Promise<string> =>
      (await assertRejects(() => client.connect()) as Error & { code: string }).code;
    assertEquals(await codeOf(make({ port })), "ECONNREFUSED");
    assertEquals(await codeOf(make({ password: "wrong" })), "28P01");
    const byCallback = await new Promise<unknown>((resolve) => make({ port }).connect(resolve));
    assertEquals((byCallback as { code: string }).code, "ECONNREFUSED");
    dns.failure = "negative";
    clearDnsCache();
    assertEquals(await codeOf(make()), "ENOTFOUND");
  }));

Deno.test("dnsPg(): connectionTimeoutMillis limits the resolution as well", () =>
  withModule(async ({ dns, make }) => {
    dns.delayMs = 60_000;
    clearDnsCache();
    await assertRejects(
      () => soon(make({ connectionTimeoutMillis: 200 }).connect()),
      Error,
      "timeout expired",
    );
  }));

Deno.test("dnsPg(): end() ends a connect() that is running", () =>
  withModule(async ({ dns, make }) => {
    dns.delayMs = 60_000;
    clearDnsCache();
    const client = make();
    const connecting = assertRejects(() => client.connect(), Error, "Connection terminated");
    await client.end();
    await connecting;
  }));

Deno.test("dnsPg(): queries of a client that is ended, or that cannot connect, are rejected as by pg", () =>
  withModule(async ({ dns, make }) => {
    const message = (query: Promise<unknown>) =>
      soon(query.then(() => "done", (error: Error) => error.message));
    const original = new pg.Client({ ...LOGIN, host: first.host, port: first.port });
    for (const client of [original, make()]) {
      client.connect(); // its rejection is no unhandled one
      const query = message(client.query("SELECT 1"));
      await client.end();
      assertEquals(await query, "Connection terminated");
    }
    const refused = new pg.Client({ ...LOGIN, host: first.host, port: REFUSING_PORT });
    const late = make({ connectionTimeoutMillis: 200 });
    const unknown = make();
    for (const client of [refused, make({ port: REFUSING_PORT }), unknown, late]) {
      clearDnsCache();
      if (client === unknown) dns.failure = "negative";
      if (client === late) dns.respond = () => new Promise(() => {});
      const connecting = message(client.connect());
      const queries = [message(client.query("SELECT 1")), message(client.query("SELECT 2"))];
      const byCallback = new Promise<unknown>((resolve) =>
        client.query("SELECT 3", (error) => resolve(error.message))
      );
      assert(await connecting !== "done");
      const unexpected = "Connection terminated unexpectedly";
      assertEquals(await Promise.all(queries), [unexpected, unexpected]);
      assertEquals(await soon(byCallback), unexpected);
    }
  }));

Deno.test("dnsPg(): a query after a connect that failed is rejected, by promise and by callback", () =>
  withModule(async ({ dns, make }) => {
    for (const client of [make({ port: REFUSING_PORT }), make()]) {
      if (client.port !== REFUSING_PORT) dns.failure = "negative";
      clearDnsCache();
      const ended = new Promise<void>((resolve) => client.once("end", () => resolve()));
      await assertRejects(() => client.connect());
      await soon(ended);
      const byCallback = new Promise<Error>((resolve) =>
        client.query("SELECT 1", (error) => resolve(error))
      );
      await soon(assertRejects(() => client.query("SELECT 2"), Error, "not queryable"));
      assertStringIncludes((await soon(byCallback)).message, "not queryable");
      await soon(client.end());
    }
    const ended = make();
    dns.failure = undefined;
    clearDnsCache();
    await ended.connect();
    await ended.end();
    await pause(1);
    await assertRejects(() => ended.query("SELECT 1"), Error, "Client was closed");
  }));

Deno.test("dnsPg(): a pool takes the module's own client class, and a subclass of it", () =>
  withModule(async ({ dns, pool }) => {
    const { Client } = dnsPg(pg, { dnsLookup: dns, dnsFallback: false });
    for (const Class of [Client, class extends Client {}]) {
      const one = pool({ Client: Class, max: 1 } as pg.PoolConfig);
      assertEquals(await where(one), first.host);
    }
  }));

Deno.test("dnsPg(): connect() returns a promise of the class in the option Promise", () =>
  withModule(async ({ make }) => {
    class Mine<T> extends Promise<T> {}
    const client = make({ Promise: Mine } as pg.ClientConfig);
    const connecting = client.connect();
    assert(connecting instanceof Mine);
    await connecting;
  }));

Deno.test("dnsPg(): a statement that ends what another session runs goes to the server of that session", () =>
  withModule(async ({ dns, make }) => {
    const old = make();
    await old.connect();
    dns.addresses = [second.host];
    await until(() => old.departed);
    const other = make();
    await other.connect();
    assertEquals(await where(other), second.host);
    const { processID } = old as unknown as { processID: number };
    const cancelled = assertRejects(() => soon(old.query("SELECT pg_sleep(30)")));
    const { rows } = await other.query("SELECT pg_cancel_backend($1) AS done", [processID]);
    assertEquals(rows, [{ done: true }]);
    assertEquals((await cancelled as pg.DatabaseError).code, "57014");
  }));

Deno.test("dnsPg(): cancel() goes to the server of the client whose query it cancels", () =>
  withModule(async ({ make }) => {
    const client = make();
    await client.connect();
    const query = new pg.Query("SELECT pg_sleep(30)");
    const failed = new Promise<pg.DatabaseError>((resolve) => query.on("error", resolve as never));
    client.query(query);
    const watcher = make();
    await watcher.connect();
    const running = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active'";
    const { processID } = client as unknown as { processID: number };
    await until(async () => (await watcher.query(running, [processID])).rowCount === 1);
    const { constructor: Client } = client;
    const canceller = new (Client as typeof pg.Client)({ host: "db.internal", port: first.port });
    (canceller as unknown as { cancel(client: unknown, query: unknown): void }).cancel(
      client,
      query,
    );
    assertEquals((await soon(failed)).code, "57014");
  }));

Deno.test("dnsPg(): an IP address works as the host", async () => {
  const { Client } = dnsPg(pg);
  const client = new Client({ ...LOGIN, host: first.host, port: first.port }) as Client;
  await client.connect();
  assertEquals([await where(client), client.departed], [first.host, false]);
  await client.end();
  const refused = new Client({ host: "::1", port: REFUSING_PORT });
  const error = await new Promise((resolve) => refused.connect(resolve));
  assertStringIncludes(String((error as { code: string }).code), "E");
});

Deno.test("dnsPg(): what a client runs is cancelled on the server when its retireGrace is over", async () => {
  await withModule(async ({ dns, make }) => {
    const client = make();
    await client.connect();
    const watcher = new pg.Client({ ...LOGIN, host: first.host, port: first.port });
    await watcher.connect();
    const running = async () =>
      (await watcher.query(
        "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'",
      )).rowCount;
    try {
      const lost = client.query("SELECT pg_sleep(30)").then(() => undefined, (error) => error);
      await until(async () => await running() === 1);
      dns.addresses = [second.host];
      assert(await soon(lost) instanceof Error);
      await until(async () => await running() === 0);
    } finally {
      await watcher.end();
    }
  }, { retireGrace: 0.1 });
});

Deno.test("dnsPg(): after a migration, a client whose named statement fails is not handed out again by a library", async () => {
  await withModule(async ({ make }) => {
    const client = make();
    await client.connect();
    await client.query("CREATE TABLE migrated (name text)");
    const statement = { name: "all", text: "SELECT * FROM migrated" };
    await client.query(statement);
    await client.query("ALTER TABLE migrated ADD COLUMN size int");
    assertEquals([client.departed, client._invalid], [false, undefined]);
    await assertRejects(() => client.query(statement), Error, "cached plan");
    assertEquals([client.departed, client._invalid], [true, true]);
    await client.query("DROP TABLE migrated");
  });
});

Deno.test('dnsPg(): with connectRetry "always", the first client waits for name and server until its own timeout', async () => {
  await withModule(async ({ dns, make, pool }) => {
    dns.failure = "negative";
    const client = make({ connectionTimeoutMillis: 20_000 });
    const connecting = client.connect();
    const asking = where(pool({ connectionTimeoutMillis: 20_000, max: 1 }));
    await until(() => Promise.resolve(dns.questions.length >= 3));
    dns.addresses = ["127.0.0.1"]; // no server has this address and port
    dns.failure = undefined;
    const { length } = dns.questions;
    await until(() => Promise.resolve(dns.questions.length >= length + 3));
    dns.addresses = [first.host];
    await connecting;
    assertEquals([await where(client), await asking], [first.host, first.host]);
  }, { connectRetry: "always", dnsGraceTtl: 0 });
});
