/**
 * Tests of what is special about `@db/postgres`, with fake clients, and with the real driver or its stand-in.
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { Target } from "../../adapters/adapter.ts";
import {
  dbPostgresAdapter,
  type DbPostgresClient,
  type DbPostgresOptions,
  lazyDbPostgresAdapter,
} from "../../adapters/db_postgres.ts";
import { type Engine, type EngineOptions, getDnsEngine, type Lease } from "../../mod.ts";
import { makeAuthority } from "../../lab/certificates.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { dbPostgres } from "../support/db_postgres.ts";
import { type Client, names } from "../support/db_postgres_stand_in.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { HANDOVER_LOGIN as LOGIN } from "../support/handover_postgres.ts";
import { postgresSubject, TLS_ACCEPTED, TLS_REFUSED } from "../support/postgres_subject.ts";
import { makeTarget, type Same } from "../support/target.ts";
import { pause, soon, until } from "../support/waiting.ts";
import type { TestServer } from "../contracts/adapter.ts";

const { ConnectionError, PostgresError, TransactionError } = dbPostgres.module;
const SUBJECT = postgresSubject(LOGIN);
const adapter = dbPostgresAdapter(dbPostgres.module);
const VERIFY_FULL = { sslmode: "verify-full" };

let server: TestServer;

Deno.test.beforeAll(async () => {
  server = await SUBJECT.start();
  await SUBJECT.asAdmin(server, "CREATE TABLE things (n int)");
});

Deno.test.afterAll(() => server.stop());

function targetOf(changes: Partial<Target> = {}): Target {
  return makeTarget({
    ...LOGIN,
    database: "orders",
    port: server.port,
    ...changes,
  });
}

function engineFor(options: EngineOptions<Client> = {}): Engine<Client> {
  const login = `${LOGIN.user}:${encodeURIComponent(LOGIN.password)}`;
  return getDnsEngine(`postgresql+db-postgres://${login}@db.internal:${server.port}/orders`, {
    adapter,
    dnsLookup: fakeLookup([server.host], 60),
    ...options,
  });
}

/** What a fake client does. Default: it connects at once, to 127.0.0.1. */
interface Behavior {
  connect?(): Promise<void>;
  /** Returns the server's own address. */
  own?(): string;
  /** Runs a statement. */
  query?(text: string): Promise<unknown[]>;
}

/** Makes a module with fake clients, and records them. */
function fakeDriver(behavior: Behavior = {}) {
  const clients: (DbPostgresClient & { options: DbPostgresOptions; log: string[] })[] = [];
  class Client implements DbPostgresClient {
    readonly log: string[] = [];
    session = { current_transaction: null };
    constructor(readonly options: DbPostgresOptions) {
      clients.push(this);
    }
    async connect(): Promise<void> {
      this.log.push("connect");
      await behavior.connect?.();
    }
    end(): Promise<void> {
      this.log.push("end");
      return Promise.resolve();
    }
    queryArray = (text: string) => this.queryObject(text);
    async queryObject(text: string): Promise<{ rows: unknown[] }> {
      if (text.includes("inet_server_addr")) {
        return { rows: [{ own: behavior.own?.() ?? "127.0.0.1" }] };
      }
      this.log.push(text);
      return { rows: await behavior.query?.(text) ?? [] };
    }
    createTransaction(): unknown {
      throw new Error("No transactions here");
    }
  }
  return { clients, module: { Client } };
}

/** Starts a server that answers the request for TLS and nothing else. Disposing it closes its connections. */
function answerTlsRequests(
  answer: Uint8Array,
): { port: number; received: string[] } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.Conn[] = [];
  const received: string[] = [];
  const serve = async (conn: Deno.Conn) => {
    const index = conns.push(conn) - 1;
    received[index] = "";
    const buffer = new Uint8Array(2000);
    for (;;) {
      const size = await conn.read(buffer).catch(() => null);
      if (size === null) return;
      if (received[index] === "") await conn.write(answer).catch(() => {});
      received[index] += new TextDecoder().decode(buffer.subarray(0, size));
    }
  };
  const served: Promise<void>[] = [];
  const listening = (async () => {
    for await (const conn of listener) served.push(serve(conn));
  })();
  return {
    port: (listener.addr as Deno.NetAddr).port,
    received,
    async [Symbol.asyncDispose]() {
      listener.close();
      await listening;
      for (const conn of conns) conn.close();
      await Promise.all(served);
    },
  };
}

Deno.test("dbPostgresAdapter(): returns an adapter whose leases have the type Client", () => {
  const engine = getDnsEngine("postgresql://app@127.0.0.1/orders", {
    adapter: dbPostgresAdapter(dbPostgres.module),
  });
  const engineIsTyped: Same<typeof engine, Engine<Client>> = true;
  const leaseIsTyped: Same<Awaited<ReturnType<typeof engine.connect>>, Lease<Client>> = true;
  assert(engineIsTyped && leaseIsTyped);
  assertEquals([adapter.name, adapter.defaultPort], ["db-postgres", 5432]);
});

Deno.test("dbPostgresAdapter(): refuses anything but the module", () => {
  for (const value of [undefined, null, {}, "postgres", dbPostgres.module.Client]) {
    assertThrows(
      () => dbPostgresAdapter(value as unknown as { Client: typeof Client }),
      TypeError,
      '"postgres" must be what `import * as postgres from "@db/postgres"` gives, with a class "Client", got ',
    );
  }
});

Deno.test("dbPostgresAdapter().connect(): without TLS, passes the IP address to the driver and turns reconnecting off", async () => {
  await using port = answerTlsRequests(TLS_REFUSED);
  const { clients, module } = fakeDriver();
  const adapter = dbPostgresAdapter(module);
  const client = await adapter.connect("127.0.0.1", targetOf({ port: port.port }));
  assertEquals(clients[0]!.options, {
    ...LOGIN,
    database: "orders",
    hostname: "127.0.0.1",
    host_type: "tcp",
    port: port.port,
    tls: { enabled: false, enforce: false, caCertificates: [] },
    connection: { attempts: 0 },
  });
  assertEquals(adapter.address!(client), undefined);
  const bare = { user: undefined, password: undefined, database: undefined };
  await adapter.connect("127.0.0.1", targetOf({ ...bare, port: port.port }));
  assertFalse("user" in clients[1]!.options || "database" in clients[1]!.options);
  await adapter.connect("127.0.0.1", targetOf({ port: port.port, database: undefined }));
  assertEquals(clients[2]!.options.database, "app");
});

Deno.test("dbPostgresAdapter().connect(): joins session settings from the URL and connectArgs, and connectArgs override", async () => {
  await using port = answerTlsRequests(TLS_REFUSED);
  const { clients, module } = fakeDriver();
  const adapter = dbPostgresAdapter(module);
  const params = { statement_timeout: "5000", lock_timeout: "0", application_name: "url" };
  const table: [Partial<Target>, Partial<DbPostgresOptions>][] = [
    [{}, {}],
    [{ params }, {
      applicationName: "url",
      options: "-c statement_timeout=5000 -c lock_timeout=0",
    }],
    [{ params: { fallback_application_name: "f", options: "-c work_mem=5MB" } }, {
      applicationName: "f",
      options: "-c work_mem=5MB",
    }],
    [{ params: { ...params, options: "-c a=b" }, connectArgs: { options: "-c work_mem=5MB" } }, {
      applicationName: "url",
      options: "-c statement_timeout=5000 -c lock_timeout=0 -c work_mem=5MB",
    }],
    [{ params, connectArgs: { applicationName: "args", options: { lock_timeout: "7" } } }, {
      applicationName: "args",
      options: { statement_timeout: "5000", lock_timeout: "7" },
    }],
  ];
  for (const [changes, expected] of table) {
    await adapter.connect("127.0.0.1", targetOf({ port: port.port, ...changes }));
    const { applicationName, options } = clients.at(-1)!.options;
    assertEquals(
      { ...(applicationName && { applicationName }), ...(options && { options }) },
      expected as Record<string, unknown>,
    );
  }
});

Deno.test("dbPostgresAdapter().check(): refuses settings that the driver does not read", () => {
  const form = "settings as -c name=value or --name=value without a space";
  const rest = 'of which no name has a dot (@db/postgres takes no other; "pg" and "postgresjs" do)';
  const texts = ["-c a.b=1", "-c  a=1", "-ca=1", "-c a=b\\ c", "-c", "a=1", "-c a=1 b", "-c a=1 "];
  for (const options of texts) {
    const message = `must be ${form}, ${rest}, got ${JSON.stringify(options)}`;
    for (const given of [{ params: { options } }, { connectArgs: { options } }]) {
      assertThrows(() => adapter.check!(targetOf(given)), TypeError, message);
    }
  }
  assertThrows(
    () => adapter.check!(targetOf({ connectArgs: { options: { "a.b": "1" } } })),
    TypeError,
    `must be settings by name, ${rest}, got "a.b"`,
  );
  for (const options of ["", "-c a=1", "--a=1 -c b=x=y"]) {
    adapter.check!(targetOf({ params: { options } }));
  }
});

Deno.test("dbPostgresAdapter().check(): refuses what the driver does not support", () => {
  const refused: [changes: Partial<Target>, message: string][] = [
    [
      { connectArgs: { tls: { enabled: true } } },
      '"connectArgs.tls" must not be given: give "ssl": true, or an object with "ca"',
    ],
    [
      { connectArgs: { connection: { attempts: 5 } } },
      '"connectArgs.connection" must not be given: a lost connection is not reopened, the pool opens another',
    ],
    [
      { connectArgs: { host_type: "socket" } },
      '"connectArgs.host_type" must not be given: the address comes from DNS',
    ],
    [
      { params: { sslmode: "require" } },
      'must be "disable" or "verify-full" (@db/postgres always verifies in full), got "require"',
    ],
    [
      { params: { sslmode: "verify-ca" } },
      'must be "disable" or "verify-full" (@db/postgres always verifies in full), got "verify-ca"',
    ],
    [
      { params: { ...VERIFY_FULL, sslcert: "c", sslkey: "k" } },
      '"sslcert of the database URL" must not be given: @db/postgres has no client certificates, and no options of TLS but "ca"; use the driver "pg" or "postgresjs"',
    ],
    [
      { connectArgs: { ssl: { ca: "…", cert: "…" } } },
      '"connectArgs.ssl.cert" must not be given: ',
    ],
    [
      { connectArgs: { ssl: { rejectUnauthorized: false } } },
      '"connectArgs.ssl.rejectUnauthorized" must not be given: ',
    ],
    [
      { params: { sslnegotiation: "direct" } },
      '"sslnegotiation of the database URL" must not be given: the driver does not have it',
    ],
  ];
  for (const [changes, message] of refused) {
    assertThrows(() => adapter.check!(targetOf(changes)), TypeError, message);
  }
});

Deno.test("dbPostgresAdapter().connect(): with TLS, passes name and authorities to the driver and enforces TLS", async () => {
  await using port = answerTlsRequests(TLS_ACCEPTED);
  const { clients, module } = fakeDriver();
  const adapter = dbPostgresAdapter(module);
  const table: [Partial<Target>, caCertificates: string[]][] = [
    [{ params: VERIFY_FULL }, []],
    [{ connectArgs: { ssl: true } }, []],
    [{ connectArgs: { ssl: { ca: "one" } } }, ["one"]],
    [{ connectArgs: { ssl: { ca: ["one", "two"] } } }, ["one", "two"]],
  ];
  for (const [changes, caCertificates] of table) {
    await adapter.connect("127.0.0.1", targetOf({ port: port.port, ...changes }));
    const { hostname, tls } = clients.at(-1)!.options;
    assertEquals([hostname, tls], ["db.internal", {
      enabled: true,
      enforce: true,
      caCertificates,
    }]);
  }
  // An IP address in the URL is dialed as it is.
  const host = "127.0.0.1";
  const client = await adapter.connect(
    host,
    targetOf({ host, port: port.port, params: VERIFY_FULL }),
  );
  assertEquals([clients.at(-1)!.options.hostname, adapter.address!(client)], [host, undefined]);
});

Deno.test("dbPostgresAdapter().connect(): sends the host name over TLS, and nothing to a server without TLS", async () => {
  const connectArgs = { ssl: true };
  names.set("db.internal", "127.0.0.1");
  {
    await using secured = answerTlsRequests(TLS_ACCEPTED);
    const controller = new AbortController();
    const { signal } = controller;
    const target = targetOf({ port: secured.port, connectArgs, signal });
    const connecting = adapter.connect("127.0.0.1", target).catch((error) => error);
    await until(() => (secured.received[1]?.length ?? 0) > 100); // the first connection is the probe
    controller.abort(new Error("enough"));
    assertEquals((await soon(connecting)).message, "enough");
    assertStringIncludes(secured.received[1]!, "db.internal");
  }
  await using plain = answerTlsRequests(TLS_REFUSED);
  const { clients, module } = fakeDriver();
  const connecting = dbPostgresAdapter(module)
    .connect("127.0.0.1", targetOf({ port: plain.port, connectArgs }));
  await assertRejects(() => soon(connecting), Error, "The server does not support TLS");
  assertEquals([clients.length, plain.received.map((text) => text.length)], [0, [8]]);
});

/** Connects with TLS to `db.internal`, whose addresses by DNS and by the operating system are given. */
async function dialByName(
  { own, answers, system = [] }: {
    /** The server's own address. */
    readonly own: string;
    /** The addresses by DNS, one element per read; the last one is repeated. */
    readonly answers: readonly (readonly string[])[];
    /** The addresses by the operating system. */
    readonly system?: readonly string[];
  },
) {
  await using port = answerTlsRequests(TLS_ACCEPTED);
  const { clients, module } = fakeDriver({ own: () => own });
  const adapter = lazyDbPostgresAdapter(() => Promise.resolve(module), {
    lookupAll: () => Promise.resolve(system),
  });
  let reads = 0;
  const addresses = () => answers[Math.min(reads++, answers.length - 1)]!;
  const target = targetOf({ port: port.port, params: VERIFY_FULL, addresses });
  const logs = () => clients.map(({ log }) => log.join(" "));
  try {
    const client = await soon(adapter.connect("127.0.0.1", target));
    return { address: adapter.address!(client), logs: logs() };
  } catch (error) {
    return { error: error as Error & { code?: string }, logs: logs() };
  }
}

const FIRST = "127.0.0.1";
const SECOND = "127.0.0.2";

Deno.test("dbPostgresAdapter().address(): returns the server's own address if it is one of the name's", async () => {
  const both = [[FIRST, SECOND]];
  assertEquals(await dialByName({ own: FIRST, answers: both }), {
    address: FIRST,
    logs: ["connect"],
  });
  assertEquals(await dialByName({ own: SECOND, answers: both }), {
    address: SECOND,
    logs: ["connect"],
  });
  assertEquals(
    (await dialByName({ own: "FD00:0::1", answers: [[FIRST, "fd00::1"]] })).address,
    "fd00::1",
  );
});

Deno.test("dbPostgresAdapter().connect(): dials the name again if its addresses change during the dial", async () => {
  const rotated = [[FIRST, SECOND], [SECOND, FIRST]];
  assertEquals((await dialByName({ own: FIRST, answers: rotated })).logs, ["connect"]);
  const once = [[FIRST], [SECOND], [SECOND], [SECOND]];
  assertEquals(await dialByName({ own: SECOND, answers: once }), {
    address: SECOND,
    logs: ["connect end", "connect"],
  });
  const always = [[FIRST], [SECOND], [FIRST], [SECOND], [FIRST], [SECOND]];
  const { error, logs } = await dialByName({ own: FIRST, answers: always });
  assertEquals(
    [error?.message, error?.code],
    ['The addresses of "db.internal" changed during each of 3 attempts to connect', "ECONNABORTED"],
  );
  assertEquals(logs, ["connect end", "connect end", "connect end"]);
});

Deno.test("dbPostgresAdapter().address(): returns the dialed address for another own address only if the name has no other", async () => {
  const translated = { own: "10.0.0.1", answers: [[FIRST]] };
  assertEquals(await dialByName({ ...translated, system: [FIRST] }), {
    address: FIRST,
    logs: ["connect"],
  });
  const uncertain: [answers: string[][], system: string[]][] = [
    [[[FIRST, SECOND]], [FIRST, SECOND]], // one of two
    [[[FIRST, SECOND]], [FIRST]],
    [[[FIRST]], [SECOND]], // the operating system has another answer
    [[[FIRST]], [FIRST, SECOND]],
  ];
  for (const [answers, system] of uncertain) {
    const { error, logs } = await dialByName({ own: "10.0.0.1", answers, system });
    assertEquals(
      error?.message,
      `Cannot tell which server this is: with TLS, @db/postgres dials "db.internal" by name, the server calls itself 10.0.0.1, the addresses are ${
        answers[0]!.join(", ")
      } by DNS and ${
        system.join(", ")
      } by the operating system; use the driver "pg" or "postgresjs", which dial an address`,
    );
    assertEquals(logs, ["connect end"]);
  }
});

Deno.test("dbPostgresAdapter() in an engine: counts a connection at the address it is open to", async () => {
  const [first, second] = await loopbackPair();
  const port = await freePort([first, second]);
  const authority = await makeAuthority();
  const tls = await authority.issue({ names: ["db.internal"] });
  const own = { port, ...LOGIN, database: "orders", tls };
  await using _first = await startPostgres({ ...own, host: first });
  await using _second = await startPostgres({ ...own, host: second });
  names.set("db.internal", second);
  const login = `${LOGIN.user}:${encodeURIComponent(LOGIN.password)}`;
  const engine = getDnsEngine(`postgresql://${login}@db.internal:${port}/orders`, {
    adapter,
    dnsLookup: fakeLookup([first, second], 60),
    connectArgs: { ssl: { ca: authority.cert } },
  });
  const { address } = await engine.connect();
  assertEquals(address, second);
  assertEquals(Object.keys(engine.status().byAddress), [second]);
  await engine.close({ drain: 0 });
});

Deno.test("dbPostgresAdapter().connect(): rejects at an abort at once, and closes a client that connects later", async () => {
  await using port = answerTlsRequests(TLS_REFUSED);
  for (const late of ["resolves", "rejects"] as const) {
    let settle!: () => void;
    const waiting = new Promise<void>((resolve, reject) =>
      settle = () => late === "resolves" ? resolve() : reject(new Error("too late"))
    );
    const { clients, module } = fakeDriver({ connect: () => waiting });
    const controller = new AbortController();
    const reason = new Error("enough");
    const target = targetOf({ port: port.port, signal: controller.signal });
    const connecting = dbPostgresAdapter(module).connect(FIRST, target);
    connecting.catch(() => {});
    await until(() => clients[0]?.log.length === 1);
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => soon(connecting)), reason);
    settle();
    await pause(0);
    assertEquals(clients[0]!.log, late === "resolves" ? ["connect", "end"] : ["connect"]);
  }
});

Deno.test("dbPostgresAdapter().terminate(): rejects pending queries, and later ones are not sent", async () => {
  await using port = answerTlsRequests(TLS_REFUSED);
  const sent: string[] = [];
  const { clients, module } = fakeDriver({
    query: (text) => {
      sent.push(text);
      return new Promise(() => {});
    },
  });
  const adapter = dbPostgresAdapter(module);
  const client = await adapter.connect(FIRST, targetOf({ port: port.port }));
  const reported: unknown[] = [];
  adapter.onClose!(client, (error) => reported.push(error));
  const reason = new Error("the address departed");
  const pending = [client.queryObject("SELECT 1"), client.queryArray("SELECT 2")].map((query) =>
    query.catch((error: unknown) => error)
  );
  adapter.terminate!(client, reason);
  adapter.terminate!(client, new Error("again"));
  for (const outcome of await soon(Promise.all(pending))) assertStrictEquals(outcome, reason);
  assertEquals(reported, [reason]);
  for (const next of [() => client.queryObject("SELECT 3"), () => client.connect()]) {
    const error = await assertRejects(() => soon<unknown>(next()), Error, "has been terminated");
    assertEquals(adapter.classify!(error), "disconnect");
  }
  assertEquals(sent, ["SELECT 1", "SELECT 2"]);
  assertEquals(clients[0]!.log.filter((entry) => entry === "connect"), ["connect"]);
});

Deno.test("dbPostgresAdapter().onClose(): reports a lost connection once, and the client does not reconnect", async () => {
  const client = await adapter.connect(server.host, targetOf());
  const pid = client.session.pid;
  let calls = 0;
  adapter.onClose!(client, () => calls++);
  await SUBJECT.asAdmin(server, `SELECT pg_terminate_backend(${pid})`);
  await pause(50);
  assertEquals(calls, 0); // the driver notices it only at the next statement
  for (let n = 0; n < 3; n++) {
    const error = await assertRejects(() => soon(client.queryArray("SELECT 1")));
    assertEquals(adapter.classify!(error), "disconnect");
  }
  await assertRejects(() => client.connect(), Error, "has been terminated");
  assertEquals(calls, 1);
});

Deno.test("dbPostgresAdapter() in an engine: rolls back at checkin only if a transaction may be open, however it began", async () => {
  const histories: [what: string, body: (client: Client) => Promise<unknown>, rollback: boolean][] =
    [
      ["nothing", () => Promise.resolve(), false],
      ["a query", (client) => client.queryObject("SELECT 1"), false],
      ["an error", (client) => client.queryObject("SELECT 1 / 0").catch(() => {}), false],
      ["BEGIN, COMMIT", async (client) => {
        await client.queryObject("BEGIN");
        await client.queryObject("INSERT INTO things VALUES ($1)", [1]);
        await client.queryArray("commit work;");
      }, false],
      ["BEGIN", (client) => client.queryArray("begin"), true],
      ["START TRANSACTION as a template", (client) => client.queryArray`START TRANSACTION`, true],
      ["BEGIN among others", (client) => client.queryObject({ text: "SELECT 1; BEGIN" }), true],
      ["COMMIT, then BEGIN before it is done", (client) => {
        const all = ["BEGIN", "COMMIT", "BEGIN"].map((text) => client.queryArray(text));
        return Promise.all(all);
      }, true],
      ["BEGIN, ROLLBACK TO", async (client) => {
        for (const text of ["BEGIN", "SAVEPOINT a", "ROLLBACK TO a"]) await client.queryArray(text);
      }, true],
      ["one of the driver's transactions, committed", async (client) => {
        const transaction = client.createTransaction("one");
        await transaction.begin();
        await transaction.queryObject`INSERT INTO things VALUES (${2})`;
        await transaction.commit();
      }, false],
      ["one of the driver's transactions, failed", async (client) => {
        const transaction = client.createTransaction("two");
        await transaction.begin();
        await assertRejects(() => transaction.queryArray("SELECT 1 / 0"), TransactionError);
      }, false],
      ["one of the driver's transactions, left open", async (client) => {
        const [transaction] = ["three", "four"].map((name) => client.createTransaction(name));
        await transaction!.begin();
        await transaction!.queryArray("INSERT INTO things VALUES (3)");
      }, true],
    ];
  const engine = engineFor({ poolSize: 1, maxOverflow: 0 });
  const before = server.log.length;
  const last = "SELECT query FROM pg_stat_activity WHERE pid =";
  for (const [what, body, rollback] of histories) {
    const lease = await engine.connect();
    const { pid } = lease.client.session;
    await body(lease.client);
    await lease.release();
    const [row] = await SUBJECT.asAdmin(server, `${last} ${pid}`);
    assertEquals(/^rollback/i.test(String(row!.query)), rollback, what);
    assertEquals(engine.status().idle, 1, what);
  }
  assertEquals(engine.status().opened, 1);
  assertEquals(await engine.query("SELECT n FROM things ORDER BY n"), [{ n: 1 }, { n: 2 }]);
  assertFalse(server.log.slice(before).includes("no transaction in progress"), server.log);
  await engine.close();
});

Deno.test("dbPostgresAdapter().onError(): reports an error in one of the driver's transactions", async () => {
  const readOnly = { options: "-c default_transaction_read_only=on" };
  const client = await adapter.connect(server.host, targetOf({ params: readOnly }));
  const verdicts: unknown[] = [];
  adapter.onError!(client, (error) => verdicts.push(adapter.classify!(error)));
  const transaction = client.createTransaction("write");
  const read = client.createTransaction("read");
  await read.begin();
  await read.queryArray("SELECT 1");
  await read.commit();
  await client.queryArray("BEGIN READ ONLY");
  await client.queryArray("INSERT INTO things VALUES (9)").catch(() => {});
  assertEquals(verdicts, ["read-only"]);
  await client.queryArray("ROLLBACK");
  await transaction.begin();
  await transaction.queryArray("SET TRANSACTION READ ONLY");
  const error = await assertRejects(() => transaction.queryArray("INSERT INTO things VALUES (9)"));
  assertEquals(adapter.classify!(error), "read-only");
  assertEquals(verdicts, ["read-only", "read-only"]);
  await adapter.close!(client);
});

Deno.test("dbPostgresAdapter().refusesClients(): a server that is starting or shutting down, and nothing else", () => {
  const saying = (code: string) => Object.assign(new Error("refused"), { fields: { code } });
  assert(adapter.refusesClients!(saying("57P03")));
  for (const other of [saying("57P01"), saying("28P01"), new Error("57P03"), null]) {
    assertFalse(adapter.refusesClients!(other));
  }
});

Deno.test("dbPostgresAdapter().classify(): tells lost connections and read-only servers from ordinary errors", () => {
  const serverError = (code: string) => new PostgresError({ code, message: "from the server" });
  const named = (name: string) => Object.assign(new Error("x"), { name });
  const table: Record<"disconnect" | "closed" | "read-only" | "other", unknown[]> = {
    "disconnect": [
      serverError("57P02"),
      serverError("08006"),
      new ConnectionError("The session was terminated unexpectedly"),
      new Error("Connection to the database has been terminated"),
      new Error("The client has been disconnected from the database. Enable reconnection"),
      new Deno.errors.BrokenPipe("x"),
      new Deno.errors.ConnectionRefused("x"),
      new Deno.errors.Interrupted("x"),
      named("HostUnreachable"),
      Object.assign(new Error("x"), { code: "ECONNRESET" }),
      new TransactionError("t", serverError("57P02")),
    ],
    "closed": [
      ...["57P01", "57P04", "53300"].map(serverError),
      new PostgresError({ severity: "FATAL", code: "25P03", message: "from the server" }),
    ],
    "read-only": [serverError("25006"), new TransactionError("t", serverError("25006"))],
    "other": [
      serverError("28P01"),
      serverError("57014"),
      new TransactionError("t", serverError("40001")),
      named("ConnectionParamsError"),
      new Deno.errors.InvalidData("x"),
      undefined,
      null,
      {},
    ],
  };
  for (const [verdict, errors] of Object.entries(table)) {
    for (const error of errors) {
      assertEquals(adapter.classify!(error) ?? "other", verdict, Deno.inspect(error));
    }
  }
});
