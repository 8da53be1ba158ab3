import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import type { Target } from "../../adapters/adapter.ts";
import {
  lazyPostgresjsAdapter,
  postgresjsAdapter,
  type PostgresjsOptions,
  type PostgresjsSql,
} from "../../adapters/postgresjs.ts";
import {
  ConnectError,
  type Engine,
  type EngineOptions,
  getDnsEngine,
  type Lease,
} from "../../mod.ts";
import { makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { hungUp, withMute } from "../support/bad_servers.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { inspected } from "../support/inspected.ts";
import { LOGIN, message, POSTGRES_SUBJECT, READY } from "../support/postgres_subject.ts";
import { listen } from "../support/peers.ts";
import { makeTarget, type Same } from "../support/target.ts";
import { pause, soon, until } from "../support/waiting.ts";
import type { Row, TestServer } from "../contracts/adapter.ts";

let server: TestServer;

Deno.test.beforeAll(async () => {
  server = await POSTGRES_SUBJECT.start();
  await asAdmin("CREATE TABLE things (n int)");
});

Deno.test.afterAll(() => server.stop());

const asAdmin = (text: string): Promise<readonly Row[]> => POSTGRES_SUBJECT.asAdmin(server, text);

const adapter = postgresjsAdapter(postgres);

function targetOf(changes: Partial<Target> = {}): Target {
  return makeTarget({
    ...LOGIN,
    database: "orders",
    port: server.port,
    addresses: () => [server.host],
    ...changes,
  });
}

/** Opens a connection with the adapter, without an engine. */
function open(connectArgs: Target["connectArgs"] = {}, params: Target["params"] = {}) {
  return soon(adapter.connect(server.host, targetOf({ connectArgs, params })));
}

function engineFor(query = "", options: EngineOptions<postgres.Sql> = {}): Engine<postgres.Sql> {
  const { user, password } = LOGIN;
  const login = `${user}:${encodeURIComponent(password)}`;
  return getDnsEngine(
    `postgresql+postgresjs://${login}@db.internal:${server.port}/orders${query}`,
    {
      adapter,
      dnsLookup: fakeLookup([server.host], 60),
      ...options,
    },
  );
}

async function ask(sql: postgres.Sql, expression: string): Promise<unknown> {
  return (await sql.unsafe(`SELECT ${expression} AS value`))[0]?.value;
}

async function isSleeping(): Promise<boolean> {
  const text = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
  return (await asAdmin(text)).length > 0;
}

Deno.test("postgresjsAdapter(): returns an adapter whose leases have the type postgres.Sql", () => {
  const engine = getDnsEngine("postgresql://app@127.0.0.1/orders", {
    adapter: postgresjsAdapter(postgres),
  });
  const engineIsTyped: Same<typeof engine, Engine<postgres.Sql>> = true;
  const leaseIsTyped: Same<Awaited<ReturnType<typeof engine.connect>>, Lease<postgres.Sql>> = true;
  const point = { to: 600, from: [600], serialize: String, parse: Number };
  const own = postgresjsAdapter((options) => postgres({ ...options, types: { point } }));
  const ownIsTyped: Same<
    typeof own,
    ReturnType<typeof postgresjsAdapter<postgres.Sql<{ point: number }>>>
  > = true;
  assert(engineIsTyped && leaseIsTyped && ownIsTyped);
  assertEquals([adapter.name, adapter.defaultPort], ["postgresjs", 5432]);
});

Deno.test("postgresjsAdapter(): refuses anything but the function", () => {
  for (const value of [undefined, null, {}, "postgres", { default: postgres }]) {
    assertThrows(
      () => postgresjsAdapter(value as typeof postgres),
      TypeError,
      '"postgres" must be the function that `import postgres from "postgres"` gives, got ',
    );
  }
});

Deno.test("postgresjsAdapter().check(): refuses options of the driver that would work against the pool", () => {
  const refused: [name: string, instead: string][] = [
    ["max", 'each client is one connection, use the option "poolSize"'],
    ["idle_timeout", 'use the option "idleTimeout"'],
    ["timeout", 'use the option "idleTimeout"'],
    ["max_lifetime", 'use the option "poolRecycle"'],
    ["connect_timeout", 'use the option "connectTimeout"'],
    ["keep_alive", 'use the option "keepAlive"'],
    ["backoff", 'the pool reconnects, see the option "connectRetry"'],
    ["target_session_attrs", 'use the option "targetSessionAttrs"'],
    ["socket", "the address comes from DNS"],
    ["path", "the address comes from DNS"],
  ];
  for (const [name, instead] of refused) {
    assertThrows(
      () => engineFor("", { connectArgs: { [name]: 1 } }),
      TypeError,
      `"connectArgs.${name}" must not be given: ${instead}`,
    );
  }
  assertThrows(
    () => engineFor("?sslnegotiation=maybe"),
    TypeError,
    '"sslnegotiation" must be one of "postgres", "direct", got "maybe"',
  );
  assertThrows(
    () => engineFor("?prepare=maybe"),
    TypeError,
    '"prepare of the database URL" must be "true" or "false", got "maybe"',
  );
});

/** Makes an adapter whose function records its options and connects to nothing. */
function recordingDriver() {
  const options: PostgresjsOptions[] = [];
  const adapter = postgresjsAdapter<PostgresjsSql>((given) => {
    options.push(given);
    return { unsafe: () => Promise.resolve([]), end: () => Promise.resolve() };
  });
  return { options, adapter };
}

Deno.test("postgresjsAdapter().connect(): passes the IP address to the driver, one connection, and no limits or TLS of its own", async () => {
  const { options, adapter } = recordingDriver();
  await using listening = await listen();
  const bare = { user: undefined, password: undefined, database: undefined };
  const client = await adapter.connect("127.0.0.1", targetOf({ ...bare, port: listening.port }));
  const { socket, onnotice, onnotify, ...passed } = options[0]!;
  assertEquals(onnotify("orders", "nobody listens"), undefined);
  assertEquals<object>(passed, {
    host: "127.0.0.1",
    port: listening.port,
    connection: {},
    max: 1,
    ssl: false,
    idle_timeout: undefined,
    max_lifetime: null,
    connect_timeout: 0,
    backoff: false,
    keep_alive: null,
    // The driver's own defaults, so that it does not look for others in the environment.
    debug: false,
    fetch_types: true,
    max_pipeline: 100,
    prepare: true,
    publications: "alltables",
    sslnegotiation: null,
  });
  assertEquals(onnotice({}), undefined);
  assertStrictEquals(typeof socket, "function");
  adapter.terminate!(client);
});

Deno.test("postgresjsAdapter().connect(): lets connectArgs override everything in the URL except the address, under any of their names", async () => {
  const { options, adapter } = recordingDriver();
  await using listening = await listen();
  for (
    const args of [
      { user: "u", pass: "p", database: "d" },
      { username: "u", password: "p", db: "d" },
    ]
  ) {
    const connectArgs = {
      ...args,
      host: "10.0.0.9",
      prepare: true,
      connection: { application_name: "x" },
    };
    const params = { prepare: "false", application_name: "y", lock_timeout: "0" };
    const client = await adapter.connect(
      "127.0.0.1",
      targetOf({ port: listening.port, params, connectArgs }),
    );
    const { host, port, user, pass, database, connection, ...rest } = options.at(-1)!;
    assertEquals([host, port, user, pass, database], ["127.0.0.1", listening.port, "u", "p", "d"]);
    assertEquals({ ...connection }, { application_name: "x", lock_timeout: "0" });
    assertEquals((rest as { prepare?: boolean }).prepare, true);
    assertFalse("username" in rest || "password" in rest || "db" in rest);
    adapter.terminate!(client);
  }
});

/** Sets variables of the environment while something is done. */
async function withEnvironment(
  variables: Readonly<Record<string, string>>,
  work: () => void | Promise<void>,
): Promise<void> {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  try {
    await work();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

Deno.test("postgresjsAdapter().connect(): takes no option of the driver from the environment", async () => {
  const seen: Record<string, unknown>[] = [];
  const recording = postgresjsAdapter((options) => {
    const sql = postgres(options);
    const { parameters: _, shared: _shared, ...read } = sql.options as object as {
      parameters: unknown;
      shared: unknown;
    };
    seen.push(JSON.parse(JSON.stringify(read)));
    return sql;
  });
  const connect = async () => {
    const sql = await soon(recording.connect(server.host, targetOf()));
    await recording.close!(sql);
  };
  await connect();
  // The driver reads PG and the name of each of its options, and some of libpq's variables.
  const names = [...Object.keys(seen[0]!), "hostname", "username", "idle", "appname"];
  const variables = names.filter((name) => !["connection", "appname"].includes(name))
    .map((name) => [`PG${name.toUpperCase()}`, "7"]);
  await withEnvironment(Object.fromEntries(variables), async () => {
    delete process.env.PGTARGETSESSIONATTRS;
    await connect();
  });
  assertEquals(seen[1], seen[0]);
});

Deno.test("postgresjsAdapter().check(): refuses PGTARGETSESSIONATTRS, which the driver would obey", async () => {
  for (const value of ["standby", "any"]) {
    await withEnvironment({ PGTARGETSESSIONATTRS: value }, async () => {
      const said =
        '"PGTARGETSESSIONATTRS of the environment" must not be given: the driver would obey it, use the option "targetSessionAttrs"';
      assertThrows(() => engineFor(), TypeError, said);
      await assertRejects(() => open(), TypeError, said);
    });
  }
  await withEnvironment({ PGTARGETSESSIONATTRS: "" }, async () => adapter.close!(await open()));
});

Deno.test("postgresjsAdapter().connect(): passes URL parameters to the server, zeros included", async () => {
  const names =
    "application_name,statement_timeout,lock_timeout,idle_in_transaction_session_timeout,work_mem"
      .split(",");
  const question = `json_build_array(${names.map((name) => `current_setting('${name}')`)})`;
  const options = "-c work_mem=5MB";
  const all = {
    application_name: "from the url",
    statement_timeout: "11000",
    lock_timeout: "0",
    idle_in_transaction_session_timeout: "13000",
    options,
  };
  const sql = await open({}, all);
  assertEquals(await ask(sql, question), ["from the url", "11s", "0", "13s", "5MB"]);
  await adapter.close!(sql);
  await asAdmin("ALTER ROLE app SET lock_timeout = '3s'");
  const zero = await open({}, { lock_timeout: "0", fallback_application_name: "fallback" });
  await asAdmin("ALTER ROLE app RESET lock_timeout");
  assertEquals((await ask(zero, question) as string[]).slice(0, 3), ["fallback", "0", "0"]);
  await adapter.close!(zero);
});

Deno.test("postgresjsAdapter().connect(): fetches the types of arrays, unless fetch_types is off", async () => {
  const array = "ARRAY['x'::name]";
  const typed = await open();
  assertEquals(await ask(typed, array), ["x"]);
  await adapter.close!(typed);
  const withoutTypes = await open({}, { fetch_types: "false" });
  assertEquals(await ask(withoutTypes, array), "{x}");
  await adapter.close!(withoutTypes);
});

Deno.test("postgresjsAdapter().connect(): rejects if fetching types fails, without an unhandled rejection", async () => {
  const refusal = message("E", "SERROR\0VERROR\0C42501\0Mno types for you\0\0");
  await withMute([READY, refusal], async ({ port, conn }) => {
    const connecting = adapter.connect("127.0.0.1", targetOf({ port }));
    const error = await assertRejects(() => soon(connecting), Error, "no types for you");
    assertEquals((error as { code?: string }).code, "42501");
    await hungUp(await conn);
  });
  await withMute([READY], async ({ port, conn, silent }) => {
    const connecting = adapter.connect("127.0.0.1", targetOf({ port }));
    const failing = assertRejects(() => soon(connecting), Error);
    await silent;
    await (await conn).close();
    const error = await failing;
    // The socket is reset if the server had not read the question yet.
    assertMatch(error.message, /The connection was closed|ECONNRESET/);
    assertEquals(adapter.classify!(error), "disconnect");
  });
});

Deno.test("postgresjsAdapter().connect(): calls a password function, and rejects with its error", async () => {
  let calls = 0;
  const good = await open({
    pass: () => {
      calls++;
      return Promise.resolve(LOGIN.password);
    },
  });
  assertEquals([await ask(good, "1"), calls], [1, 1]);
  await adapter.close!(good);
  const refusing = { password: () => Promise.reject(new Error("no token today")) };
  await assertRejects(() => open(refusing), Error, "no token today");
});

Deno.test("postgresjsAdapter().connect(): logs no notices unless onnotice is given", async () => {
  const { log } = console;
  const shown: unknown[] = [];
  console.log = (...args) => void shown.push(args);
  const raise = "DO $$ BEGIN RAISE NOTICE 'by the way'; END $$";
  try {
    const silent = await open();
    await silent.unsafe(raise);
    await adapter.close!(silent);
    const notices: string[] = [];
    const subscribed = await open({
      onnotice: ({ message }: postgres.Notice) => notices.push(message!),
    });
    await subscribed.unsafe(raise);
    await adapter.close!(subscribed);
    assertEquals([shown, notices], [[], ["by the way"]]);
  } finally {
    console.log = log;
  }
});

Deno.test("postgresjsAdapter().connect(): returns a client that cancels a query at the address of its connection", async () => {
  const sql = await open();
  const pid = await ask(sql, "pg_backend_pid()");
  const query = sql`SELECT pg_sleep(30)`;
  const failing = assertRejects(
    () => soon(query),
    Error,
    "canceling statement due to user request",
  );
  await until(isSleeping);
  query.cancel();
  const error = await failing;
  assertEquals(adapter.classify!(error), undefined);
  assertEquals(await ask(sql, "pg_backend_pid()"), pid);
  await adapter.close!(sql);
});

Deno.test("postgresjsAdapter().connect(): returns a client whose failed cancel leaves no socket and no uncaught error", async () => {
  const own = await POSTGRES_SUBJECT.start();
  try {
    const sql = await adapter.connect(own.host, targetOf({ port: own.port }));
    const query = sql`SELECT pg_sleep(30)`;
    const outcome = query.then(() => undefined, (error) => error);
    await until(async () =>
      (await POSTGRES_SUBJECT.asAdmin(
        own,
        "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
      ))
        .length > 0
    );
    await own.freeze();
    query.cancel();
    await pause(50); // until the cancel has dialed
    adapter.terminate!(sql);
    await own.thaw();
    assertEquals(adapter.classify!(await soon(outcome)), "disconnect");

    const second = await adapter.connect(own.host, targetOf({ port: own.port }));
    const running = second`SELECT pg_sleep(30)`;
    const lost = running.then(() => undefined, (error) => error);
    await pause(50);
    await own.kill();
    running.cancel(); // refused, or too late
    assertEquals(adapter.classify!(await soon(lost)), "disconnect");
    adapter.terminate!(second);
  } finally {
    await own.stop();
  }
});

Deno.test("postgresjsAdapter().terminate(): aborts a cancel that is under way", async () => {
  const answers = [READY, new TextEncoder().encode("C\0\0\0\x0dSELECT 0\0Z\0\0\0\x05I")];
  await using listener = await listen();
  const { port } = listener;
  const connectArgs = { fetch_types: false };
  const connecting = adapter.connect("127.0.0.1", targetOf({ port, connectArgs }));
  const conn = await listener.accept();
  for (const answer of answers) {
    await conn.read();
    await conn.write(answer);
  }
  const sql = await soon(connecting);
  const query = sql`SELECT 1`;
  query.catch(() => {});
  await conn.read();
  query.cancel();
  const cancel = await listener.accept();
  await cancel.read();
  adapter.terminate!(sql);
  assertEquals(await hungUp(cancel), "");
  await pause(10); // until the driver has cleared its timer
});

Deno.test("postgresjsAdapter().connect(): returns a client whose cancel uses TLS like its connection", async () => {
  const authority = await makeAuthority();
  const [host] = await loopbackPair();
  const port = await freePort([host]);
  await using own = await startPostgres({
    ...{ host, port, ...LOGIN, database: "orders" },
    tls: await authority.issue({ names: ["db.internal"] }),
    hba: ["hostnossl all all all reject"],
  });
  const connectArgs = { ssl: { ca: authority.cert } };
  for (const sslnegotiation of ["postgres", "direct"]) {
    const params = { sslnegotiation };
    const sql = await adapter.connect(own.host, targetOf({ port, params, connectArgs }));
    const query = sql`SELECT pg_sleep(30)`;
    const failing = assertRejects(() => soon(query), Error, "canceling statement");
    const admin = new pg.Client({
      connectionString: own.url(),
      ssl: { rejectUnauthorized: false },
    });
    await admin.connect();
    await until(async () =>
      (await admin.query("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")).rows
        .length > 0
    );
    await admin.end();
    query.cancel();
    await failing;
    await adapter.close!(sql);
  }
});

Deno.test("postgresjsAdapter().connect(): starts TLS without a request with sslnegotiation=direct", async () => {
  for (const [sslnegotiation, firstBytes] of [["postgres", "\0\0\0\x08"], ["direct", "\x16\x03"]]) {
    await withMute([], async ({ port, conn }) => {
      const controller = new AbortController();
      const params = { sslmode: "require", sslnegotiation: sslnegotiation! };
      const target = targetOf({ port, params, signal: controller.signal });
      const connecting = adapter.connect("127.0.0.1", target).catch(() => {});
      const received = hungUp(await conn);
      await pause(50);
      controller.abort();
      assert((await received).startsWith(firstBytes!));
      await connecting;
    });
  }
});

Deno.test("postgresjsAdapter().connect(): rejects any answer to the request for TLS except a single yes", async () => {
  const answers: [answer: string, message: string][] = [
    ["N", "The server does not support TLS"],
    ["S and plain text", "The server does not answer as PostgreSQL does"],
    ["HTTP/1.1 400 Bad Request", "The server does not answer as PostgreSQL does"],
  ];
  for (const [answer, message] of answers) {
    await withMute([new TextEncoder().encode(answer)], async ({ port, conn }) => {
      const params = { sslmode: "require" };
      const connecting = adapter.connect("127.0.0.1", targetOf({ port, params }));
      await assertRejects(() => soon(connecting), Error, message);
      await hungUp(await conn);
    });
  }
});

Deno.test("postgresjsAdapter().connect(): returns a client that does not reconnect, and whose queries all reject after a loss", async () => {
  const sql = await open();
  const pid = await ask(sql, "pg_backend_pid()");
  const ended = new Promise<void>((resolve) => adapter.onClose!(sql, () => resolve()));
  const pending = [sql`SELECT pg_sleep(30)`, sql`SELECT 1`, sql`SELECT 2`].map((query) =>
    query.then(() => undefined, (error) => error)
  );
  await until(isSleeping);
  await asAdmin(`SELECT pg_terminate_backend(${pid})`);
  await soon(ended);
  const errors = await soon(Promise.all(pending));
  assertEquals(errors[0].code, "57P01");
  const later = [0, 20, 50].map(async (ms) => {
    await pause(ms);
    return await soon(sql`SELECT 3`.then(() => undefined, (error) => error));
  });
  errors.push(...await Promise.all(later));
  const verdicts = errors.map((error) => String(adapter.classify!(error)));
  assertEquals([...new Set(verdicts)], ["closed", "disconnect"], errors.map(String).join("; "));
  const sessions = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend'";
  assertEquals((await asAdmin(sessions)).length, 1);
});

Deno.test("postgresjsAdapter().connect(): returns a client whose lost transaction causes no uncaught error", async () => {
  for (const open of ["begin", "reserve"] as const) {
    const sql = await adapter.connect(server.host, targetOf());
    const pid = await ask(sql, "pg_backend_pid()");
    const codes: string[] = [];
    const runAll = async (tx: postgres.ISql<Record<never, never>>) => {
      for (const text of ["SELECT pg_sleep(30)", "SELECT 1", "SELECT 2"]) {
        await tx.unsafe(text).catch((error) => void codes.push(error.code));
      }
    };
    const outcome = open === "begin"
      ? sql.begin(runAll).then(() => "fulfilled", () => "rejected")
      : runAll(await sql.reserve()).then(() => "rejected");
    await until(isSleeping);
    await asAdmin(`SELECT pg_terminate_backend(${pid})`);
    assertEquals(await soon(outcome), "rejected");
    await pause(20);
    assertEquals(codes, ["57P01", "CONNECTION_DESTROYED", "CONNECTION_DESTROYED"]);
  }
});

Deno.test("postgresjsAdapter().connect(): does not reconnect if the server closes during the handshake", async () => {
  await using listener = await listen();
  const { port } = listener;
  const serving = listener.accept().then(async (conn) => {
    await conn.read();
    await conn.close();
  });
  const error = await assertRejects(() => soon(adapter.connect("127.0.0.1", targetOf({ port }))));
  assertEquals(adapter.classify!(error), "disconnect");
  await pause(50);
  await serving;
  assertEquals(listener.peers.length, 1);
});

Deno.test("postgresjsAdapter() in an engine: supports sql.begin(), savepoints and reserve()", async () => {
  const engine = engineFor("", { poolSize: 1, maxOverflow: 0 });
  await engine.use(async ({ client: sql }) => {
    await sql.begin(async (tx) => {
      await tx`INSERT INTO things VALUES (1)`;
      await tx.savepoint(async (tx) => {
        await tx`INSERT INTO things VALUES (2)`;
        throw new Error("undo");
      }).catch(() => {});
    });
    const reserved = await sql.reserve();
    assertEquals([...await reserved`SELECT n FROM things`], [{ n: 1 }]);
    reserved.release();
    await sql`DELETE FROM things`;
  });
  assertEquals(engine.status().opened, 1);
  await engine.close();
});

Deno.test("postgresjsAdapter().connect(): returns a client that refuses listen() and subscribe(), and takes LISTEN with onnotify", async () => {
  const payloads: string[] = [];
  const sql = await open({ onnotify: (_: string, payload: string) => payloads.push(payload) });
  for (const method of ["listen", "subscribe"] as const) {
    await assertRejects(
      () => Promise.resolve(sql[method]("news", () => {})),
      TypeError,
      `Cannot call ${method}() on a connection of a pool: it opens another one`,
    );
  }
  await sql`LISTEN news`;
  await sql.notify("news", "hello");
  await until(() => payloads.length > 0);
  assertEquals(payloads, ["hello"]);
  await adapter.close!(sql);
});

Deno.test("postgresjsAdapter() in an engine: makes a round trip at checkin only if a transaction is open", async () => {
  const sent: string[] = [];
  const engine = engineFor("", {
    poolSize: 1,
    maxOverflow: 0,
    connectArgs: { debug: (_: number, text: string) => sent.push(text) },
  });
  const histories: [texts: string[], atCheckin: string[]][] = [
    [[], []],
    [["SELECT 1"], []],
    [["SELECT 1 / 0"], []],
    [["BEGIN", "INSERT INTO things VALUES (2)", "COMMIT"], []],
    [["BEGIN", "SELECT 1 / 0", "ROLLBACK"], []],
    [["BEGIN"], ["ROLLBACK"]],
    [["BEGIN", "SELECT 1 / 0"], ["ROLLBACK"]],
    [["BEGIN; SELECT 1"], ["ROLLBACK"]],
  ];
  for (const [texts, atCheckin] of histories) {
    const lease = await engine.connect();
    for (const text of texts) await lease.client.unsafe(text).catch(() => {});
    // The end of a failed query may arrive a packet later than its error.
    await until(() => adapter.transactionStatus!(lease.client) !== undefined);
    sent.length = 0;
    await lease.release();
    assertEquals(sent, atCheckin, texts.join("; "));
  }
  const lease = await engine.connect();
  await lease.client`BEGIN`;
  await lease.client`INSERT INTO things VALUES (${3})`;
  const running = lease.client.unsafe("SELECT pg_sleep(0.1)").execute();
  await pause(20);
  sent.length = 0;
  await lease.release();
  await running;
  assertEquals(sent, ["ROLLBACK"]);
  assertEquals(engine.status().opened, 1);
  assertEquals(await engine.query("SELECT n FROM things WHERE n > 1"), [{ n: 2 }]);
  await asAdmin("DELETE FROM things");
  await engine.close();
});

Deno.test("postgresjsAdapter().close(): sends Terminate, and terminate() sends nothing", async () => {
  // The answer to the driver's own query at the connect: no rows.
  const answer = new TextEncoder().encode("C\0\0\0\x0dSELECT 0\0Z\0\0\0\x05I");
  for (const [method, lastBytes] of [["close", "X\0\0\0\x04"], ["terminate", ""]] as const) {
    await withMute([READY, answer], async ({ port, conn, silent }) => {
      const connectArgs = { fetch_types: false };
      const sql = await soon(adapter.connect("127.0.0.1", targetOf({ port, connectArgs })));
      await silent;
      const received = hungUp(await conn);
      await soon(Promise.resolve(adapter[method]!(sql)));
      assertEquals(await received, lastBytes);
    });
  }
});

Deno.test("postgresjsAdapter().terminate(): rejects pending queries with its reason, without statement and values", async () => {
  const sql = await open();
  const reason = new Error("the address departed");
  const pending = [sql`SELECT pg_sleep(${30}::int)`, sql`SELECT ${"s3cret"}::text`];
  const outcomes = Promise.allSettled(pending);
  await until(isSleeping);
  adapter.terminate!(sql, reason);
  const [first, ...rest] = await soon(outcomes);
  assert(first?.status === "rejected");
  assertStrictEquals(first.reason, reason);
  for (const outcome of rest) assert(outcome.status === "rejected");
  for (const name of ["query", "parameters", "args"]) {
    assertEquals((reason as unknown as Record<string, unknown>)[name], undefined);
  }
});

Deno.test("postgresjsAdapter() in an engine: does not lease a client again that its holder closed", async () => {
  const engine = engineFor("", { poolSize: 1, maxOverflow: 0 });
  await engine.use(async ({ client }) => {
    await client`SELECT 1`;
    await client.end();
  });
  assertEquals(await engine.query("SELECT 1 AS n"), [{ n: 1 }]);
  assertEquals(engine.status().opened, 2);
  await engine.close();
});

Deno.test("postgresjsAdapter().connect(): rejects at an abort while the driver is loading", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  let loaded!: () => void;
  const loading = new Promise<void>((resolve) => loaded = resolve);
  const lazy = lazyPostgresjsAdapter(() => loading.then(() => postgres));
  const connecting = lazy.connect(server.host, targetOf({ signal: controller.signal }));
  controller.abort(reason);
  loaded();
  assertStrictEquals(await assertRejects(() => connecting), reason);
});

Deno.test("postgresjsAdapter().query(): returns plain rows with the driver's types and transforms", async () => {
  const engine = engineFor("", { connectArgs: { transform: postgres.camel } });
  const rows = await engine.query("SELECT $1::int AS first_name, $2::bool AS b", [7, true]);
  assertStrictEquals(Object.getPrototypeOf(rows), Array.prototype);
  assertEquals(rows, [{ firstName: 7, b: true }]);
  await engine.close();
});

Deno.test("postgresjsAdapter() in an engine: quotes the server's refusal, and not the password", async () => {
  const engine = engineFor("", { connectArgs: { user: "nobody", password: "s3cret" } });
  const error = await assertRejects(() => engine.connect(), ConnectError);
  assertStringIncludes(error.message, 'said: password authentication failed for user "nobody"');
  assertEquals((error.cause as { code?: string }).code, "28P01");
  assert(error.cause instanceof postgres.PostgresError);
  assertFalse(inspected(error).includes("s3cret"));
  await engine.close();
});

Deno.test("postgresjsAdapter() in an engine: hides values in the driver's arrays and stack with hideParameters", async () => {
  const engine = engineFor("", { hideParameters: true });
  const error = await assertRejects(() => engine.query("SELECT $1::text::int", ["s3cret"]));
  assert(error instanceof postgres.PostgresError);
  assertEquals(error.message, 'invalid input syntax for type integer: "[hidden]"');
  const all = Object.values(Object.getOwnPropertyDescriptors(error)).map(({ value }) => value);
  assertFalse(inspected(all).includes("s3cret"), inspected(all));
  await engine.close();
});

Deno.test("postgresjsAdapter().classify(): tells lost connections and read-only servers from ordinary errors", () => {
  const coded = (code: string) => Object.assign(new Error("from the server"), { code });
  const table: Record<"disconnect" | "closed" | "read-only" | "other", unknown[]> = {
    "disconnect":
      "08006 57P02 ECONNRESET CONNECTION_CLOSED CONNECTION_ENDED CONNECTION_DESTROYED CONNECT_TIMEOUT"
        .split(" ").map(coded),
    // PgBouncer sends one severity alone, which the driver takes for the local one.
    "closed": [
      ...["57P01", "57P04", "53300"].map(coded),
      Object.assign(coded("25P03"), { severity: "FATAL", severity_local: "FATAL" }),
      Object.assign(coded("XX000"), { severity_local: "FATAL" }),
    ],
    "read-only": [coded("25006")],
    "other": [
      ..."28P01 57014 40001 UNSAFE_TRANSACTION COPY_IN_PROGRESS NOT_TAGGED_CALL MAX_PARAMETERS_EXCEEDED"
        .split(" ").map(coded),
      undefined,
      null,
      "CONNECTION_CLOSED",
      {},
    ],
  };
  for (const [verdict, errors] of Object.entries(table)) {
    for (const error of errors) {
      assertEquals(adapter.classify!(error) ?? "other", verdict, inspected(error));
    }
  }
});
