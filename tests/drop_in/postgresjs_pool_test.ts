/**
 * What `dnsPostgres()` does that `postgres()` does not, on real PostgreSQL servers.
 */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { inspect } from "node:util";
import postgres from "npm:postgres@^3.4";
import { dnsPostgres, type DnsPostgresOptions, type DnsSql } from "../../drop_in/postgresjs.ts";
import { ConnectionLostError } from "../../errors.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { type Setup, withPools } from "../support/drop_in_setup.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { runProgram } from "../support/program.ts";
import { REFUSING_PORT } from "../support/sockets.ts";
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

type Sql = DnsSql<typeof postgres>;

type Options = Omit<postgres.Options<Record<string, never>>, "types"> & DnsPostgresOptions;

/** Runs a test with pools for a name that points at the first server. */
function withSqls(test: (setup: Setup<Sql, Options>) => Promise<void>): Promise<void> {
  const { host, port } = first;
  return withPools(host, {
    open: (options) =>
      dnsPostgres(postgres)({
        ...LOGIN,
        host: "db.internal",
        port,
        onnotice: () => {},
        ...options,
      }),
    end: (sql) => sql.end({ timeout: 1 }),
  }, test);
}

const WHERE = "SELECT host(inet_server_addr()) AS host";

async function where(sql: { unsafe: Sql["unsafe"] }): Promise<string> {
  const [row] = await sql.unsafe(WHERE);
  return row!.host;
}

/** Waits until the pool knows that the name has moved. */
async function untilMoved(sql: Sql, host: string): Promise<void> {
  await until(() => sql.engine!.status().answer.addresses[0] === host);
}

Deno.test("dnsPostgres: when the record moves, idle connections are closed, and the next statement runs on the new server", () =>
  withSqls(async ({ dns, make }) => {
    const sql = make();
    await Promise.all([sql`SELECT pg_sleep(0.05)`, sql`SELECT pg_sleep(0.05)`]);
    assertEquals(await where(sql), first.host);
    dns.addresses = [second.host];
    await until(() => sql.engine!.status().size === 0);
    assertEquals(await where(sql), second.host);
  }));

Deno.test("dnsPostgres: no statement begins on the old server once the old answer has expired", () =>
  withSqls(async ({ dns, make }) => {
    const sql = make({ max: 2 });
    const late: string[] = [];
    let over = false;
    let movedMs = Infinity;
    const workers = Array.from({ length: 8 }, async () => {
      while (!over) {
        const isLate = performance.now() - movedMs > 500;
        const host = await where(sql);
        if (isLate) late.push(host);
      }
    });
    await pause(50);
    movedMs = performance.now();
    dns.addresses = [second.host];
    await until(() => late.length > 50);
    over = true;
    await Promise.all(workers);
    assertEquals(late.filter((host) => host !== second.host), []);
  }));

Deno.test("dnsPostgres: with connections to a departed address in use, no statement is added to theirs", () =>
  withSqls(async ({ dns, make }) => {
    const sql = make({ max: 1 });
    assertEquals(await where(sql), first.host);
    const running = sql`SELECT host(inet_server_addr()) AS host, pg_sleep(1.5)`;
    running.execute();
    const behind = sql.unsafe(WHERE); // sent behind it
    behind.execute();
    await pause(50);
    dns.addresses = [second.host];
    await untilMoved(sql, second.host);
    assertEquals(await where(sql), second.host);
    assertEquals((await running)[0]!.host, first.host);
    assertEquals((await behind)[0]!.host, first.host);
    await until(() => sql.engine!.status().byAddress[first.host] === undefined);
  }));

Deno.test("dnsPostgres: a transaction ends on the server on which it began, and the next one begins on the new one", () =>
  withSqls(async ({ dns, make }) => {
    const sql = make({ max: 1 });
    const { engine } = sql;
    const hosts = await sql.begin(async (sql) => {
      const before = await where(sql);
      dns.addresses = [second.host];
      await until(() => engine!.status().retired === 1);
      return [before, await where(sql), await sql.savepoint((sql) => where(sql))];
    });
    assertEquals(hosts, [first.host, first.host, first.host]);
    assertEquals(await sql.begin((sql) => where(sql)), second.host);
  }));

Deno.test("dnsPostgres: a reserved connection stays where it is, does not count toward max, and is closed when it is released", () =>
  withSqls(async ({ dns, make }) => {
    const sql = make({ max: 1 });
    const reserved = await sql.reserve();
    assertEquals(await where(reserved), first.host);
    dns.addresses = [second.host];
    await untilMoved(sql, second.host);
    assertEquals(await where(reserved), first.host);
    assertEquals(await where(sql), second.host);
    reserved.release();
    reserved.release();
    await until(() => sql.engine!.status().size === 1);
    assertEquals(await where(sql), second.host);
  }));

Deno.test("dnsPostgres: statements in the queue are served by the new server, in order", () =>
  withSqls(async ({ dns, make }) => {
    const sql = make({ max: 1 });
    const reserved = await sql.reserve();
    const hosts = [where(sql), sql.begin((sql) => where(sql)), where(sql)];
    dns.addresses = [second.host];
    assertEquals(await Promise.all(hosts), [second.host, second.host, second.host]);
    reserved.release();
  }));

Deno.test("dnsPostgres: when the server dies, its statements are rejected, and the next ones run on the new server", async () => {
  const hosts = await loopbackPair();
  const port = await freePort(hosts);
  await using dying = await startPostgres({ host: hosts[0], port, ...LOGIN });
  await using other = await startPostgres({ host: hosts[1], port, ...LOGIN });
  await withSqls(async ({ dns, make }) => {
    dns.addresses = [dying.host];
    const sql = make({ port, max: 2, poolTimeout: 10 });
    const running = [
      sql`SELECT pg_sleep(60)`.execute(),
      sql.begin((sql) => sql`SELECT pg_sleep(60)`),
    ].map((each) => assertRejects(() => Promise.resolve(each), Error));
    await until(() => sql.engine!.status().inUse === 2);
    dns.addresses = [other.host];
    await dying.kill();
    await soon(Promise.all(running));
    assertEquals(await where(sql), other.host);
  });
});

Deno.test("dnsPostgres: when retireGrace is over, a statement on the old server rejects with ConnectionLostError and is cancelled there", () =>
  withSqls(async ({ dns, make }) => {
    const sql = make({ retireGrace: 0.1 });
    const [{ pid }] = await sql`SELECT pg_backend_pid() AS pid` as unknown as [{ pid: number }];
    const error = assertRejects(
      () => sql`SELECT pg_sleep(60)`.then(),
      ConnectionLostError,
    );
    await until(() => sql.engine!.status().inUse === 1);
    dns.addresses = [second.host];
    await soon(error);
    const observer = make({ dnsLookup: fakeLookup([first.host], 60) });
    await until(async () =>
      (await observer`SELECT 1 FROM pg_stat_activity WHERE pid = ${pid}`).length === 0
    );
  }));

Deno.test("dnsPostgres: listen() hears what is sent to the server to which the name moves, and calls onlisten", () =>
  withSqls(async ({ dns, make }) => {
    const sql = make();
    const heard: string[] = [];
    let listens = 0;
    const { state, unlisten } = await sql.listen("a b", (payload) => heard.push(payload), () => {
      listens++;
    });
    const [pid] = [state.pid];
    await sql.notify("a b", "one");
    await until(() => heard.length === 1);
    dns.addresses = [second.host];
    await until(() => listens === 2);
    await sql.notify("a b", "two");
    await until(() => heard.length === 2);
    assertEquals(heard, ["one", "two"]);
    assert(state.pid !== pid);
    await unlisten();
    await sql.notify("a b", "three");
    await where(sql);
    assertEquals(heard.length, 2);
  }));

Deno.test("dnsPostgres: subscribe() is refused", () =>
  withSqls(async ({ make }) => {
    await assertRejects(() => make().subscribe("*", () => {}), TypeError, "subscribe()");
  }));

Deno.test("dnsPostgres: several hosts are followed, in each form that the driver takes, and an array with one port", () =>
  withSqls(async ({ dns, make }) => {
    const { port } = first;
    dns.addresses = [second.host];
    const hosts = ["db1.internal", "db2.internal"] as unknown as string; // the types leave it out
    const several = [
      make({ host: hosts, port }),
      make({ host: hosts, port: [REFUSING_PORT, port] as unknown as number }),
      make({ host: `db1.internal:${REFUSING_PORT},db2.internal:${port}` }),
    ];
    for (const sql of several) assertEquals(await where(sql), second.host);
    dns.addresses = [first.host];
    for (const sql of several) {
      await until(async () => await where(sql) === first.host);
    }
  }));

Deno.test("dnsPostgres: targetSessionAttrs waits for a server of the role, and so does the driver's own option", () =>
  withSqls(async ({ make }) => {
    const sqls = [
      make({ targetSessionAttrs: "standby", poolTimeout: 0.3 }),
      make({ target_session_attrs: "standby", poolTimeout: 0.3 }),
    ];
    for (const sql of sqls) {
      const error = await assertRejects(() => where(sql));
      assertStringIncludes(`${error} ${(error as Error).cause}`, "standby");
    }
    assertEquals(await where(make({ target_session_attrs: "read-write" })), first.host);
  }));

Deno.test("dnsPostgres: a name that does not exist is ENOTFOUND, a refused connect ECONNREFUSED, at once", () =>
  withSqls(async ({ dns, make }) => {
    const refused = await assertRejects(() => where(make({ port: REFUSING_PORT })));
    assertEquals((refused as { code?: string }).code, "ECONNREFUSED");
    dns.addresses = [];
    const unknown = await assertRejects(() => where(make({ host: "no.internal" })));
    assertEquals((unknown as { code?: string }).code, "ENOTFOUND");
  }));

Deno.test("dnsPostgres: a statement with a value that cannot be sent harms no other one on its connection", () =>
  withSqls(async ({ make }) => {
    const sql = make({ max: 1 });
    await where(sql);
    const running = sql`SELECT pg_sleep(0.1), 1 AS x`;
    running.execute();
    const invalid = assertRejects(
      async () => void await sql`SELECT ${undefined as unknown as number} AS x`,
      Error,
      "Undefined values are not allowed",
    );
    const others = Array.from({ length: 5 }, (_, x) => sql`SELECT ${x}::int AS x`.execute());
    assertEquals((await running)[0]!.x, 1);
    await invalid;
    for (const [x, other] of others.entries()) assertEquals((await other)[0]!.x, x);
  }));

Deno.test("dnsPostgres: a reserved connection that is released while its statement runs is handed on after it", () =>
  withSqls(async ({ make }) => {
    const sql = make({ max: 1 });
    for (let round = 0; round < 5; round++) {
      const reserved = await sql.reserve();
      // Described first: the driver would send the next statement into the middle of this one.
      const running = reserved`SELECT ${round}::int AS x, ${`${round}`}::text AS round`.execute();
      const next = sql`SELECT ${round + 10}::int AS y`.execute();
      await pause(0);
      reserved.release();
      assertEquals((await running)[0], { x: round, round: `${round}` });
      assertEquals((await next)[0], { y: round + 10 });
    }
  }));

Deno.test("dnsPostgres: statements that begin together on a pool that has no connection yet do not wait for each other", () =>
  withSqls(async ({ make }) => {
    const [admin, sql] = [make({ max: 1 }), make({ max: 6 })];
    const lock = await admin.reserve();
    await lock`SELECT pg_advisory_lock(7)`;
    const statements = Array.from(
      { length: 9 },
      () => sql`SELECT pg_advisory_lock_shared(7), pg_backend_pid() AS pid`,
    );
    const all = Promise.all(statements);
    await until(async () => {
      const [row] =
        await lock`SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`;
      return row!.n === 6;
    }, "six statements that run at once");
    await lock`SELECT pg_advisory_unlock(7)`;
    const counts = new Map<number, number>();
    for (const [row] of await all) counts.set(row!.pid, (counts.get(row!.pid) ?? 0) + 1);
    assertEquals([...counts.values()].sort(), [1, 1, 1, 2, 2, 2]);
    lock.release();
  }));

Deno.test("dnsPostgres: a long statement gives its connection back when it is answered", () =>
  withSqls(async ({ make }) => {
    const sql = make({ max: 1 });
    await where(sql);
    for (const text of [`SELECT '${"x".repeat(5000)}'`, "SELECT 1"]) {
      await sql.unsafe(text);
      assertEquals(sql.engine!.status().inUse, 0);
    }
  }));

Deno.test("dnsPostgres: a transaction begun by a statement of its own goes on if there is one connection, and is refused otherwise", () =>
  withSqls(async ({ make }) => {
    const one = make({ max: 1 });
    await one`BEGIN`;
    await one`CREATE TEMPORARY TABLE t (x int) ON COMMIT DROP`;
    await one`INSERT INTO t VALUES (1)`;
    assertEquals((await one`SELECT x FROM t`).length, 1);
    await one`COMMIT`;
    const several = make({ max: 2 });
    await assertRejects(async () => void await several`BEGIN`, Error, "Only use sql.begin");
    assertEquals((await several`SELECT pg_current_xact_id_if_assigned() AS id`)[0]!.id, null);
  }));

Deno.test("dnsPostgres: COPY in both directions holds its connection to the end", () =>
  withSqls(async ({ make }) => {
    const sql = make({ max: 2 });
    await sql`CREATE TABLE copied (x int)`;
    const writable = await sql`COPY copied FROM STDIN`.writable();
    assertEquals((await sql`SELECT 1 AS x`)[0]!.x, 1);
    assertEquals(sql.engine!.status().inUse, 1);
    writable.end("1\n2\n");
    await new Promise((resolve) => writable.on("finish", resolve));
    const chunks: string[] = [];
    for await (const chunk of await sql`COPY copied TO STDOUT`.readable()) chunks.push(`${chunk}`);
    assertEquals(chunks.join(""), "1\n2\n");
    await sql`DROP TABLE copied`;
    await until(() => sql.engine!.status().inUse === 0);
  }));

Deno.test("dnsPostgres: end() waits for statements, transactions and the queue; with a timeout it destroys them", () =>
  withSqls(async ({ make }) => {
    const sql = make({ max: 1 });
    const done = [sql`SELECT pg_sleep(0.1)`.execute(), sql.begin((sql) => where(sql)), where(sql)];
    await until(() => sql.engine!.status().inUse === 1);
    await sql.end();
    await Promise.all(done);
    const late = await assertRejects(() => where(sql));
    assertEquals((late as { code?: string }).code, "CONNECTION_ENDED");
    await assertRejects(() => sql.begin((sql) => where(sql)), Error, "CONNECTION_ENDED");

    const other = make({ max: 1 });
    const outcomes = [
      other`SELECT pg_sleep(60)`.execute(),
      other.begin((sql) => where(sql)),
      where(other),
    ].map((each) => assertRejects(() => Promise.resolve(each)));
    await until(() => other.engine!.status().inUse === 1);
    await soon(other.end({ timeout: 0.1 }));
    for (const outcome of outcomes) {
      assertEquals((await outcome as { code?: string }).code, "CONNECTION_DESTROYED");
    }
  }));

Deno.test("dnsPostgres: close() ends the connections, and the next statement opens one", () =>
  withSqls(async ({ make }) => {
    const sql = make();
    await where(sql);
    const running = sql`SELECT pg_sleep(0.1), 1 AS x`.execute();
    await pause(20);
    await (sql as unknown as { close(): Promise<void> }).close();
    assertEquals((await running)[0]!.x, 1);
    assertEquals(await where(sql), first.host);
  }));

Deno.test("dnsPostgres: the function keeps the driver's members, and an error the line of its query", () =>
  withSqls(async ({ make }) => {
    const made = dnsPostgres(postgres);
    assertStrictEquals(made.toCamel, postgres.toCamel);
    const sql = make();
    assertStrictEquals(sql.PostgresError, postgres().PostgresError);
    const error = await sql`SELECT wrong`.then(() => undefined, (error: Error) => error);
    assert(error instanceof sql.PostgresError);
    const [here] = import.meta.url.split("/").slice(-1);
    assertStringIncludes(error.stack!.split("\n").at(-1)!, here!);
  }));

Deno.test("dnsPostgres: no password is shown", () =>
  withSqls(async ({ make }) => {
    const sql = make({ host: "no.internal", dnsLookup: fakeLookup([], 1) });
    const error = await assertRejects(() => where(sql));
    for (const shown of [sql, sql.options, sql.engine, error]) {
      assert(!inspect(shown, { depth: 6 }).includes(LOGIN.password));
    }
    assertEquals((sql.options as { pass?: unknown }).pass, LOGIN.password);
  }));

Deno.test("dnsPostgres: credentials give the login of each connection", () =>
  withSqls(async ({ dns, make }) => {
    const asked: string[] = [];
    const { port } = first;
    const sql = dnsPostgres(postgres)(`postgres://db.internal:${port}/orders`, {
      dnsLookup: dns,
      dnsFallback: false,
      credentials: ({ host }) => {
        asked.push(host);
        return { user: LOGIN.user, password: LOGIN.password };
      },
    });
    assertEquals(await where(sql), first.host);
    await sql.end();
    assertEquals(asked, ["db.internal"]);
    assertThrows(() => make({ credentials: () => "s3cret" }), TypeError, '"password"');
  }));

/** Number of statements that are running on the first server with a text in them. */
async function running(sql: Sql, text: string): Promise<number> {
  const [row] = await sql`
    SELECT count(*)::int AS n FROM pg_stat_activity
    WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE ${`%${text}%`}`;
  return row!.n;
}

Deno.test("dnsPostgres: what is held for longer than leaseTimeout is terminated and cancelled, and its place given on", () =>
  withSqls(async ({ make }) => {
    const logger = { debug() {}, info() {}, warn() {} };
    const closed: number[] = [];
    const options = { max: 1, leaseTimeout: 0.5, logger, onclose: (id: number) => closed.push(id) };
    const sql = make(options as Partial<Options>);
    const events: { readonly takenAt?: string | undefined }[] = [];
    sql.engine!.addEventListener("leasetimeout", ({ detail }) => void events.push(detail));
    const admin = make({ max: 1 });
    const ways: (() => Promise<unknown>)[] = [
      async () => await sql`SELECT pg_sleep(31)`,
      async () => await sql.begin((sql) => sql`SELECT pg_sleep(31)`),
      async () => await sql.begin(() => new Promise(() => {})),
      async () => {
        const reserved = await sql.reserve();
        try {
          await reserved`SELECT pg_sleep(31)`;
        } finally {
          reserved.release();
        }
      },
    ];
    for (const [index, way] of ways.entries()) {
      const failed = assertRejects(way);
      await until(() => sql.engine!.status().inUse === 1);
      const [row] = await soon(sql.begin((sql) => sql`SELECT 1 AS n`));
      assertEquals(row!.n, 1);
      const error = await soon(failed);
      assertEquals((error as { code?: string }).code, "LEASE_TIMEOUT", `${index}`);
      assertEquals(events.length, index + 1);
      await until(
        async () => await running(admin, "pg_sleep(31") === 0,
        "the end of the statement",
      );
    }
    await until(() => closed.length === ways.length);
    await soon(sql.end());
  }));

Deno.test("dnsPostgres: a connection that many short statements share is not reported, and not terminated, as one that is held", () =>
  withSqls(async ({ make }) => {
    const lines: string[] = [];
    const logger = { debug() {}, info() {}, warn: (line: string) => void lines.push(line) };
    const endMs = performance.now() + 3000;
    const share = async (options: DnsPostgresOptions) => {
      const sql = make({ max: 1, logger, ...options } as Partial<Options>);
      const work = async () => {
        while (performance.now() < endMs) await sql`SELECT pg_sleep(0.005)`;
      };
      await Promise.all(Array.from({ length: 5 }, work));
      assertEquals([lines, sql.engine!.status().opened], [[], 1]);
    };
    await Promise.all([share({ leaseTimeout: 2 }), share({ leaseWarnAfter: 2 })]);
  }));

Deno.test("dnsPostgres: options that cannot be used are refused, dnspool's and the driver's", () =>
  withSqls(({ make }) => {
    const refused = (options: object, message: string) =>
      assertThrows(() => make(options as Options), TypeError, message);
    refused({ socket: () => {} }, '"socket" must not be given: it would bypass DNS');
    refused({ backoff: true }, '"backoff" must not be given');
    refused({ dnsTimeOut: 1 }, 'did you mean "dnsTimeout"?');
    refused({ idleTimeout: 1 }, 'use "idle_timeout" of postgres.js');
    refused({ sslrootcert: "x" }, '"sslrootcert" must not be given');
    refused({ max: "many" }, '"max" must be a number of connections');
    refused({ poolTimeout: "1" }, '"poolTimeout" must be');
    assertThrows(() => make({ max: 0 }), RangeError, '"max"');
    assertThrows(() => make({ connect_timeout: -1 }), RangeError, '"connect_timeout"');
    assertThrows(() => dnsPostgres({} as typeof postgres), TypeError, '"postgres" must be');
    assertThrows(
      () => dnsPostgres(postgres, { max: 1 } as object),
      TypeError,
      '"max" is not an option',
    );
    return Promise.resolve();
  }));

Deno.test("dnsPostgres: the number of connections may come as text, from the connection string", () =>
  withSqls(async ({ dns }) => {
    const url = `postgres://app:s3cret@db.internal:${first.port}/orders?max=3`;
    const sql = dnsPostgres(postgres)(url, { dnsLookup: dns, dnsFallback: false });
    assertEquals(sql.engine!.status().poolSize, 3);
    assertEquals(await where(sql), first.host);
    await sql.end();
  }));

Deno.test("dnsPostgres: with the path of a socket, everything is the original's", async () => {
  const sql = dnsPostgres(postgres)({ path: "/nowhere/.s.PGSQL.5432", ...LOGIN });
  assertEquals(sql.engine, undefined);
  const error = await assertRejects(() => where(sql));
  assertEquals((error as { code?: string }).code, "ENOENT");
  assertThrows(
    () => dnsPostgres(postgres)({ path: "/nowhere", ...LOGIN, targetSessionAttrs: "primary" }),
    TypeError,
    "socket path",
  );
  await sql.end();
});

Deno.test("dnsPostgres: a program with an idle connection runs until the end of the pool, or of idle_timeout", async () => {
  const program = (options: string, end: string) => `
    import postgres from "npm:postgres@^3.4";
    import { dnsPostgres } from "root/drop_in/postgresjs.ts";
    const sql = dnsPostgres(postgres)(${JSON.stringify(first.url())}, ${options});
    await sql\`SELECT 1\`;
    setTimeout(() => { console.log("runs"); ${end} }, 1000).unref();
  `;
  const [ended, idle] = await Promise.all([
    runProgram(program("{}", "sql.end()")),
    runProgram(program("{ idle_timeout: 0.05 }", "")),
  ]);
  assertEquals([ended.out, ended.code], ["runs", 0], ended.err);
  assertEquals([idle.out, idle.code], ["", 0], idle.err);
});
