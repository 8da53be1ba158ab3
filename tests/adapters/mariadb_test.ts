import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import mariadbDefault, * as mariadb from "npm:mariadb@^3.5";
import * as mariadbWithCallbacks from "npm:mariadb@^3.5/callback";
import mysql from "npm:mysql2@^3.24/promise";
import type { Target } from "../../adapters/adapter.ts";
import {
  mariadbAdapter,
  type MariadbClient,
  type MariadbConfig,
  type MariadbModule,
} from "../../adapters/mariadb.ts";
import { type Engine, getDnsEngine, type Lease } from "../../mod.ts";
import { makeAuthority } from "../../lab/certificates.ts";
import type { MariadbServer } from "../../lab/mariadb.ts";
import { withAcceptingServer } from "../support/accepting_server.ts";
import { inspected } from "../support/inspected.ts";
import { asAdmin, LOGIN, startServer } from "../support/mysql_subject.ts";
import { withSelfSigned } from "../support/self_signed_mariadb.ts";
import { mariadbTest, ON_MARIADB } from "../support/servers.ts";
import { makeTarget, type Same } from "../support/target.ts";
import { soon, until } from "../support/waiting.ts";
import { textsOf } from "../contracts/adapter.ts";

const adapter = mariadbAdapter(mariadb);

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

Deno.test("mariadbAdapter(): returns an adapter whose leases have the type mariadb.Connection", async () => {
  const engine = getDnsEngine("mariadb://app@127.0.0.1/orders", {
    adapter: mariadbAdapter(mariadb),
  });
  const engineIsTyped: Same<typeof engine, Engine<mariadb.Connection>> = true;
  const leaseIsTyped: Same<Awaited<ReturnType<typeof engine.connect>>, Lease<mariadb.Connection>> =
    true;
  const clientIsTyped: Same<Lease<mariadb.Connection>["client"], mariadb.Connection> = true;
  const byDefault = mariadbAdapter(mariadbDefault);
  const eitherIsTyped: Same<typeof adapter, typeof byDefault> = true;
  assert(engineIsTyped && leaseIsTyped && clientIsTyped && eitherIsTyped);
  assertEquals([adapter.name, adapter.defaultPort], ["mariadb", 3306]);
  await engine.close();
});

Deno.test("mariadbAdapter(): refuses anything but the module mariadb, and versions that are too old", () => {
  for (const value of [undefined, null, {}, "mariadb", mysql, { createConnection() {} }]) {
    assertThrows(
      () => mariadbAdapter(value as unknown as typeof mariadb),
      TypeError,
      '"mariadb" must be what `import * as mariadb from "mariadb"` gives, got ',
    );
  }
  for (const version of ["3.3.2", "2.5.6", "1.0.0"]) {
    assertThrows(
      () => mariadbAdapter({ ...mariadb, version }),
      TypeError,
      `"mariadb" must be of version 3.4 or later, got "${version}"`,
    );
  }
  for (const version of ["3.4.0", "3.10.0", "4.0.0"]) mariadbAdapter({ ...mariadb, version });
});

mariadbTest(
  "mariadbAdapter().connect(): refuses the module with callbacks, and leaves no session",
  async () => {
    const wrong = mariadbAdapter(mariadbWithCallbacks as unknown as typeof mariadb);
    await assertRejects(
      () => wrong.connect(server.host, targetOf()),
      TypeError,
      '"mariadb" must be what `import * as mariadb from "mariadb"` gives, with promises, got an object',
    );
    await until(async () => {
      const [row] = await asAdmin(
        server,
        "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user = 'app'",
      );
      return Number(row!.n) === 0;
    });
  },
);

/** Returns the configuration that the driver gets for a connect. */
async function configFor(changes: Partial<Target>): Promise<MariadbConfig> {
  let passed: MariadbConfig | undefined;
  const recorder = mariadbAdapter(fakeDriver((config) => {
    passed = config;
    return Promise.reject(new Error("recorded"));
  }));
  await withAcceptingServer(async (port) => {
    await assertRejects(
      () => recorder.connect("127.0.0.1", targetOf({ ...changes, port })),
      Error,
      "recorded",
    );
    assertEquals(passed!.port, port);
  });
  return passed!;
}

/** Makes a module with the given function. */
function fakeDriver(
  createConnection: (config: MariadbConfig) => Promise<MariadbClient>,
): MariadbModule<MariadbClient> {
  return { version: "3.5.0", createConnection };
}

Deno.test("mariadbAdapter().connect(): passes the host name to the driver, and turns off its timeout, redirects and bind values in errors", async () => {
  const own = {
    connectTimeout: 0,
    host: "db.internal",
    logParam: false,
    permitRedirect: false,
    prepareCacheLength: 100,
  };
  const settingsOf = ({ stream: _, port: __, logger: ___, ...settings }: MariadbConfig) => settings;
  const bare = { user: undefined, password: undefined, database: undefined };
  assertEquals(settingsOf(await configFor(bare)), own);
  const config = await configFor({
    params: { charset: "x", dateStrings: "true", queryTimeout: "10", logParam: "true" },
    connectArgs: { charset: "y", host: "10.0.0.9", connectTimeout: 5 },
  });
  assertEquals(settingsOf(config) as unknown, {
    ...own,
    ...LOGIN,
    database: "orders",
    charset: "y",
    dateStrings: true,
    queryTimeout: 10,
    logParam: true,
    connectTimeout: 5,
  });
});

Deno.test("mariadbAdapter().connect(): with TLS, passes the server name to the driver", async () => {
  const NAME = "db.internal";
  const cases: [Partial<Target>, unknown][] = [
    [{}, undefined],
    [{ params: { sslmode: "disable" } }, undefined],
    [{ connectArgs: { ssl: false } }, undefined],
    [{ params: { sslmode: "verify-full" } }, { servername: NAME, rejectUnauthorized: true }],
    [{ params: { sslmode: "require" } }, { servername: NAME, rejectUnauthorized: false }],
    [{ connectArgs: { ssl: true } }, { servername: NAME }],
    [{ connectArgs: { ssl: { ca: "…" } } }, { servername: NAME, ca: "…" }],
    [{ connectArgs: { ssl: true }, host: "10.0.0.2" }, { host: "10.0.0.2" }],
  ];
  for (const [changes, ssl] of cases) {
    assertEquals((await configFor(changes)).ssl as unknown, ssl, inspected(changes));
  }
});

Deno.test("mariadbAdapter().connect(): verifies the driver's TLS socket", async () => {
  const cases: [socket: unknown, message: string][] = [
    [undefined, "Cannot use the connection: TLS was requested, and it is not encrypted"],
    [
      { encrypted: true, authorized: false, authorizationError: "odd", getPeerCertificate() {} },
      "Cannot trust the server's certificate: odd",
    ],
  ];
  for (const [socket, message] of cases) {
    const client = {
      once: (_: string, listener: () => void) => listener.call({ socket }),
      on() {},
    };
    const adapter = mariadbAdapter(
      fakeDriver(() => Promise.resolve(client as unknown as MariadbClient)),
    );
    await withAcceptingServer(async (port) => {
      const target = targetOf({ port, params: { sslmode: "verify-full" } });
      await assertRejects(() => adapter.connect("127.0.0.1", target), Error, message);
    });
  }
});

Deno.test("mariadbAdapter().connect(): refuses a certificate that is verified by the password alone, as in MariaDB 11.4", async () => {
  const certificate = await (await makeAuthority()).issue({ names: ["db.internal"] });
  await withSelfSigned(certificate, LOGIN.password, async (port) => {
    const connecting = (params: Target["params"], ssl?: boolean) =>
      adapter.connect("127.0.0.1", targetOf({ port, params, connectArgs: { ssl } }));
    for (
      const connect of [() => connecting({}, true), () => connecting({ sslmode: "verify-full" })]
    ) {
      await assertRejects(
        () => soon(connect()),
        Error,
        "Cannot trust the server's certificate: UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      );
    }
    // The driver itself would accept it.
    const client = await soon(
      mariadb.createConnection({ host: "127.0.0.1", port, ...LOGIN, ssl: true }),
    );
    client.destroy();
    adapter.terminate!(await soon(connecting({ sslmode: "require" })));
  });
});

mariadbTest(
  "mariadbAdapter().connect(): returns a client whose destroy() kills the session on the same server",
  async () => {
    const host = "name.that.does.not.exist.invalid";
    const client = await adapter.connect(server.host, targetOf({ host }));
    const running = assertRejects(() => client.query("SELECT SLEEP(30)"));
    const sleeping = () =>
      asAdmin(
        server,
        "SELECT id FROM information_schema.processlist WHERE info LIKE '%leep(30)%' AND info NOT LIKE '%info%'",
      );
    await until(async () => (await sleeping()).length === 1);
    client.destroy();
    await soon(running);
    await until(async () => (await sleeping()).length === 0);
    adapter.terminate!(client);
  },
);

mariadbTest(
  "mariadbAdapter().connect(): passes on to the user's own logger, and errors contain values only with logParam",
  async () => {
    for (const logParam of [false, true]) {
      const errors: Error[] = [];
      const queries: string[] = [];
      const logger = {
        error: (error: Error) => void errors.push(error),
        query: (text: string) => void queries.push(text),
      };
      const client = await adapter.connect(
        server.host,
        targetOf({ connectArgs: { logger, logParam } }),
      );
      const error = await assertRejects(() => client.query("SELECT ? FROM nowhere", ["s3cret"]));
      assertEquals(errors, [error]);
      assertEquals(textsOf(error).includes("s3cret"), logParam);
      assert(queries.some((text) => text.includes("nowhere")));
      await adapter.close!(client);
    }
    const lines: unknown[] = [];
    const logger = (line: unknown) => void lines.push(line);
    const client = await adapter.connect(server.host, targetOf({ connectArgs: { logger } }));
    const error = await assertRejects(() => client.query("SELEC 1"));
    assert(lines.includes(error) && lines.length > 2);
    await adapter.close!(client);
  },
);

mariadbTest("mariadbAdapter().classify(): a socketTimeout is a disconnect", async () => {
  const client = await adapter.connect(
    server.host,
    targetOf({ params: { socketTimeout: "100" } }),
  );
  const ended = new Promise<unknown>((resolve) => adapter.onClose!(client, resolve));
  const error = await soon(assertRejects(() => client.query("SELECT SLEEP(30)")));
  assertEquals(adapter.classify!(error), "disconnect");
  await soon(ended);
});

Deno.test("mariadbAdapter().transactionStatus(): is undefined if the connection has no internals", async () => {
  const client = { once() {}, on() {}, info: { status: 2 } } as unknown as MariadbClient;
  const opaque = mariadbAdapter(fakeDriver(() => Promise.resolve(client)));
  await withAcceptingServer(async (port) => {
    await opaque.connect("127.0.0.1", targetOf({ port }));
    assertEquals(opaque.transactionStatus!(client), undefined);
    opaque.terminate!(client);
  });
});

Deno.test("mariadbAdapter().classify(): tells lost connections and read-only servers from ordinary errors", () => {
  const numbered = (errno: number, message = "x") => Object.assign(new Error(message), { errno });
  const READ_ONLY =
    "(conn:1, no: 1290, SQLState: HY000) The MariaDB server is running with the --read-only option so it cannot execute this statement";
  const table: Record<"disconnect" | "closed" | "read-only" | "other", unknown[]> = {
    "disconnect": [
      ...[45001, 45004, 45009, 45011, 45012, 45013, 45019, 45026, 45042].map((errno) =>
        numbered(errno)
      ),
      ...[1053, 2013].map((errno) => numbered(errno)),
      Object.assign(new Error("x"), { code: "ECONNRESET", errno: -104 }),
    ],
    "closed": [1040, 1203, 1927, 3169, 4031].map((errno) => numbered(errno)),
    "read-only": [numbered(1290, READ_ONLY), numbered(1792), numbered(1836)],
    "other": [
      // Server without TLS, not trusted, another name, wrong parameter.
      ...[45023, 45056, 45059, 45043, 45017].map((errno) => numbered(errno)),
      ...[1045, 1049, 1317, 1290].map((errno) => numbered(errno)),
      Object.assign(new Error("x"), { code: "CERT_HAS_EXPIRED" }),
      undefined,
      null,
      45009,
    ],
  };
  for (const [verdict, errors] of Object.entries(table)) {
    for (const error of errors) {
      assertEquals(adapter.classify!(error) ?? "other", verdict, inspected(error));
    }
  }
});
