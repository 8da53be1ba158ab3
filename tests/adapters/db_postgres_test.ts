/**
 * What is special about `@db/postgres`. Its stand-in is used throughout, or clients made up here; on its real server, the
 * contract suite uses the real one where that can be had.
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
import {
  Client,
  ConnectionError,
  names,
  PostgresError,
  TransactionError,
} from "../support/db_postgres_stand_in.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { POSTGRES_SUBJECT, WHO, YES_TLS } from "../support/postgres_subject.ts";
import { type Same, someTarget } from "../support/target.ts";
import { pause, soon, until } from "../support/waiting.ts";
import type { TestServer } from "../contracts/adapter.ts";

const adapter = dbPostgresAdapter({ Client });
const NO_TLS = new TextEncoder().encode("N");
const SECURE = { sslmode: "verify-full" };

let server: TestServer;

Deno.test.beforeAll(async () => {
  server = await POSTGRES_SUBJECT.start();
  await POSTGRES_SUBJECT.asAdmin(server, "CREATE TABLE things (n int)");
});

Deno.test.afterAll(() => server.stop());

function targetOf(changes: Partial<Target> = {}): Target {
  return someTarget({
    ...WHO,
    database: "orders",
    port: server.port,
    ...changes,
  });
}

function engineFor(options: EngineOptions<Client> = {}): Engine<Client> {
  const who = `${WHO.user}:${encodeURIComponent(WHO.password)}`;
  return getDnsEngine(`postgresql+db-postgres://${who}@db.internal:${server.port}/orders`, {
    adapter,
    dnsLookup: fakeLookup([server.host], 60),
    ...options,
  });
}

/** What a made-up client does; by default it connects at once, to 127.0.0.1. */
interface Behaviour {
  connect?(): Promise<void>;
  /** The address that the server calls itself by. */
  own?(): string;
  /** What statements do. */
  query?(text: string): Promise<unknown[]>;
}

/** A driver whose clients are made up, and noted. */
function madeUp(behaviour: Behaviour = {}) {
  const clients: (DbPostgresClient & { options: DbPostgresOptions; log: string[] })[] = [];
  class Client implements DbPostgresClient {
    readonly log: string[] = [];
    session = { current_transaction: null };
    constructor(readonly options: DbPostgresOptions) {
      clients.push(this);
    }
    async connect(): Promise<void> {
      this.log.push("connect");
      await behaviour.connect?.();
    }
    end(): Promise<void> {
      this.log.push("end");
      return Promise.resolve();
    }
    queryArray = (text: string) => this.queryObject(text);
    async queryObject(text: string): Promise<{ rows: unknown[] }> {
      if (text.includes("inet_server_addr")) {
        return { rows: [{ own: behaviour.own?.() ?? "127.0.0.1" }] };
      }
      this.log.push(text);
      return { rows: await behaviour.query?.(text) ?? [] };
    }
    createTransaction(): unknown {
      throw new Error("No transactions here");
    }
  }
  return { clients, module: { Client } };
}

/** A port where the question for TLS is answered, and nothing else; it hangs up at the end. */
function answering(answer: Uint8Array): { port: number; heard: string[] } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.Conn[] = [];
  const heard: string[] = [];
  const serve = async (conn: Deno.Conn) => {
    const index = conns.push(conn) - 1;
    heard[index] = "";
    const buffer = new Uint8Array(2000);
    for (;;) {
      const size = await conn.read(buffer).catch(() => null);
      if (size === null) return;
      if (heard[index] === "") await conn.write(answer).catch(() => {});
      heard[index] += new TextDecoder().decode(buffer.subarray(0, size));
    }
  };
  const served: Promise<void>[] = [];
  const over = (async () => {
    for await (const conn of listener) served.push(serve(conn));
  })();
  return {
    port: (listener.addr as Deno.NetAddr).port,
    heard,
    async [Symbol.asyncDispose]() {
      listener.close();
      await over;
      for (const conn of conns) conn.close();
      await Promise.all(served);
    },
  };
}

Deno.test("dbPostgresAdapter({ Client }) gives leases whose client is Client, at compile time", () => {
  const engine = getDnsEngine("postgresql://app@127.0.0.1/orders", {
    adapter: dbPostgresAdapter({ Client }),
  });
  const engineIsTyped: Same<typeof engine, Engine<Client>> = true;
  const leaseIsTyped: Same<Awaited<ReturnType<typeof engine.connect>>, Lease<Client>> = true;
  assert(engineIsTyped && leaseIsTyped);
  assertEquals([adapter.name, adapter.defaultPort], ["db-postgres", 5432]);
});

Deno.test("dbPostgresAdapter() refuses what is not the module", () => {
  for (const value of [undefined, null, {}, "postgres", Client]) {
    assertThrows(
      () => dbPostgresAdapter(value as unknown as { Client: typeof Client }),
      TypeError,
      'Cannot use this as the driver "db-postgres": it has no class "Client"',
    );
  }
});

Deno.test("without TLS, the driver is told the IP, to try no TLS and to dial once", async () => {
  await using port = answering(NO_TLS);
  const { clients, module } = madeUp();
  const made = dbPostgresAdapter(module);
  const client = await made.connect("127.0.0.1", targetOf({ port: port.port }));
  assertEquals(clients[0]!.options, {
    ...WHO,
    database: "orders",
    hostname: "127.0.0.1",
    host_type: "tcp",
    port: port.port,
    tls: { enabled: false, enforce: false, caCertificates: [] },
    connection: { attempts: 0 },
  });
  assertEquals(made.address!(client), undefined);
  const bare = { user: undefined, password: undefined, database: undefined };
  await made.connect("127.0.0.1", targetOf({ ...bare, port: port.port }));
  assertFalse("user" in clients[1]!.options || "database" in clients[1]!.options);
  await made.connect("127.0.0.1", targetOf({ port: port.port, database: undefined }));
  assertEquals(clients[2]!.options.database, "app");
});

Deno.test("settings of the session come from the URL and from connectArgs, which win", async () => {
  await using port = answering(NO_TLS);
  const { clients, module } = madeUp();
  const made = dbPostgresAdapter(module);
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
    await made.connect("127.0.0.1", targetOf({ port: port.port, ...changes }));
    const { applicationName, options } = clients.at(-1)!.options;
    assertEquals(
      { ...(applicationName && { applicationName }), ...(options && { options }) },
      expected as Record<string, unknown>,
    );
  }
});

Deno.test("what the driver cannot do, or must not, is refused when the engine is made", () => {
  const refused: [changes: Partial<Target>, message: string][] = [
    [
      { connectArgs: { tls: { enabled: true } } },
      'Cannot use "tls" in "connectArgs": write "ssl": true',
    ],
    [
      { connectArgs: { connection: { attempts: 5 } } },
      "is not dialled again, the pool opens another",
    ],
    [{ connectArgs: { host_type: "socket" } }, "the address comes from DNS"],
    [
      { params: { sslmode: "require" } },
      "always verifies the certificate in full, write sslmode=verify-full",
    ],
    [
      { params: { sslmode: "verify-ca" } },
      "always verifies the certificate in full, write sslmode=verify-full",
    ],
    [
      { params: { ...SECURE, sslcert: "c", sslkey: "k" } },
      'Cannot use "sslcert": @db/postgres has no client certificates, and no options of TLS but "ca"; use the driver "pg" or "postgresjs"',
    ],
    [{ connectArgs: { ssl: { ca: "…", cert: "…" } } }, 'Cannot use "ssl.cert"'],
    [
      { connectArgs: { ssl: { rejectUnauthorized: false } } },
      'Cannot use "ssl.rejectUnauthorized"',
    ],
    [{ params: { sslnegotiation: "direct" } }, "db-postgres would ignore it"],
  ];
  for (const [changes, message] of refused) {
    assertThrows(() => adapter.check!(targetOf(changes)), TypeError, message);
  }
});

Deno.test("with TLS, the driver is told the name, the authorities, and to accept nothing without", async () => {
  await using port = answering(YES_TLS);
  const { clients, module } = madeUp();
  const made = dbPostgresAdapter(module);
  const table: [Partial<Target>, caCertificates: string[]][] = [
    [{ params: SECURE }, []],
    [{ connectArgs: { ssl: true } }, []],
    [{ connectArgs: { ssl: { ca: "one" } } }, ["one"]],
    [{ connectArgs: { ssl: { ca: ["one", "two"] } } }, ["one", "two"]],
  ];
  for (const [changes, caCertificates] of table) {
    await made.connect("127.0.0.1", targetOf({ port: port.port, ...changes }));
    const { hostname, tls } = clients.at(-1)!.options;
    assertEquals([hostname, tls], ["db.internal", {
      enabled: true,
      enforce: true,
      caCertificates,
    }]);
  }
  // An IP address in the URL is what is dialled anyway.
  const host = "127.0.0.1";
  const client = await made.connect(host, targetOf({ host, port: port.port, params: SECURE }));
  assertEquals([clients.at(-1)!.options.hostname, made.address!(client)], [host, undefined]);
});

Deno.test("the server is told the name, and a server without TLS is told nothing", async () => {
  const connectArgs = { ssl: true };
  names.set("db.internal", "127.0.0.1");
  {
    await using secured = answering(YES_TLS);
    const controller = new AbortController();
    const { signal } = controller;
    const target = targetOf({ port: secured.port, connectArgs, signal });
    const connecting = adapter.connect("127.0.0.1", target).catch((error) => error);
    await until(() => (secured.heard[1]?.length ?? 0) > 100); // the first is a question only
    controller.abort(new Error("enough"));
    assertEquals((await soon(connecting)).message, "enough");
    assertStringIncludes(secured.heard[1]!, "db.internal");
  }
  await using plain = answering(NO_TLS);
  const { clients, module } = madeUp();
  const connecting = dbPostgresAdapter(module)
    .connect("127.0.0.1", targetOf({ port: plain.port, connectArgs }));
  await assertRejects(() => soon(connecting), Error, "The server does not support TLS");
  assertEquals([clients.length, plain.heard.map((text) => text.length)], [0, [8]]);
});

/** A connect with TLS by the name of `db.internal`, of which DNS and the operating system say this and that. */
async function dialByName(
  { own, answers, system = [] }: {
    /** What the server calls itself. */
    readonly own: string;
    /** What DNS says, each time that it is looked at; in the end, the last for ever. */
    readonly answers: readonly (readonly string[])[];
    readonly system?: readonly string[];
  },
) {
  await using port = answering(YES_TLS);
  const { clients, module } = madeUp({ own: () => own });
  const made = lazyDbPostgresAdapter(() => Promise.resolve(module), {
    lookupAll: () => Promise.resolve(system),
  });
  let looks = 0;
  const addresses = () => answers[Math.min(looks++, answers.length - 1)]!;
  const target = targetOf({ port: port.port, params: SECURE, addresses });
  const logs = () => clients.map(({ log }) => log.join(" "));
  try {
    const client = await soon(made.connect("127.0.0.1", target));
    return { address: made.address!(client), logs: logs() };
  } catch (error) {
    return { error: error as Error & { code?: string }, logs: logs() };
  }
}

const HERE = "127.0.0.1";
const THERE = "127.0.0.2";

Deno.test("dialled by name, a connection is at the server's own address, where that is one of the name's", async () => {
  const both = [[HERE, THERE]];
  assertEquals(await dialByName({ own: HERE, answers: both }), {
    address: HERE,
    logs: ["connect"],
  });
  assertEquals(await dialByName({ own: THERE, answers: both }), {
    address: THERE,
    logs: ["connect"],
  });
  assertEquals(
    (await dialByName({ own: "FD00:0::1", answers: [[HERE, "fd00::1"]] })).address,
    "fd00::1",
  );
});

Deno.test("an answer that changes during the dial throws the connection away, and the name is dialled again", async () => {
  const rotated = [[HERE, THERE], [THERE, HERE]];
  assertEquals((await dialByName({ own: HERE, answers: rotated })).logs, ["connect"]);
  const once = [[HERE], [THERE], [THERE], [THERE]];
  assertEquals(await dialByName({ own: THERE, answers: once }), {
    address: THERE,
    logs: ["connect end", "connect"],
  });
  const always = [[HERE], [THERE], [HERE], [THERE], [HERE], [THERE]];
  const { error, logs } = await dialByName({ own: HERE, answers: always });
  assertEquals(
    [error?.message, error?.code],
    ['The addresses of "db.internal" changed during each of 3 attempts to connect', "ECONNABORTED"],
  );
  assertEquals(logs, ["connect end", "connect end", "connect end"]);
});

Deno.test("a server that calls itself something else is the one dialled, where there is no other it could be", async () => {
  const nat = { own: "10.0.0.1", answers: [[HERE]] };
  assertEquals(await dialByName({ ...nat, system: [HERE] }), { address: HERE, logs: ["connect"] });
  const doubtful: [answers: string[][], system: string[]][] = [
    [[[HERE, THERE]], [HERE, THERE]], // one of two
    [[[HERE, THERE]], [HERE]],
    [[[HERE]], [THERE]], // the operating system has another answer, and it was asked
    [[[HERE]], [HERE, THERE]],
  ];
  for (const [answers, system] of doubtful) {
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

Deno.test("an engine counts a connection that was dialled by name where it really is", async () => {
  const [first, second] = await loopbackPair();
  const port = await freePort([first, second]);
  const authority = await makeAuthority();
  const tls = await authority.issue({ names: ["db.internal"] });
  const own = { port, ...WHO, database: "orders", tls };
  await using _first = await startPostgres({ ...own, host: first });
  await using _second = await startPostgres({ ...own, host: second });
  names.set("db.internal", second);
  const who = `${WHO.user}:${encodeURIComponent(WHO.password)}`;
  const engine = getDnsEngine(`postgresql://${who}@db.internal:${port}/orders`, {
    adapter,
    dnsLookup: fakeLookup([first, second], 60),
    connectArgs: { ssl: { ca: authority.cert } },
  });
  const { address } = await engine.connect();
  assertEquals(address, second);
  assertEquals(Object.keys(engine.status().byAddress), [second]);
  await engine.close({ drain: 0 });
});

Deno.test("an abort of a driver that cannot be stopped rejects at once; a client that comes too late is closed", async () => {
  await using port = answering(NO_TLS);
  for (const late of ["comes", "fails"] as const) {
    let settle!: () => void;
    const waiting = new Promise<void>((resolve, reject) =>
      settle = () => late === "comes" ? resolve() : reject(new Error("too late"))
    );
    const { clients, module } = madeUp({ connect: () => waiting });
    const controller = new AbortController();
    const reason = new Error("enough");
    const target = targetOf({ port: port.port, signal: controller.signal });
    const connecting = dbPostgresAdapter(module).connect(HERE, target);
    connecting.catch(() => {});
    await until(() => clients[0]?.log.length === 1);
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => soon(connecting)), reason);
    settle();
    await pause(0);
    assertEquals(clients[0]!.log, late === "comes" ? ["connect", "end"] : ["connect"]);
  }
});

Deno.test("terminate() rejects what the driver would leave hanging, and nothing begins after it", async () => {
  await using port = answering(NO_TLS);
  const asked: string[] = [];
  const { clients, module } = madeUp({
    query: (text) => {
      asked.push(text);
      return new Promise(() => {});
    },
  });
  const made = dbPostgresAdapter(module);
  const client = await made.connect(HERE, targetOf({ port: port.port }));
  const heard: unknown[] = [];
  made.onClose!(client, (error) => heard.push(error));
  const reason = new Error("the server departed");
  const pending = [client.queryObject("SELECT 1"), client.queryArray("SELECT 2")].map((query) =>
    query.catch((error: unknown) => error)
  );
  made.terminate!(client, reason);
  made.terminate!(client, new Error("again"));
  for (const outcome of await soon(Promise.all(pending))) assertStrictEquals(outcome, reason);
  assertEquals(heard, [reason]);
  for (const next of [() => client.queryObject("SELECT 3"), () => client.connect()]) {
    const error = await assertRejects(() => soon<unknown>(next()), Error, "has been terminated");
    assertEquals(made.classify!(error), "disconnect");
  }
  assertEquals(asked, ["SELECT 1", "SELECT 2"]);
  assertEquals(clients[0]!.log.filter((entry) => entry === "connect"), ["connect"]);
});

Deno.test("a connection that turns out to be dead is dialled again by nobody, and tells of it once", async () => {
  const client = await adapter.connect(server.host, targetOf());
  const pid = client.session.pid;
  let calls = 0;
  adapter.onClose!(client, () => calls++);
  await POSTGRES_SUBJECT.asAdmin(server, `SELECT pg_terminate_backend(${pid})`);
  await pause(50);
  assertEquals(calls, 0); // nobody asked it anything
  for (let n = 0; n < 3; n++) {
    const error = await assertRejects(() => soon(client.queryArray("SELECT 1")));
    assertEquals(adapter.classify!(error), "disconnect");
  }
  await assertRejects(() => client.connect(), Error, "has been terminated");
  assertEquals(calls, 1);
});

Deno.test("a transaction is rolled back at checkin, in whichever way it was begun, and only where there may be one", async () => {
  const histories: [what: string, body: (client: Client) => Promise<unknown>, rollback: boolean][] =
    [
      ["nothing", () => Promise.resolve(), false],
      ["a question", (client) => client.queryObject("SELECT 1"), false],
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
      ["a transaction of the driver's, committed", async (client) => {
        const transaction = client.createTransaction("one");
        await transaction.begin();
        await transaction.queryObject`INSERT INTO things VALUES (${2})`;
        await transaction.commit();
      }, false],
      ["a transaction of the driver's, failed", async (client) => {
        const transaction = client.createTransaction("two");
        await transaction.begin();
        await assertRejects(() => transaction.queryArray("SELECT 1 / 0"), TransactionError);
      }, false],
      ["a transaction of the driver's, left open", async (client) => {
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
    const [row] = await POSTGRES_SUBJECT.asAdmin(server, `${last} ${pid}`);
    assertEquals(/^rollback/i.test(String(row!.query)), rollback, what);
    assertEquals(engine.status().idle, 1, what);
  }
  assertEquals(engine.status().opened, 1);
  assertEquals(await engine.query("SELECT n FROM things ORDER BY n"), [{ n: 1 }, { n: 2 }]);
  assertFalse(server.log.slice(before).includes("no transaction in progress"), server.log);
  await engine.close();
});

Deno.test("an error in a transaction of the driver's is told, and known for what it is", async () => {
  const readOnly = { options: "-c default_transaction_read_only=on" };
  const client = await adapter.connect(server.host, targetOf({ params: readOnly }));
  const heard: unknown[] = [];
  adapter.onError!(client, (error) => heard.push(adapter.classify!(error)));
  const transaction = client.createTransaction("write");
  const read = client.createTransaction("read");
  await read.begin();
  await read.queryArray("SELECT 1");
  await read.commit();
  await client.queryArray("BEGIN READ ONLY");
  await client.queryArray("INSERT INTO things VALUES (9)").catch(() => {});
  assertEquals(heard, ["read-only"]);
  await client.queryArray("ROLLBACK");
  await transaction.begin();
  await transaction.queryArray("SET TRANSACTION READ ONLY");
  const error = await assertRejects(() => transaction.queryArray("INSERT INTO things VALUES (9)"));
  assertEquals(adapter.classify!(error), "read-only");
  assertEquals(heard, ["read-only", "read-only"]);
  await adapter.close!(client);
});

Deno.test("classify() tells lost connections and read-only servers from mere errors", () => {
  const said = (code: string) => new PostgresError({ code, message: "said the server" });
  const named = (name: string) => Object.assign(new Error("x"), { name });
  const table: Record<"disconnect" | "read-only" | "other", unknown[]> = {
    "disconnect": [
      said("57P01"),
      said("08006"),
      new ConnectionError("The session was terminated unexpectedly"),
      new Error("Connection to the database has been terminated"),
      new Error("The client has been disconnected from the database. Enable reconnection"),
      new Deno.errors.BrokenPipe("x"),
      new Deno.errors.ConnectionRefused("x"),
      new Deno.errors.Interrupted("x"),
      named("HostUnreachable"),
      Object.assign(new Error("x"), { code: "ECONNRESET" }),
      new TransactionError("t", said("57P02")),
    ],
    "read-only": [said("25006"), new TransactionError("t", said("25006"))],
    "other": [
      said("28P01"),
      said("57014"),
      new TransactionError("t", said("40001")),
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
