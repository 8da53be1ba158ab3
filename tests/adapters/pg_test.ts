import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Target } from "../../adapters/adapter.ts";
import {
  lazyPgAdapter,
  pgAdapter,
  type PgClient,
  type PgConfig,
  type PgModule,
} from "../../adapters/pg.ts";
import {
  ConnectError,
  DatabaseUrl,
  type Engine,
  type EngineOptions,
  getDnsEngine,
  type Lease,
} from "../../mod.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { hungUp, withMute } from "../support/bad_servers.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { inspected } from "../support/inspected.ts";
import { message, READY, TLS_REFUSED } from "../support/postgres_subject.ts";
import { runProgram } from "../support/program.ts";
import { meets, STACKS_END_AT_THEN } from "../support/runtime_exceptions.ts";
import { makeTarget, type Same } from "../support/target.ts";
import { soon, until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "it's a s3cret", database: "orders" };

let server: PostgresServer;

Deno.test.beforeAll(async () => {
  const [host] = await loopbackPair();
  server = await startPostgres({ host, port: await freePort([host]), ...LOGIN });
  await asAdmin("CREATE TABLE things (n int)");
});

Deno.test.afterAll(() => server.stop({ mode: "immediate" }));

async function asAdmin(text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const adapter = pgAdapter(pg);

function targetOf(changes: Partial<Target> = {}): Target {
  return makeTarget({
    ...LOGIN,
    port: server.port,
    addresses: () => [server.host],
    ...changes,
  });
}

function engineFor(query = "", options: EngineOptions<pg.Client> = {}): Engine<pg.Client> {
  const url = `${
    DatabaseUrl.parse(server.url()).with({ host: "db.internal" }).render({ hidePassword: false })
  }${query}`;
  return getDnsEngine(url, {
    adapter,
    dnsLookup: fakeLookup([server.host], 60),
    connectTimeout: 30,
    ...options,
  });
}

async function ask(client: pg.Client, expression: string): Promise<unknown> {
  return (await client.query({ text: `SELECT ${expression}`, rowMode: "array" })).rows[0]?.[0];
}

Deno.test("pgAdapter(): returns an adapter whose leases have the type pg.Client", () => {
  const engine = getDnsEngine("postgresql://app@127.0.0.1/orders", { adapter: pgAdapter(pg) });
  const engineIsTyped: Same<typeof engine, Engine<pg.Client>> = true;
  const leaseIsTyped: Same<Awaited<ReturnType<typeof engine.connect>>, Lease<pg.Client>> = true;
  const clientIsTyped: Same<Lease<pg.Client>["client"], pg.Client> = true;
  assert(engineIsTyped && leaseIsTyped && clientIsTyped);
  assertEquals([adapter.name, adapter.defaultPort], ["pg", 5432]);
});

Deno.test("pgAdapter(): refuses anything but the module pg", () => {
  for (const value of [undefined, null, {}, "pg", new pg.Client(), { default: pg }]) {
    assertThrows(
      () => pgAdapter(value as typeof pg),
      TypeError,
      '"pg" must be what `import pg from "pg"` gives, with a class "Client", got ',
    );
  }
});

Deno.test("pgAdapter().connect(): passes URL parameters and connectArgs to the server, and connectArgs override", async () => {
  const settings =
    "application_name,statement_timeout,lock_timeout,idle_in_transaction_session_timeout,work_mem,client_encoding"
      .split(",");
  const settingsOf = async (engine: Engine<pg.Client>) => {
    await using lease = await engine.connect();
    const array = settings.map((name) => `current_setting('${name}')`);
    return await ask(lease.client, `json_build_array(${array})`);
  };
  const query = "?application_name=from%20the%20url&statement_timeout=11000&lock_timeout=12000" +
    "&idle_in_transaction_session_timeout=13000&options=-c%20work_mem%3D5MB&client_encoding=UTF8";
  const plain = engineFor(query);
  assertEquals(await settingsOf(plain), ["from the url", "11s", "12s", "13s", "5MB", "UTF8"]);
  await plain.close();
  const overridden = engineFor(query, {
    connectArgs: { application_name: "from the arguments", statement_timeout: 21_000 },
  });
  assertEquals(await settingsOf(overridden), [
    "from the arguments",
    "21s",
    "12s",
    "13s",
    "5MB",
    "UTF8",
  ]);
  await overridden.close();
  const fallback = engineFor("?fallback_application_name=fallback");
  assertEquals((await settingsOf(fallback) as string[])[0], "fallback");
  await fallback.close();
});

Deno.test("pgAdapter() in an engine: limits a query by query_timeout, and does not lease the busy connection", async () => {
  const warnings: string[] = [];
  const logger = { debug() {}, info() {}, warn: (line: string) => void warnings.push(line) };
  const engine = engineFor("?query_timeout=500", { poolSize: 1, maxOverflow: 0, logger });
  await assertRejects(() => engine.query("SELECT pg_sleep(1.5)"), Error, "Query read timeout");
  assertEquals(await engine.query("SELECT 1 AS n"), [{ n: 1 }]);
  // The rollback was sent when the query had ended.
  assertEquals(engine.status().opened, 1);
  assertEquals(warnings, []);
  await engine.close();
});

Deno.test("pgAdapter() in an engine: leaves no listener behind when a checkin waits for a query", async () => {
  const engine = engineFor("", { poolSize: 1, maxOverflow: 0 });
  const lease = await engine.connect();
  const { client } = lease;
  const listeners = () => client.listenerCount("end") + client.listenerCount("drain");
  const before = listeners();
  await lease.release();
  for (let round = 0; round < 3; round++) {
    await engine.use(({ client }) => void client.query("SELECT 1"));
  }
  assertEquals(listeners(), before);
  await engine.close();
});

/** Makes a module whose client records its configuration and connects to nothing. */
function recordingDriver(): {
  configs: PgConfig[];
  adapter: ReturnType<typeof pgAdapter<PgClient>>;
} {
  const configs: PgConfig[] = [];
  class Client implements PgClient {
    constructor(config: PgConfig) {
      configs.push(config);
    }
    connect = () => Promise.resolve();
    end = () => Promise.resolve();
    query = () => Promise.resolve({ rows: [] });
    on = () => this;
  }
  return { configs, adapter: pgAdapter<PgClient>({ Client }) };
}

Deno.test("pgAdapter().connect(): passes IP address and keepalive to the driver, and nothing that is not given", async () => {
  const { configs, adapter } = recordingDriver();
  const bare = { user: undefined, password: undefined, database: undefined };
  await adapter.connect("10.0.0.2", targetOf({ ...bare, port: 1234 }));
  await adapter.connect("fd00::2", targetOf({ port: 1234, keepAlive: false }));
  assertEquals(configs, [
    { host: "10.0.0.2", port: 1234, keepAlive: true, keepAliveInitialDelayMillis: 30_000 },
    {
      ...LOGIN,
      host: "fd00::2",
      port: 1234,
      keepAlive: false,
      keepAliveInitialDelayMillis: 30_000,
    },
  ]);
});

Deno.test("pgAdapter().connect(): lets connectArgs override everything in the URL except the address", async () => {
  const { configs, adapter } = recordingDriver();
  const args = {
    user: "u",
    password: "p",
    database: "d",
    keepAlive: false,
    keepAliveInitialDelayMillis: 1,
    application_name: "x",
    types: {},
  };
  const params = { application_name: "y" };
  await adapter.connect(
    "10.0.0.2",
    targetOf({ params, connectArgs: { ...args, host: "10.0.0.9" } }),
  );
  assertEquals(configs as unknown[], [{ ...args, host: "10.0.0.2", port: server.port }]);
});

Deno.test("pgAdapter() in an engine: .pgpass and a password function are asked for the host name", async () => {
  const { user, password, database } = LOGIN;
  const directory = await mkdtemp(join(tmpdir(), "dnspool_pgpass_"));
  const file = join(directory, "pgpass");
  try {
    const line = ["db.internal", server.port, database, user, password].join(":");
    await writeFile(file, `${line}\n`, { mode: 0o600 });
    process.env.PGPASSFILE = file;
    const url = `postgresql://${user}@db.internal:${server.port}/${database}`;
    const asked: unknown[] = [];
    const ofFunction = ({ host }: { host: string }) => (asked.push(host), password);
    for (const connectArgs of [{}, { password: ofFunction }]) {
      const engine = getDnsEngine(url, {
        adapter,
        connectArgs,
        dnsLookup: fakeLookup([server.host], 60),
        dnsFallback: false,
      });
      assertEquals(await engine.query("SELECT 1 AS one"), [{ one: 1 }]);
      await engine.close();
    }
    assertEquals(asked, ["db.internal"]);
  } finally {
    delete process.env.PGPASSFILE;
    await rm(directory, { recursive: true });
  }
});

Deno.test("pgAdapter().connect(): lets the driver check the certificate for the host name, and sends no IP address as a name", async () => {
  const { configs, adapter } = recordingDriver();
  const NAME = "db.internal";
  const own = { ca: "…" };
  const cases: [Partial<Target>, unknown][] = [
    [{}, undefined],
    [{ params: { sslmode: "disable" } }, false],
    [{ params: { sslmode: "verify-full" } }, { servername: NAME, rejectUnauthorized: true }],
    [{ params: { sslmode: "require" } }, { servername: NAME, rejectUnauthorized: false }],
    [{ connectArgs: { ssl: true } }, { servername: NAME }],
    [{ connectArgs: { ssl: own } }, { servername: NAME, ca: "…" }],
    [{ connectArgs: { ssl: own }, params: { sslmode: "verify-full" } }, {
      servername: NAME,
      rejectUnauthorized: true,
      ca: "…",
    }],
    [{ connectArgs: { ssl: { servername: "other" } } }, { servername: "other" }],
    [{ connectArgs: { ssl: false } }, false],
    [{ connectArgs: { ssl: true }, host: "10.0.0.2" }, { host: "10.0.0.2" }],
    [{ connectArgs: { ssl: true }, host: "fd00::2" }, { host: "fd00::2" }],
  ];
  for (const [changes] of cases) await adapter.connect("10.0.0.2", targetOf(changes));
  assertEquals(configs.map(({ ssl }) => ssl as unknown), cases.map(([, ssl]) => ssl));
  assertEquals(own, { ca: "…" });
});

Deno.test("pgAdapter().connect(): passes on a client's key that pg makes non-enumerable", async () => {
  const seen: unknown[] = [];
  class Client extends pg.Client {
    override connect(): Promise<never> {
      const { ssl } = this.connection as unknown as { ssl: Record<string, unknown> };
      seen.push([ssl.servername, ssl.cert, ssl.key]);
      return Promise.reject(new Error("not connected"));
    }
  }
  const adapter = pgAdapter({ Client } as unknown as PgModule<pg.Client>);
  const ssl = { cert: "a certificate", key: "a key" };
  // The second time, the key is non-enumerable already.
  for (let i = 0; i < 2; i++) {
    const target = targetOf({ connectArgs: { ssl } });
    await assertRejects(() => adapter.connect("10.0.0.2", target), Error, "not connected");
  }
  assertEquals(seen, Array(2).fill(["db.internal", "a certificate", "a key"]));
});

Deno.test("pgAdapter().connect(): obeys sslmode without a fallback to plain text, and refuses unknown modes", async () => {
  const plain = engineFor("?sslmode=disable");
  assertEquals(await plain.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), [{
    ssl: false,
  }]);
  await plain.close();
  const secure = engineFor("?sslmode=verify-full");
  await assertRejects(
    () => secure.connect(),
    ConnectError,
    "The server does not support SSL connections",
  );
  await secure.close();
  for (const mode of ["prefer", "allow", "no-verify", "", "DISABLE"]) {
    assertThrows(
      () => engineFor(`?sslmode=${mode}`),
      TypeError,
      `"sslmode of the database URL" must be one of "disable", "require", "verify-ca", "verify-full" (no fallback to plain text), got "${mode}"`,
    );
  }
});

Deno.test("pgAdapter().check(): refuses a URL parameter that pg would ignore, or that is given twice", () => {
  const refused: [query: string, message: string][] = [
    [
      "?aplication_name=x",
      '"aplication_name" is not a URL parameter of the driver pg (others go into "connectArgs"), did you mean "application_name"?',
    ],
    [
      "?sslrootcert=x",
      '"sslrootcert of the database URL" must not be given: TLS is off, add sslmode=verify-full',
    ],
    [
      "?constructor=x",
      '"constructor" is not a URL parameter of the driver pg (others go into "connectArgs"); there are application_name, client_encoding,',
    ],
    [
      "?lock_timeout=2s",
      '"lock_timeout of the database URL" must be a whole number of at least 0, got "2s"',
    ],
    [
      "?application_name=a&application_name=b",
      '"application_name of the database URL" must be given once, got 2 values',
    ],
    [
      "?sslmode=disable&sslmode=verify-full",
      '"sslmode of the database URL" must be given once, got 2 values',
    ],
  ];
  for (const [query, message] of refused) {
    assertThrows(() => engineFor(query), TypeError, message);
  }
});

const REFUSAL = message("E", "SFATAL\0C53300\0Mtoo many\0\0");

Deno.test("pgAdapter().connect(): rejects with the reason of an abort that is no error", async () => {
  await withMute([], async ({ port, conn, silent }) => {
    const controller = new AbortController();
    const target = targetOf({ port, signal: controller.signal });
    const outcome = adapter.connect("127.0.0.1", target).catch((reason) => reason);
    await silent;
    controller.abort("enough");
    assertEquals(await soon(outcome) as unknown, "enough");
    await hungUp(await conn);
  });
});

Deno.test("pgAdapter().connect(): closes the socket if the server refuses and leaves it open", async () => {
  const refusals = [
    [REFUSAL, {}, "too many"],
    [TLS_REFUSED, { sslmode: "verify-full" }, "The server does not support SSL connections"],
  ] as const;
  for (const [reply, params, message] of refusals) {
    await withMute([reply], async ({ port, conn }) => {
      const connecting = adapter.connect("127.0.0.1", targetOf({ port, params }));
      await assertRejects(() => soon(connecting), Error, message);
      await hungUp(await conn);
    });
  }
});

Deno.test("pgAdapter().connect(): rejects at an abort before the socket is open, and leaves no socket", async () => {
  const reason = new Error("enough");
  const { configs, adapter: recorder } = recordingDriver();
  const aborted = targetOf({ signal: AbortSignal.abort(reason) });
  assertStrictEquals(await assertRejects(() => recorder.connect(server.host, aborted)), reason);
  assertEquals(configs, []);

  // While the driver is loading.
  const controller = new AbortController();
  let loaded!: () => void;
  const loading = new Promise<void>((resolve) => loaded = resolve);
  const lazy = lazyPgAdapter(() => loading.then(() => pg));
  const connecting = lazy.connect(server.host, targetOf({ signal: controller.signal }));
  controller.abort(reason);
  loaded();
  assertStrictEquals(await assertRejects(() => connecting), reason);

  // Right after the start of the dial.
  const early = new AbortController();
  const begun = adapter.connect(server.host, targetOf({ signal: early.signal }));
  await Promise.resolve();
  early.abort(reason);
  assertStrictEquals(await assertRejects(() => begun), reason);
});

Deno.test("pgAdapter().query(): has the caller in the stack of a failed statement", async () => {
  const engine = engineFor();
  await engine.query("SELECT 1"); // so that the stack contains no dial
  const askForNothing = async () => await engine.query("SELECT nothing");
  const { stack, message } = await assertRejects(() => askForNothing(), Error);
  assert(stack!.startsWith(`error: ${message}\n`), stack);
  assertEquals(stack!.includes("askForNothing"), !meets(STACKS_END_AT_THEN), stack);
  await engine.close();
});

Deno.test("pgAdapter().query(): returns the rows of the first statement that has columns", async () => {
  const engine = engineFor();
  assertEquals(await engine.query("SET lock_timeout = 0; SELECT 1 AS n; SELECT 2 AS n"), [{
    n: 1,
  }]);
  assertEquals(await engine.query("SET lock_timeout = 0; SET lock_timeout = 0"), []);
  assertEquals(await engine.query("SELECT 1 AS n WHERE false; SELECT 2 AS n"), []);
  await engine.close();
});

Deno.test("pgAdapter().query(): supports clients without callbacks and clients that throw", async () => {
  const { adapter } = recordingDriver();
  const client = await adapter.connect("10.0.0.2", targetOf({}));
  client.query = () => Promise.resolve({ rows: [{ n: 1 }] });
  assertEquals(await adapter.query!(client, "SELECT 1"), [{ n: 1 }]);
  client.query = () => Promise.reject(new Error("later"));
  await assertRejects(() => adapter.query!(client, "SELECT 1"), Error, "later");
  client.query = () => {
    throw new Error("at once");
  };
  await assertRejects(() => adapter.query!(client, "SELECT 1"), Error, "at once");
});

/** Waits for the end of a failed query, which may arrive a packet later than its error. */
function queriesDone(client: pg.Client): Promise<void> {
  return until(() => adapter.transactionStatus!(client) !== undefined);
}

/** Records the statements that are sent on a connection from now on. */
function recordStatements(client: pg.Client): unknown[] {
  const sent: unknown[] = [];
  const query = client.query;
  client.query = ((...args: unknown[]) => {
    sent.push(args[0]);
    return Reflect.apply(query, client, args);
  }) as typeof query;
  return sent;
}

Deno.test("pgAdapter() in an engine: rolls an open transaction back at checkin, by one ROLLBACK", async () => {
  const engine = engineFor("", { poolSize: 1, maxOverflow: 0 });
  const lease = await engine.connect();
  const { client } = lease;
  const pid = await ask(client, "pg_backend_pid()");
  await client.query("BEGIN");
  await client.query("INSERT INTO things VALUES (1)");
  const sent = recordStatements(client);
  await lease.release();
  assertEquals(sent, ["ROLLBACK"]);
  const next = await engine.connect();
  assertStrictEquals(next.client, client);
  assertEquals(await ask(client, "pg_backend_pid()"), pid);
  assertEquals(await ask(client, "count(*)::int FROM things"), 0);
  assertEquals(adapter.transactionStatus!(client), "idle");
  await next.release();
  await engine.close();
});

Deno.test("pgAdapter() in an engine: rolls back a failed transaction at checkin, and one whose last query is running", async () => {
  const engine = engineFor("", { poolSize: 1, maxOverflow: 0 });
  for (const last of ["SELECT 1 / 0", "SELECT pg_sleep(0.1)"]) {
    const lease = await engine.connect();
    const { client } = lease;
    await client.query("BEGIN");
    await client.query("INSERT INTO things VALUES (1)");
    const running = client.query(last);
    if (last.includes("/")) await assertRejects(() => running, Error, "division by zero");
    const sent = recordStatements(client);
    const released = lease.release();
    await running.catch(() => {});
    await released;
    assertEquals(sent, ["ROLLBACK"]);
    const next = await engine.connect();
    assertStrictEquals(next.client, client);
    assertEquals(await ask(client, "count(*)::int FROM things"), 0);
    await next.release();
    await engine.dispose();
  }
  await engine.close();
});

Deno.test("pgAdapter() in an engine: makes no round trip at checkin if no transaction is open", async () => {
  const engine = engineFor("", { poolSize: 1, maxOverflow: 0 });
  const histories = [
    [],
    ["SELECT 1"],
    ["BEGIN", "INSERT INTO things VALUES (2)", "COMMIT"],
    ["BEGIN", "INSERT INTO things VALUES (3)", "ROLLBACK"],
    ["BEGIN", "SELECT 1 / 0", "ROLLBACK"],
    ["SELECT 1 / 0"],
  ];
  for (const history of histories) {
    const lease = await engine.connect();
    for (const text of history) {
      if (text.includes("/")) await assertRejects(() => lease.client.query(text));
      else await lease.client.query(text);
    }
    await queriesDone(lease.client);
    const sent = recordStatements(lease.client);
    await lease.release();
    assertEquals(sent, [], history.join("; "));
    assertEquals(engine.status().idle, 1);
  }
  assertEquals(engine.status().opened, 1);
  assertEquals(await engine.query("SELECT n FROM things"), [{ n: 2 }]);
  await engine.close();
});

Deno.test("pgAdapter().transactionStatus(): is right, and undefined while a query is running", async () => {
  const client = await adapter.connect(server.host, targetOf());
  assertEquals(adapter.transactionStatus!(client), "idle");
  await client.query("BEGIN");
  assertEquals(adapter.transactionStatus!(client), "open");
  await assertRejects(() => client.query("SELECT 1 / 0"));
  await queriesDone(client);
  assertEquals(adapter.transactionStatus!(client), "failed");
  await adapter.reset!(client, "rollback");
  assertEquals(adapter.transactionStatus!(client), "idle");
  const beginning = client.query("BEGIN");
  assertEquals(adapter.transactionStatus!(client), undefined);
  await beginning;
  await client.query("INSERT INTO things VALUES (4)");
  await adapter.reset!(client, "commit");
  assertEquals(adapter.transactionStatus!(client), "idle");
  assertEquals(await ask(client, "count(*)::int FROM things WHERE n = 4"), 1);
  await adapter.close!(client);
  // A version of pg without a transaction status.
  assertEquals(
    adapter.transactionStatus!({ readyForQuery: true } as unknown as pg.Client),
    undefined,
  );
});

Deno.test("pgAdapter().close(): sends Terminate, and terminate() sends nothing", async () => {
  for (const [method, lastBytes] of [["close", "X\0\0\0\x04"], ["terminate", ""]] as const) {
    await withMute([READY], async ({ port, conn, silent }) => {
      const client = await soon(adapter.connect("127.0.0.1", targetOf({ port })));
      await silent;
      const received = hungUp(await conn);
      await soon(Promise.resolve(adapter[method]!(client)));
      assertEquals(await received, lastBytes);
    });
  }
});

Deno.test("pgAdapter().terminate(): closes the socket at once, pending queries reject with the reason, and it may be called again", async () => {
  const client = await adapter.connect(server.host, targetOf());
  const reported: unknown[] = [];
  adapter.onClose!(client, (error) => reported.push(error));
  const ended = new Promise((resolve) => client.once("end", () => resolve(undefined)));
  const reason = new Error("the address departed");
  const pending = [client.query("SELECT pg_sleep(30)"), client.query("SELECT 1")];
  const outcomes = Promise.allSettled(pending);
  adapter.terminate!(client, reason);
  adapter.terminate!(client, new Error("again"));
  for (const outcome of await soon(outcomes)) {
    assert(outcome.status === "rejected");
    assertStrictEquals(outcome.reason, reason);
  }
  await adapter.close!(client);
  adapter.terminate!(client);
  await soon(ended);
  assertEquals(reported, [reason]);
  const error = await assertRejects(() => client.query("SELECT 1"));
  assertEquals(adapter.classify!(error), "disconnect");
});

Deno.test("pgAdapter().terminate(): without a reason, pending queries reject with a disconnect", async () => {
  const client = await adapter.connect(server.host, targetOf());
  const pending = client.query("SELECT pg_sleep(30)");
  pending.catch(() => {});
  adapter.terminate!(client);
  const error = await assertRejects(() => soon(pending), Error, "Connection terminated");
  assertEquals(adapter.classify!(error), "disconnect");
});

Deno.test("pgAdapter().connect(): returns a client whose host is its address, so that a cancel reaches its server", async () => {
  const client = await adapter.connect(server.host, targetOf());
  const { host, port } = client;
  assertEquals([host, port], [server.host, server.port]);
  const pid = await ask(client, "pg_backend_pid()");
  const query = new pg.Query("SELECT pg_sleep(30)");
  const ended = new Promise<Error>((resolve) => query.once("error", resolve));
  client.query(query);
  const sleeping = `SELECT 1 FROM pg_stat_activity WHERE pid = ${pid} AND wait_event = 'PgSleep'`;
  await until(async () => (await asAdmin(sleeping)).length === 1);
  const other = new pg.Client({ host, port }) as pg.Client & {
    cancel(client: pg.Client, query: pg.Query): void;
    connection: { stream: { once(event: "close", listener: () => void): void } };
  };
  const hungUp = new Promise<void>((resolve) => other.connection.stream.once("close", resolve));
  other.cancel(client, query);
  const error = await soon(ended);
  assertEquals(error.message, "canceling statement due to user request");
  assertEquals(adapter.classify!(error), undefined);
  assertEquals(await ask(client, "pg_backend_pid()"), pid);
  await soon(hungUp);
  await adapter.close!(client);
});

Deno.test("pgAdapter().classify(): tells lost connections and read-only servers from ordinary errors", () => {
  const coded = (code: string) => Object.assign(new Error("from the server"), { code });
  const fatal = (code: string) => Object.assign(coded(code), { severity: "FATAL" });
  const table: Record<
    "disconnect" | "closed" | "read-only" | "stale" | "other",
    unknown[]
  > = {
    "disconnect": [
      // Class 08, a crash, a start; 57P01 if the whole server ends.
      ..."08000 08001 08003 08004 08006 08007 57P02 57P03".split(" ").map(coded),
      ...["secure_read", "secure_write", "quickdie"].map((routine) =>
        Object.assign(coded("57P01"), { routine })
      ),
      Object.assign(coded("XX000"), { severity: "PANIC" }),
      ..."ECONNRESET ECONNREFUSED ECONNABORTED EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH ENETRESET ENOTCONN EADDRNOTAVAIL"
        .split(" ").map(coded),
      new Error("Connection terminated"),
      new Error("Connection terminated unexpectedly"),
      new Error("Client has encountered a connection error and is not queryable"),
      new Error("Client was closed and is not queryable"),
    ],
    "closed": [
      Object.assign(fatal("57P01"), { routine: "ProcessInterrupts" }),
      ...["57P01", "57P04", "57P05", "53300"].map(coded),
      ...[fatal("08P01"), fatal("25P03"), fatal("25P04"), fatal("XX000")],
    ],
    "read-only": [coded("25006")],
    "stale": [Object.assign(coded("0A000"), { routine: "RevalidateCachedQuery" })],
    "other": [
      // Wrong number of values, wrong password, no such role or database, cancelled, serialization, deadlock, unique, syntax.
      ..."08P01 28P01 28000 3D000 57014 40001 40P01 23505 42601 25P02 57P06 0A000 108006 08"
        .split(" ").map(coded),
      fatal("28P01"),
      fatal("3D000"),
      Object.assign(coded("25P03"), { severity: "ERROR" }),
      coded("ENOENT"),
      new Error("the Connection terminated"),
      Object.assign(new Error("x"), { code: 25006 }),
      undefined,
      null,
      "Connection terminated",
      5,
      {},
    ],
  };
  for (const [verdict, errors] of Object.entries(table)) {
    for (const error of errors) {
      assertEquals(adapter.classify!(error) ?? "other", verdict, inspected(error));
    }
  }
});

Deno.test("pgAdapter() in an engine: is the default of postgresql URLs", async () => {
  for (const scheme of ["postgresql", "postgres", "postgresql+pg"]) {
    const url = server.url("db.internal").replace(/^\w+/, scheme);
    const engine = getDnsEngine(url, { dnsLookup: fakeLookup([server.host], 60) });
    assertEquals(engine.driver, "pg");
    assertEquals(await engine.query("SELECT host(inet_server_addr()) AS ip"), [{
      ip: server.host,
    }]);
    await engine.close();
  }
});

Deno.test("pgAdapter() in an engine: keeps a program alive until engine.close() is done", async () => {
  const { code, out, err } = await runProgram(`
    import { getDnsEngine } from "root/mod.ts";
    const engine = getDnsEngine(${JSON.stringify(server.url())});
    await engine.query("SELECT 1");
    await new Promise((resolve) => setTimeout(resolve, 50));
    await engine.close();
    console.log(engine.status().closed);
  `);
  assertEquals([code, out], [0, "1"], err);
});

Deno.test("pgAdapter() in an engine: a named statement fails at most once per connection after a migration", async () => {
  const engine = engineFor("", { poolSize: 2, maxOverflow: 0 });
  await asAdmin("CREATE TABLE migrated (name text)");
  const statement = { name: "all", text: "SELECT * FROM migrated WHERE name = $1", values: ["a"] };
  const both = async () => {
    const leases = await Promise.all([engine.connect(), engine.connect()]);
    const outcomes = await Promise.allSettled(leases.map(({ client }) => client.query(statement)));
    await Promise.all(leases.map((lease) => lease.release()));
    return outcomes;
  };
  await both();
  await asAdmin("ALTER TABLE migrated ADD COLUMN size int");
  const first = await both();
  const codes = first.map((each) => each.status === "rejected" ? each.reason.code : undefined);
  assertEquals(codes, ["0A000", "0A000"]);
  for (let i = 0; i < 3; i++) {
    assertEquals((await both()).map(({ status }) => status), ["fulfilled", "fulfilled"]);
  }
  assertEquals(engine.status().opened, 4);
  await asAdmin("DROP TABLE migrated");
  await engine.close();
});

Deno.test("pgAdapter() in an engine: an outdated statement closes its connection although its holder handles the error", async () => {
  const engine = engineFor("", { poolSize: 1, maxOverflow: 0 });
  await asAdmin("CREATE TABLE migrated (name text)");
  const statement = { name: "all", text: "SELECT * FROM migrated" };
  const handled = await engine.use(async ({ client }) => {
    await client.query(statement);
    await asAdmin("ALTER TABLE migrated ADD COLUMN size int");
    return await client.query(statement).catch((error) => error.code);
  });
  assertEquals(handled, "0A000");
  await engine.use(({ client }) => client.query(statement));
  assertEquals(engine.status().opened, 2);
  await asAdmin("DROP TABLE migrated");
  await engine.close();
});
