import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import * as mariadb from "npm:mariadb@^3.5";
import mysqlWithCallbacks from "npm:mysql2@^3.24";
import mysql from "npm:mysql2@^3.24/promise";
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import type { Target } from "../../adapters/adapter.ts";
import {
  lazyMysql2Adapter,
  mysql2Adapter,
  type Mysql2Client,
  type Mysql2Config,
  type Mysql2PromiseModule,
} from "../../adapters/mysql2.ts";
import { type Engine, getDnsEngine, type Lease } from "../../mod.ts";
import type { MariadbServer } from "../../lab/mariadb.ts";
import { withAcceptingServer } from "../support/accepting_server.ts";
import { hungUp, withMute } from "../support/bad_servers.ts";
import { inspected } from "../support/inspected.ts";
import { asAdmin, GREETING, LOGIN, startServer } from "../support/mysql_subject.ts";
import { meets, STACKS_END_AT_THEN } from "../support/runtime_exceptions.ts";
import { mariadbTest, ON_MARIADB } from "../support/servers.ts";
import { makeTarget, type Same } from "../support/target.ts";
import { soon } from "../support/waiting.ts";

const adapter = mysql2Adapter(mysql);
const callbackAdapter = mysql2Adapter(mysqlWithCallbacks);

let server: MariadbServer;

Deno.test.beforeAll(async () => {
  if (!ON_MARIADB.skipped) server = await startServer();
});

Deno.test.afterAll(() => server?.stop({ mode: "immediate" }));

function targetOf(changes: Partial<Target> = {}): Target {
  return makeTarget({
    ...LOGIN,
    port: server?.port ?? 3306,
    database: "orders",
    ...changes,
  });
}

Deno.test("mysql2Adapter(): returns an adapter whose leases have the type of mysql2/promise, for both modules", async () => {
  const engine = getDnsEngine("mysql://app@127.0.0.1/orders", { adapter: mysql2Adapter(mysql) });
  const engineIsTyped: Same<typeof engine, Engine<mysql.Connection>> = true;
  const leaseIsTyped: Same<Awaited<ReturnType<typeof engine.connect>>, Lease<mysql.Connection>> =
    true;
  const clientIsTyped: Same<Lease<mysql.Connection>["client"], mysql.Connection> = true;
  const eitherIsTyped: Same<typeof adapter, typeof callbackAdapter> = true;
  assert(engineIsTyped && leaseIsTyped && clientIsTyped && eitherIsTyped);
  assertEquals([adapter.name, adapter.defaultPort], ["mysql2", 3306]);
  await engine.close();
});

Deno.test("mysql2Adapter(): refuses anything but the module mysql2", () => {
  class Connection {}
  const others = [
    undefined,
    null,
    {},
    "mysql2",
    mariadb,
    { default: mysql },
    { createConnection() {}, Connection },
  ];
  for (const value of others) {
    assertThrows(
      () => mysql2Adapter(value as unknown as typeof mysql),
      TypeError,
      '"mysql2" must be what `import mysql from "mysql2/promise"` gives, of version 3.14 or later, got ',
    );
  }
});

mariadbTest(
  "mysql2Adapter().query(): has the caller in the stack of a failed statement, unless `trace` is off",
  async () => {
    for (const [query, traced] of [["", true], ["?trace=false", false]] as const) {
      const { password, user } = LOGIN;
      const url = `mysql://${user}:${encodeURIComponent(password)}@${server.host}:${server.port}`;
      const engine = getDnsEngine(`${url}/orders${query}`, { adapter });
      const askForNothing = async (values: readonly unknown[]) =>
        await engine.query("SELECT * FROM nowhere WHERE name = ?", values);
      for (const values of [[], ["d"]]) {
        const { stack, message } = await assertRejects(() => askForNothing(values), Error);
        assert(stack!.startsWith(`Error: ${message}\n`), stack);
        const leads = traced && !meets(STACKS_END_AT_THEN);
        assertEquals(stack!.includes("askForNothing"), leads, stack);
      }
      await engine.close();
    }
  },
);

mariadbTest(
  "mysql2Adapter().connect(): returns clients with promises from the module with callbacks, and leaves no socket at an abort",
  async () => {
    const client = await callbackAdapter.connect(server.host, targetOf());
    assert(
      client instanceof
        (mysql as unknown as { PromiseConnection: new () => object }).PromiseConnection,
    );
    assertEquals([...await callbackAdapter.query!(client, "SELECT 1 AS n")], [{ n: 1 }]);
    const wrong = targetOf({ password: "x" });
    const error = await assertRejects(() => callbackAdapter.connect(server.host, wrong));
    assertEquals((error as { errno?: number }).errno, 1045);
    await callbackAdapter.close!(client);
    for (const params of [{}, { sslmode: "verify-full" }]) {
      await withMute([GREETING], async ({ port, conn, silent }) => {
        const controller = new AbortController();
        const { signal } = controller;
        const connecting = callbackAdapter.connect("127.0.0.1", targetOf({ port, params, signal }));
        connecting.catch(() => {});
        await silent;
        const reason = new Error("enough");
        controller.abort(reason);
        assertStrictEquals(await assertRejects(() => soon(connecting)), reason);
        await hungUp(await conn);
      }, { first: true });
    }
  },
);

/** Makes a module with the given function. */
function fakeDriver(
  createConnection: (config: Mysql2Config) => Promise<Mysql2Client>,
): Mysql2PromiseModule<Mysql2Client> {
  return Object.assign({ createConnection }, { PromiseConnection: class {} });
}

/** Returns the configuration that the driver gets for a connect. */
async function configFor(changes: Partial<Target>): Promise<Mysql2Config> {
  let passed: Mysql2Config | undefined;
  const recorder = mysql2Adapter(fakeDriver((config) => {
    passed = config;
    return Promise.reject(new Error("recorded"));
  }));
  await withAcceptingServer(async (port) => {
    await assertRejects(
      () => recorder.connect("127.0.0.1", targetOf({ ...changes, port })),
      Error,
      "recorded",
    );
    const { connectTimeout, stream } = passed!;
    assertEquals([passed!.port, connectTimeout, stream.destroyed], [port, 0, true]);
  });
  return passed!;
}

Deno.test("mysql2Adapter().connect(): passes host name and socket to the driver, and nothing that is not given", async () => {
  const bare = { user: undefined, password: undefined, database: undefined };
  assertEquals(Object.keys(await configFor(bare)).sort(), [
    "connectTimeout",
    "host",
    "maxPreparedStatements",
    "port",
    "stream",
  ]);
  const { stream: _, port: __, ...settings } = await configFor({
    params: { charset: "x", dateStrings: "true", maxPreparedStatements: "10" },
    connectArgs: { charset: "y", host: "10.0.0.9", enableKeepAlive: false },
  });
  assertEquals(settings as unknown, {
    ...LOGIN,
    database: "orders",
    connectTimeout: 0,
    host: "db.internal",
    charset: "y",
    dateStrings: true,
    maxPreparedStatements: 10,
    enableKeepAlive: false,
  });
});

Deno.test("mysql2Adapter().connect(): with TLS, lets mysql2 check the certificate for the host name", async () => {
  const NAME = "db.internal";
  const checked = { rejectUnauthorized: true, verifyIdentity: true };
  const own = { ca: "…" };
  const cases: [Partial<Target>, host: string, ssl: unknown][] = [
    [{}, NAME, undefined],
    [{ params: { sslmode: "disable" } }, NAME, undefined],
    [{ connectArgs: { ssl: false } }, NAME, undefined],
    [{ params: { sslmode: "verify-full" } }, NAME, checked],
    [{ params: { sslmode: "verify-ca" } }, NAME, { ...checked, verifyIdentity: false }],
    [{ params: { sslmode: "require" } }, NAME, {
      rejectUnauthorized: false,
      verifyIdentity: false,
    }],
    // Without these options, mysql2 checks no name.
    [{ connectArgs: { ssl: true } }, NAME, checked],
    [{ connectArgs: { ssl: own } }, NAME, { ...checked, ca: "…" }],
    [{ connectArgs: { ssl: { verifyIdentity: false } } }, NAME, {
      ...checked,
      verifyIdentity: false,
    }],
    [{ connectArgs: { ssl: { rejectUnauthorized: false } } }, NAME, {
      rejectUnauthorized: false,
      verifyIdentity: false,
    }],
    [{ connectArgs: { ssl: { servername: "other" } } }, "other", checked],
    [{ connectArgs: { ssl: true }, host: "10.0.0.2" }, "10.0.0.2", checked],
  ];
  for (const [changes, host, ssl] of cases) {
    const config = await configFor(changes);
    assertEquals([config.host, config.ssl], [host, ssl as Mysql2Config["ssl"]], inspected(changes));
  }
  assertEquals(own, { ca: "…" });
});

Deno.test("mysql2Adapter().check(): refuses TLS options that mysql2 would ignore or that contradict sslmode", () => {
  const engineWith = (ssl: object, query = "") =>
    getDnsEngine(`mysql://db.internal/orders${query}`, { adapter, connectArgs: { ssl } });
  for (const name of ["checkServerIdentity", "crl", "pfx", "requestCert"]) {
    assertThrows(
      () => engineWith({ [name]: "x" }),
      TypeError,
      `"connectArgs.ssl.${name}" must not be given: mysql2 would ignore it; it knows ca, cert,`,
    );
  }
  assertThrows(
    () => engineWith({ verifyIdentity: false }, "?sslmode=verify-full"),
    TypeError,
    '"connectArgs.ssl.verifyIdentity" must not be given: sslmode=verify-full in the URL already says how the certificate is checked',
  );
});

Deno.test("mysql2Adapter().connect(): verifies the driver's TLS socket", async () => {
  const cases: [socket: unknown, message: string][] = [
    [{}, "Cannot use the connection: TLS was requested, and it is not encrypted"],
    [
      { encrypted: true, authorized: false, getPeerCertificate() {} },
      "Cannot trust the server's certificate: its issuer is not trusted",
    ],
    [
      {
        encrypted: true,
        authorized: true,
        getPeerCertificate: () => ({
          subject: { CN: "other.internal" },
          subjectaltname: "DNS:other.internal",
        }),
      },
      "Cannot trust the server's certificate: Hostname/IP does not match certificate's altnames: Host: db.internal. is not in the cert's altnames: DNS:other.internal",
    ],
  ];
  for (const [stream, message] of cases) {
    const adapter = mysql2Adapter(
      fakeDriver(() =>
        Promise.resolve({ connection: { stream, on() {} } } as unknown as Mysql2Client)
      ),
    );
    await withAcceptingServer(async (port) => {
      const target = targetOf({ port, params: { sslmode: "verify-full" } });
      await assertRejects(() => adapter.connect("127.0.0.1", target), Error, message);
    });
  }
});

Deno.test("mysql2Adapter().connect(): rejects at an abort while the driver is loading", async () => {
  const controller = new AbortController();
  let loaded!: () => void;
  const loading = new Promise<void>((resolve) => loaded = resolve);
  const lazy = lazyMysql2Adapter(() => loading.then(() => mysql));
  const connecting = lazy.connect("127.0.0.1", targetOf({ port: 1, signal: controller.signal }));
  const reason = new Error("enough");
  controller.abort(reason);
  loaded();
  assertStrictEquals(await assertRejects(() => connecting), reason);
});

mariadbTest(
  "mysql2Adapter().transactionStatus(): is right after streamed rows and after LOAD DATA LOCAL",
  async () => {
    const infileStreamFactory = () => Readable.from([Buffer.from("1\n2\n3\n")]);
    const target = targetOf({ connectArgs: { infileStreamFactory, flags: ["LOCAL_FILES"] } });
    const client = await adapter.connect(server.host, target);
    await client.query("CREATE TEMPORARY TABLE numbers (n int) ENGINE = InnoDB");
    await client.query("SET autocommit = 0");
    assertEquals(adapter.transactionStatus!(client), undefined); // a reset has something to do
    adapter.keepSettings!(client);
    assertEquals(adapter.transactionStatus!(client), "idle");
    await client.query("LOAD DATA LOCAL INFILE 'here' INTO TABLE numbers");
    assertEquals(adapter.transactionStatus!(client), "open");
    await client.query("COMMIT");
    assertEquals(adapter.transactionStatus!(client), "idle");
    await client.query("SET autocommit = 1");
    adapter.keepSettings!(client);
    const { connection } = client as unknown as { connection: mysqlWithCallbacks.Connection };
    let count = 0;
    for await (
      const _ of connection.query("SELECT seq FROM seq_1_to_500").stream({ highWaterMark: 1 })
    ) count++;
    assertEquals([count, adapter.transactionStatus!(client)], [500, "idle"]);
    await adapter.close!(client);
  },
);

mariadbTest(
  "mysql2Adapter().transactionStatus(): is not changed by a statement that is only prepared",
  async () => {
    const client = await adapter.connect(server.host, targetOf());
    await client.query("BEGIN");
    await client.prepare("DO 1");
    assertEquals(adapter.transactionStatus!(client), "open");
    await client.prepare("SELECT ? + 1");
    assertEquals(adapter.transactionStatus!(client), "open");
    await client.rollback();
    assertEquals(adapter.transactionStatus!(client), "idle");
    await adapter.close!(client);
  },
);

mariadbTest(
  "mysql2Adapter().connect(): returns a client whose late errors are not uncaught",
  async () => {
    const client = await adapter.connect(server.host, targetOf());
    const ended = new Promise<void>((resolve) => {
      (client as unknown as { connection: { stream: Socket } }).connection.stream
        .once("close", () => resolve());
    });
    await asAdmin(server, `KILL ${client.threadId}`);
    await soon(ended);
    // No callback takes the error of this query.
    (client as unknown as { connection: mysqlWithCallbacks.Connection }).connection.query(
      "SELECT 1",
    );
    adapter.terminate!(client);
  },
);

Deno.test("mysql2Adapter().transactionStatus(): is undefined if the connection has no internals", async () => {
  const client = { connection: { on() {} } } as unknown as Mysql2Client;
  const opaque = mysql2Adapter(fakeDriver(({ stream }) => {
    Object.assign((client as unknown as { connection: object }).connection, { stream });
    return Promise.resolve(client);
  }));
  await withAcceptingServer(async (port) => {
    await opaque.connect("127.0.0.1", targetOf({ port }));
    assertEquals(opaque.transactionStatus!(client), undefined);
    opaque.terminate!(client);
  });
});

Deno.test("mysql2Adapter().classify(): tells lost connections and read-only servers from ordinary errors", () => {
  const READ_ONLY =
    "The MySQL server is running with the --super-read-only option so it cannot execute this statement";
  const numbered = (errno: number, message = "from the server") =>
    Object.assign(new Error(message), { errno });
  const coded = (code: string, message = "x") => Object.assign(new Error(message), { code });
  const table: Record<"disconnect" | "closed" | "read-only" | "other", unknown[]> = {
    "disconnect": [
      ...[1053, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 2006, 2013, 2055, 3032]
        .map((errno) => numbered(errno)),
      numbered(1047, "WSREP has not yet prepared node for application use"),
      numbered(
        1180,
        "Error while appending streaming replication fragment(provider status: Not connected to Primary Component)",
      ),
      ..."ECONNRESET ECONNREFUSED ECONNABORTED EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH".split(" ")
        .map((code) => coded(code)),
      coded("PROTOCOL_CONNECTION_LOST"),
      coded("PROTOCOL_UNEXPECTED_PACKET"),
      new Error("Can't add new command when connection is in closed state"),
      new Error("Can't write in closed state"),
      coded("HANDSHAKE_SSL_ERROR", "read ECONNRESET"),
      coded(
        "HANDSHAKE_SSL_ERROR",
        "Client network socket disconnected before secure TLS connection was established",
      ),
    ],
    "closed": [
      ...[1040, 1203, 1927, 3169, 4031].map((errno) => numbered(errno)),
      numbered(1226, "User 'app' has exceeded the 'max_user_connections' resource"),
    ],
    "read-only": [numbered(1290, READ_ONLY), numbered(1792), numbered(1836), numbered(1874)],
    "other": [
      // Wrong password, no such database, deadlock, lock wait, duplicate, interrupted, no such table.
      ...[1045, 1049, 1213, 1205, 1062, 1317, 1146, 1036, 1290, 1047, 1180].map((errno) =>
        numbered(errno)
      ),
      numbered(1226, "User 'app' has exceeded the 'max_queries_per_hour' resource"),
      coded("HANDSHAKE_SSL_ERROR", "certificate has expired"),
      coded("HANDSHAKE_NO_SSL_SUPPORT"),
      coded("PROTOCOL_SEQUENCE_TIMEOUT"),
      Object.assign(new Error("x"), { errno: "1053" }),
      undefined,
      null,
      "PROTOCOL_CONNECTION_LOST",
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
