import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import mariadbDefault, * as mariadb from "npm:mariadb@^3.5";
import * as mariadbOfCallbacks from "npm:mariadb@^3.5/callback";
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
import { hungUp } from "../support/bad_servers.ts";
import { inspected } from "../support/inspected.ts";
import { asAdmin, startServer, WHO } from "../support/mysql_subject.ts";
import { withSelfSigned } from "../support/self_signed_mariadb.ts";
import { listen } from "../support/peers.ts";
import { mariadbTest, ON_MARIADB } from "../support/servers.ts";
import { type Same, someTarget } from "../support/target.ts";
import { soon, until } from "../support/waiting.ts";
import { textsOf } from "../contracts/adapter.ts";

const adapter = mariadbAdapter(mariadb);

let server: MariadbServer;

Deno.test.beforeAll(async () => {
  if (!ON_MARIADB.skipped) server = await startServer();
});

Deno.test.afterAll(() => server?.stop({ mode: "immediate" }));

function targetOf(changes: Partial<Target> = {}): Target {
  return someTarget({
    ...WHO,
    port: server?.port ?? 3306,
    database: "orders",
    ...changes,
  });
}

Deno.test("mariadbAdapter() gives leases with the driver's connection, at compile time", async () => {
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

Deno.test("mariadbAdapter() refuses what is not the module mariadb, and one that is too old", () => {
  for (const value of [undefined, null, {}, "mariadb", mysql, { createConnection() {} }]) {
    assertThrows(
      () => mariadbAdapter(value as unknown as typeof mariadb),
      TypeError,
      'Cannot use this as the driver "mariadb": it is another module, pass what `import * as mariadb from "mariadb"` gives',
    );
  }
  for (const version of ["3.3.2", "2.5.6", "1.0.0"]) {
    assertThrows(
      () => mariadbAdapter({ ...mariadb, version }),
      TypeError,
      `Cannot use mariadb ${version}: install version 3.4 or later`,
    );
  }
  for (const version of ["3.4.0", "3.10.0", "4.0.0"]) mariadbAdapter({ ...mariadb, version });
});

mariadbTest(
  "the module of callbacks is refused when it connects, and leaves no session",
  async () => {
    const wrong = mariadbAdapter(mariadbOfCallbacks as unknown as typeof mariadb);
    await assertRejects(
      () => wrong.connect(server.host, targetOf()),
      TypeError,
      'Cannot use this as the driver "mariadb": it is another module',
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

/** What the driver is told by a connect to a server that is not there for it. */
async function toldFor(changes: Partial<Target>): Promise<MariadbConfig> {
  let told: MariadbConfig | undefined;
  const noting = mariadbAdapter(fakeDriver((config) => {
    told = config;
    return Promise.reject(new Error("noted"));
  }));
  await withListener(async (port) => {
    await assertRejects(
      () => noting.connect("127.0.0.1", targetOf({ ...changes, port })),
      Error,
      "noted",
    );
    assertEquals(told!.port, port);
  });
  return told!;
}

/** A driver that is not one. */
function fakeDriver(
  createConnection: (config: MariadbConfig) => Promise<MariadbClient>,
): MariadbModule<MariadbClient> {
  return { version: "3.5.0", createConnection };
}

/** A server that lets anybody dial, for as long as the test takes. */
async function withListener(body: (port: number) => Promise<void>): Promise<void> {
  await using listener = await listen();
  const accepting = listener.accept();
  await body(listener.port);
  await hungUp(await accepting);
}

Deno.test("the driver is told the name, no time-out of its own, to follow no redirect and to keep bind values", async () => {
  const own = { connectTimeout: 0, host: "db.internal", logParam: false, permitRedirect: false };
  const factsOf = ({ stream: _, port: __, logger: ___, ...facts }: MariadbConfig) => facts;
  const bare = { user: undefined, password: undefined, database: undefined };
  assertEquals(factsOf(await toldFor(bare)), own);
  const told = await toldFor({
    params: { charset: "x", dateStrings: "true", queryTimeout: "10", logParam: "true" },
    connectArgs: { charset: "y", host: "10.0.0.9", connectTimeout: 5 },
  });
  assertEquals(factsOf(told) as unknown, {
    ...own,
    ...WHO,
    database: "orders",
    charset: "y",
    dateStrings: true,
    queryTimeout: 10,
    logParam: true,
    connectTimeout: 5,
  });
});

Deno.test("with TLS, the driver is told the name", async () => {
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
    assertEquals((await toldFor(changes)).ssl as unknown, ssl, inspected(changes));
  }
});

Deno.test("a connection whose TLS is not as asked for is not believed, whatever the driver says", async () => {
  const trouble: [socket: unknown, message: string][] = [
    [undefined, "Cannot use this connection: TLS was asked for, and it has none"],
    [
      { encrypted: true, authorized: false, authorizationError: "odd", getPeerCertificate() {} },
      "Cannot trust the server's certificate: odd",
    ],
  ];
  for (const [socket, message] of trouble) {
    const client = {
      once: (_: string, listener: () => void) => listener.call({ socket }),
      on() {},
    };
    const gullible = mariadbAdapter(
      fakeDriver(() => Promise.resolve(client as unknown as MariadbClient)),
    );
    await withListener(async (port) => {
      const target = targetOf({ port, params: { sslmode: "verify-full" } });
      await assertRejects(() => gullible.connect("127.0.0.1", target), Error, message);
    });
  }
});

Deno.test("a certificate that only the password vouches for, as MariaDB 11.4 has it, is not believed", async () => {
  const certificate = await (await makeAuthority()).issue({ names: ["db.internal"] });
  await withSelfSigned(certificate, WHO.password, async (port) => {
    const connecting = (params: Target["params"], ssl?: boolean) =>
      adapter.connect("127.0.0.1", targetOf({ port, params, connectArgs: { ssl } }));
    for (
      const asked of [() => connecting({}, true), () => connecting({ sslmode: "verify-full" })]
    ) {
      await assertRejects(
        () => soon(asked()),
        Error,
        "Cannot trust the server's certificate: UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      );
    }
    // The driver itself would.
    const client = await soon(
      mariadb.createConnection({ host: "127.0.0.1", port, ...WHO, ssl: true }),
    );
    client.destroy();
    adapter.terminate!(await soon(connecting({ sslmode: "require" })));
  });
});

mariadbTest(
  "destroy() by the user kills the session on the same server, whatever the name says",
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
  "the user's own logger is told what it was told, and errors carry values only if asked to",
  async () => {
    for (const logParam of [false, true]) {
      const heard: Error[] = [];
      const queries: string[] = [];
      const logger = {
        error: (error: Error) => void heard.push(error),
        query: (text: string) => void queries.push(text),
      };
      const client = await adapter.connect(
        server.host,
        targetOf({ connectArgs: { logger, logParam } }),
      );
      const error = await assertRejects(() => client.query("SELECT ? FROM nowhere", ["s3cret"]));
      assertEquals(heard, [error]);
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

mariadbTest("socketTimeout of the URL holds, and is a disconnect", async () => {
  const client = await adapter.connect(
    server.host,
    targetOf({ params: { socketTimeout: "100" } }),
  );
  const ended = new Promise<unknown>((resolve) => adapter.onClose!(client, resolve));
  const error = await soon(assertRejects(() => client.query("SELECT SLEEP(30)")));
  assertEquals(adapter.classify!(error), "disconnect");
  await soon(ended);
});

Deno.test("inTransaction() does not know on a connection that cannot be looked into", async () => {
  const client = { once() {}, on() {}, info: { status: 2 } } as unknown as MariadbClient;
  const opaque = mariadbAdapter(fakeDriver(() => Promise.resolve(client)));
  await withListener(async (port) => {
    await opaque.connect("127.0.0.1", targetOf({ port }));
    assertEquals(opaque.inTransaction!(client), undefined);
    opaque.terminate!(client);
  });
});

Deno.test("classify() tells lost connections and read-only servers from mere errors", () => {
  const numbered = (errno: number, message = "x") => Object.assign(new Error(message), { errno });
  const READ_ONLY =
    "(conn:1, no: 1290, SQLState: HY000) The MariaDB server is running with the --read-only option so it cannot execute this statement";
  const table: Record<"disconnect" | "read-only" | "other", unknown[]> = {
    "disconnect": [
      ...[45001, 45004, 45009, 45011, 45012, 45013, 45019, 45026, 45042].map((errno) =>
        numbered(errno)
      ),
      ...[1053, 1927, 2013].map((errno) => numbered(errno)),
      Object.assign(new Error("x"), { code: "ECONNRESET", errno: -104 }),
    ],
    "read-only": [numbered(1290, READ_ONLY), numbered(1792), numbered(1836)],
    "other": [
      // No TLS there, not trusted, another name, wrong parameter
      ...[45023, 45056, 45059, 45043, 45017].map((errno) => numbered(errno)),
      ...[1045, 1049, 1040, 1317, 1290].map((errno) => numbered(errno)),
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
