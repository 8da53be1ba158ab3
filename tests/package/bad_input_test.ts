import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { inspect } from "node:util";
import {
  clearDnsCache,
  ConnectError,
  DatabaseUrl,
  type Engine,
  type EngineOptions,
  getDnsEngine,
  getIpWithTtl,
  LookupError,
  ResolveError,
} from "../../mod.ts";
import { show } from "../../internal/argument_error.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { DnsServer, fakeAdapter } from "../../testing/mod.ts";
import { Lag } from "../support/lag.ts";

/** Two spellings, raw and in a URL, of which neither may be seen anywhere. */
const PASSWORD = "hun ter2/%";
const SPELLINGS = /hun ter2|hun%20ter2|hun\+ter2/;

function urlOf(host: string, port: number): DatabaseUrl {
  return new DatabaseUrl({
    dialect: "postgresql",
    user: "app",
    password: PASSWORD,
    host,
    port,
    database: "orders",
  });
}

/** An error and all that it hangs on. */
function chainOf(error: unknown): Error[] {
  const chain: Error[] = [];
  for (let link = error; link instanceof Error; link = link.cause) chain.push(link);
  return chain;
}

function assertNoPassword(...values: unknown[]): void {
  const all = { showHidden: true, depth: 20, getters: true };
  for (const value of values) {
    const texts = [
      Deno.inspect(value),
      Deno.inspect(value, all),
      inspect(value, all),
      String(value),
      JSON.stringify(value),
    ];
    for (const error of chainOf(value)) {
      const attempts = error instanceof ConnectError ? error.attempts : [];
      const fields = JSON.stringify(error, Object.getOwnPropertyNames(error));
      texts.push(error.message, error.stack ?? "", fields, JSON.stringify(attempts));
    }
    for (const text of texts) assertFalse(SPELLINGS.test(text ?? ""), text?.slice(0, 500));
  }
}

/** Nothing is out and nothing under way. */
function assertGivenBack(engine: Engine<unknown>): void {
  const { idle, inUse, connecting, waiting, opened, closed, detached } = engine.status();
  assertEquals({ inUse, connecting, waiting }, { inUse: 0, connecting: 0, waiting: 0 });
  assertEquals(opened, closed + idle + detached);
}

/** An engine with a single slot, for `db.internal` at this DNS server. */
function engineFor(
  dns: { address: string },
  port: number,
  options?: EngineOptions,
): Engine<unknown> {
  return getDnsEngine(urlOf("db.internal", port), {
    dnsNameservers: [dns.address],
    dnsFallback: false,
    poolSize: 1,
    maxOverflow: 0,
    ...options,
  });
}

async function withDns(addresses: string[]): Promise<DnsServer> {
  const dns = await DnsServer.start();
  if (addresses.length > 0) dns.set("db.internal", addresses, { ttl: 60 });
  return dns;
}

/** Returns a UDP and TCP port on loopback that is closed. */
async function closedPort(): Promise<{ address: string }> {
  const dns = await DnsServer.start();
  await dns.close();
  return { address: dns.address };
}

Deno.test("getDnsEngine() refuses a URL without a host, whatever else it has", () => {
  const urls = {
    "postgresql://": "postgresql://",
    "postgresql:///orders": "postgresql:///orders",
    "postgresql://:5432/orders": "postgresql://:5432/orders",
    "postgres://app:hun%20ter2@/orders": "postgresql://app:***@/orders",
    "postgresql+pg://app@?application_name=x": "postgresql+pg://app@?application_name=x",
  };
  for (const [url, shown] of Object.entries(urls)) {
    for (const options of [{}, { adapter: fakeAdapter() }]) {
      const error = assertThrows(() => getDnsEngine<unknown>(url, options), TypeError);
      assertEquals(
        error.message,
        `"database URL" must be a URL with a host, got ${show(shown)}`,
      );
      assertNoPassword(error);
    }
  }
});

Deno.test("getDnsEngine() refuses a dialect or driver that it does not know, and names those it does", () => {
  const dialects =
    '"dialect of the database URL" must be one of "postgresql", "mysql", "mariadb", "sqlite", unless the option "adapter" is given, got';
  const drivers =
    '"driver of the database URL" must be one of "pg", "postgresjs", "db-postgres", "bun" for postgresql, unless the option "adapter" is given, got';
  const refused: [url: string, message: string][] = [
    ["oracle://app:hun%20ter2@db.internal/x", `${dialects} "oracle"`],
    ["constructor://db.internal/x", `${dialects} "constructor"`],
    ["http://db.internal/x", `${dialects} "http"`],
    ["postgresql+asyncpg://app:hun%20ter2@db.internal/x", `${drivers} "asyncpg"`],
    ["postgres+toString://db.internal/x", `${drivers} "tostring"`],
    ["postgresql+constructor://db.internal/x", `${drivers} "constructor"`],
  ];
  for (const [url, message] of refused) {
    const error = assertThrows(() => getDnsEngine(url), TypeError);
    assertStringIncludes(error.message, message);
    assertNoPassword(error);
    // With an adapter that the caller passes in, any dialect is accepted.
    assertEquals(getDnsEngine(url, { adapter: fakeAdapter() }).driver, "fake");
  }
});

Deno.test("getDnsEngine() refuses a URL parameter that would send the socket somewhere else", () => {
  for (const name of ["host", "hostname", "hostaddr"]) {
    const error = assertThrows(
      () => getDnsEngine(`postgresql://db.internal/x?${name}=10.0.0.9`),
      TypeError,
    );
    assertStringIncludes(
      error.message,
      `"parameter ${name} of the database URL" must not be given: the address comes from DNS`,
    );
  }
});

Deno.test("getDnsEngine() refuses text that is no URL without a word of the password", () => {
  for (
    const url of [
      "app:hun%20ter2@db.internal",
      "postgresql://app:hun%20ter2",
      "postgresql://app:hun%20ter2%@h",
      "postgresql://app:x@hun%20ter2@h/d",
    ]
  ) {
    assertNoPassword(assertThrows(() => getDnsEngine(url), TypeError));
  }
  for (const url of [undefined, null, 5, {}]) {
    assertThrows(
      () => getDnsEngine(url as string),
      TypeError,
      '"database URL" must be a string, a URL or a DatabaseUrl, got ',
    );
  }
});

Deno.test("getIpWithTtl() refuses a value that is no host name", async () => {
  for (
    const host of [
      "",
      ".",
      "a..b",
      "a b",
      "[::1]",
      "a/b",
      "a,b",
      "db.internal:5432",
      "x".repeat(64),
    ]
  ) {
    const error = await assertRejects(() => getIpWithTtl(host), TypeError);
    assertStringIncludes(error.message, '"host" must be ');
  }
  const url = "postgresql://app:hun%20ter2@db.internal/x";
  assertNoPassword(await assertRejects(() => getIpWithTtl(url), TypeError));
  for (const host of [undefined, null, 5, {}]) {
    await assertRejects(
      () => getIpWithTtl(host as string),
      TypeError,
      '"host" must be a host name of at most 253 characters in labels of 1 to 63',
    );
  }
});

Deno.test("a driver that is not installed is named at the first connect, with the commands that install it", async () => {
  const nowhere = new URL("no_such_driver.js", import.meta.url).href;
  const map = { imports: { "pg": nowhere, "npm:pg": nowhere } };
  const imports = encodeURIComponent(JSON.stringify(map));
  const program = `
    import { getDnsEngine } from "${new URL("../../mod.ts", import.meta.url)}";
    const engine = getDnsEngine("postgresql://app:hun%20ter2@127.0.0.1:1/orders", { poolSize: 1, maxOverflow: 0 });
    for (let i = 0; i < 3; i++) {
      const error = await engine.connect().catch((error) => error);
      const { inUse, connecting, waiting } = engine.status();
      console.log(JSON.stringify({
        name: error.name,
        driver: error.driver,
        message: error.message,
        why: error.cause instanceof Error,
        inspected: Deno.inspect([error, engine]),
        left: inUse + connecting + waiting,
      }));
    }
    await engine.close();
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      "--no-lock",
      "--no-config",
      `--import-map=data:application/json,${imports}`,
      "-",
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const { code, stdout } = await child.output();
  assertEquals(code, 0);
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals(lines.length, 3);
  for (const line of lines) {
    const { name, driver, message, why, left } = JSON.parse(line);
    assertEquals({ name, driver, why, left }, {
      name: "DriverUnavailableError",
      driver: "pg",
      why: true,
      left: 0,
    });
    assertEquals(
      message,
      'Cannot load the driver "pg": it is not installed here, run "npm install pg", "bun add pg" or "deno add npm:pg"',
    );
    assertFalse(SPELLINGS.test(line));
  }
});

Deno.test("DNS out of reach with nothing cached: an error that names the host, the lookup's own as cause, the slot given back", async () => {
  const closed = await closedPort();
  await using silent = await DnsServer.start();
  silent.set("db.internal", ["127.0.0.1"]);
  silent.fault("db.internal", { drop: true });
  for (const dns of [closed, silent]) {
    const options: EngineOptions = { dnsTimeout: 0.3 };
    const engine = engineFor(dns, 1, options);
    const errors: unknown[] = [];
    engine.addEventListener("lookuperror", ({ detail }) => errors.push(detail.error));
    using lag = new Lag();
    const startMs = performance.now();
    const waits = [engine.connect(), engine.connect(), engine.query("SELECT 1")];
    for (const outcome of await Promise.allSettled(waits)) {
      assert(outcome.status === "rejected");
      const error = outcome.reason;
      assertInstanceOf(error, ResolveError);
      assertEquals(error.host, "db.internal");
      assertStringIncludes(error.message, 'Cannot resolve "db.internal": ');
      assertInstanceOf(error.cause, Error);
      assertNoPassword(error, engine, engine.status(), errors);
    }
    assertLess(performance.now() - startMs, lag.limit(2000));
    assertGivenBack(engine);
    assertEquals(errors.length, 1);
    const { dnsTimeout } = options;
    const error = await assertRejects(
      () =>
        getIpWithTtl("DB.internal.", {
          dnsNameservers: [dns.address],
          dnsFallback: false,
          dnsTimeout: dnsTimeout!,
        }),
      ResolveError,
      'Cannot resolve "db.internal": ',
    );
    assertInstanceOf(error.cause, Error);
    await engine.close();
  }
});

Deno.test("a name that does not exist is said to, with the lookup's error as cause", async () => {
  await using dns = await withDns([]);
  const engine = engineFor(dns, await freePort(["127.0.0.1"]), { dnsTimeout: 2 });
  const error = await assertRejects(
    () => engine.connect(),
    ResolveError,
    'Cannot resolve "db.internal": ',
  );
  assertInstanceOf(error.cause, LookupError);
  assertStringIncludes(error.cause.message, dns.address);
  assertGivenBack(engine);
  assertNoPassword(error, engine);
  // The slot is free: once there is an answer, the connect goes as far as the address.
  dns.set("db.internal", ["127.0.0.1"]);
  clearDnsCache();
  await assertRejects(() => engine.connect(), ConnectError, 'Cannot connect to "db.internal"');
  await engine.close();
});

Deno.test("a server that refuses: an error that names host and address, the driver's own as cause, the slot given back", async () => {
  const port = await freePort(["127.0.0.1"]);
  await using dns = await withDns(["127.0.0.1"]);
  const engine = engineFor(dns, port);
  for (let round = 0; round < 3; round++) {
    const waits = [engine.connect(), engine.use(() => {}), engine.query("SELECT 1")];
    for (const outcome of await Promise.allSettled(waits)) {
      assert(outcome.status === "rejected");
      const error = outcome.reason;
      assertInstanceOf(error, ConnectError);
      assertEquals(error.host, "db.internal");
      assertStringIncludes(
        error.message,
        `Cannot connect to "db.internal": 127.0.0.1:${port} said: `,
      );
      assertEquals((error.cause as { code?: string }).code, "ECONNREFUSED");
      assertEquals(error.attempts.map(({ address }) => address), ["127.0.0.1"]);
      assertEquals(error.attempts[0]!.error, error.cause);
      assertNoPassword(error, engine, engine.status());
    }
    assertGivenBack(engine);
  }
  assertEquals(engine.status().opened, 0);
  await engine.close();
});

Deno.test("two servers that refuse are both tried and both named", async () => {
  const port = await freePort(["127.0.0.1"]);
  const engine = getDnsEngine(urlOf("localhost", port));
  const error = await assertRejects(() => engine.connect(), ConnectError);
  assertStringIncludes(error.message, `Cannot connect to "localhost": 127.0.0.1:${port} said: `);
  assertStringIncludes(error.message, `; [::1]:${port} said: `);
  assertEquals(error.attempts.map(({ address }) => address), ["127.0.0.1", "::1"]);
  assertGivenBack(engine);
  assertNoPassword(error, engine);
  await engine.close();
});

Deno.test("what a driver says about the password does not come into our message", async () => {
  const engine = getDnsEngine(urlOf("10.0.0.1", 5432), {
    adapter: fakeAdapter({
      connect(_, { password }) {
        throw new Error(`I do not like "${password}"`);
      },
    }),
  });
  const error = await assertRejects(() => engine.connect(), ConnectError);
  assertStringIncludes(error.message, 'said: I do not like "***"');
  assertFalse(SPELLINGS.test(error.message + error.stack));
  await engine.close();
});

let server: PostgresServer;

Deno.test.beforeAll(async () => {
  const [host] = await loopbackPair();
  const port = await freePort([host]);
  server = await startPostgres({
    host,
    port,
    user: "admin",
    password: "adm1n",
    database: "orders",
  });
  await asAdmin("CREATE ROLE app LOGIN PASSWORD 'another one'");
});

Deno.test.afterAll(() => server.stop({ mode: "immediate" }));

async function asAdmin(text: string): Promise<void> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  await client.query(text);
  await client.end();
}

Deno.test("a wrong password: the driver's error as cause, the host in the message, the slot given back, the password nowhere", async () => {
  await using dns = await withDns([server.host]);
  const engine = engineFor(dns, server.port, { connectTimeout: 30 });
  for (let round = 0; round < 2; round++) {
    const waits = [engine.connect(), engine.use(() => {}), engine.query("SELECT 1")];
    for (const outcome of await Promise.allSettled(waits)) {
      assert(outcome.status === "rejected");
      const error = outcome.reason;
      assertInstanceOf(error, ConnectError);
      assertEquals(error.host, "db.internal");
      assertEquals(
        error.message,
        `Cannot connect to "db.internal": ${server.host}:${server.port} said: password authentication failed for user "app"`,
      );
      assertEquals((error.cause as { code?: string }).code, "28P01");
      assertNoPassword(error, engine, engine.status(), engine.url);
    }
    assertGivenBack(engine);
  }
  // The one slot is there when the password is right.
  await asAdmin(`ALTER ROLE app PASSWORD '${PASSWORD}'`);
  const lease = await engine.connect();
  assertNoPassword(engine, engine.status());
  assertFalse(SPELLINGS.test(Deno.inspect(lease, { depth: 20 }) + inspect(lease, { depth: 20 })));
  const rows = (await (lease.client as pg.Client).query("SELECT current_user::text AS who")).rows;
  assertEquals(rows, [{ who: "app" }]);
  await lease.release();
  assertEquals(engine.status().idle, 1);
  await engine.close();
  assertNoPassword(engine);
  assertNoPassword(await assertRejects(() => engine.connect()));
});

Deno.test("a database that does not exist is named by the driver's error, and a wrong password is never tried again", async () => {
  await using dns = await withDns([server.host]);
  const url = DatabaseUrl.parse(server.url()).with({ host: "db.internal", database: "nowhere" });
  const engine = getDnsEngine(url, { dnsNameservers: [dns.address], poolTimeout: 30 });
  const error = await assertRejects(
    () => engine.connect(),
    ConnectError,
    'database "nowhere" does not exist',
  );
  assertEquals((error.cause as { code?: string }).code, "3D000");
  assertGivenBack(engine);
  await engine.close();
});
