import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import sqlite from "node:sqlite";
import { loadDriver } from "../../adapters/shared/load_driver.ts";
import type { Target } from "../../adapters/adapter.ts";
import { sqliteAdapter, type SqliteDatabase, type SqliteModule } from "../../adapters/sqlite.ts";
import {
  ConnectError,
  DriverUnavailableError,
  type Engine,
  type EngineOptions,
  getDnsEngine,
  type Lease,
  TransactionAbortedError,
} from "../../mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { makeTarget, type Same } from "../support/target.ts";

const adapter = sqliteAdapter(sqlite);

type Database = sqlite.DatabaseSync;

/** Makes an engine; `url` is the part after `sqlite:`. */
function engineFor(url: string, options: EngineOptions<Database> = {}): Engine<Database> {
  return getDnsEngine(`sqlite:${url}`, { adapter, ...options });
}

function targetOf(changes: Partial<Target> = {}): Target {
  return makeTarget({
    host: ":memory:",
    port: 0,
    addresses: () => [":memory:"],
    ...changes,
  });
}

/** Runs a test with the path of a database that has a table `things`. */
async function withFile(test: (path: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    const path = `${dir}/things.db`;
    const database = new sqlite.DatabaseSync(path);
    database.exec("CREATE TABLE things (name TEXT UNIQUE)");
    database.close();
    await test(path);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const COUNT = "SELECT count(*) AS n FROM things";
const INSERT = "INSERT INTO things VALUES (?)";

Deno.test("sqliteAdapter(): returns an adapter whose leases have the type DatabaseSync", () => {
  const engine = getDnsEngine("sqlite::memory:", { adapter: sqliteAdapter(sqlite) });
  const engineIsTyped: Same<typeof engine, Engine<Database>> = true;
  const leaseIsTyped: Same<Awaited<ReturnType<typeof engine.connect>>, Lease<Database>> = true;
  const plain = getDnsEngine("sqlite::memory:", { adapter: sqliteAdapter() });
  const plainIsTyped: Same<typeof plain, Engine<SqliteDatabase>> = true;
  assert(engineIsTyped && leaseIsTyped && plainIsTyped);
});

Deno.test("sqliteAdapter(): refuses anything but the module", () => {
  for (const value of [null, {}, "sqlite", sqlite.DatabaseSync]) {
    assertThrows(
      () => sqliteAdapter(value as unknown as typeof sqlite),
      TypeError,
      '"sqlite" must be what `import sqlite from "node:sqlite"` gives, with a class "DatabaseSync", got ',
    );
  }
});

Deno.test("sqliteAdapter() in an engine: opens a database in memory for each URL without a path", async () => {
  for (const url of ["sqlite::memory:", "sqlite://", "sqlite:///:memory:", "sqlite+sqlite://"]) {
    const engine = getDnsEngine(url);
    assertEquals(engine.driver, "sqlite");
    await engine.query("CREATE TABLE things (name TEXT)");
    await engine.query(INSERT, ["here"]);
    assertEquals(await engine.query("SELECT name FROM things"), [{ name: "here" }]);
    assertEquals(engine.status().opened, 1);
    assertEquals(await engine.use(({ address }) => address), ":memory:");
    await engine.close();
  }
});

Deno.test("sqliteAdapter() in an engine: takes three slashes for a relative path and four for an absolute one", () =>
  withFile(async (path) => {
    const here = Deno.cwd();
    try {
      const slash = path.lastIndexOf("/");
      Deno.chdir(path.slice(0, slash));
      for (const url of [`//${path}`, `///${path}`, `///${path.slice(slash + 1)}`]) {
        const engine = engineFor(url);
        if (url === `//${path}`) {
          // Two slashes and that of the path are three: a relative path.
          await assertRejects(() => engine.query(COUNT), ConnectError, "unable to open");
        } else {
          assertEquals(await engine.query(COUNT), [{ n: 0 }]);
        }
        await engine.close();
      }
    } finally {
      Deno.chdir(here);
    }
  }));

Deno.test("sqliteAdapter() in an engine: keeps what is written to a file", () =>
  withFile(async (path) => {
    for (const n of [1, 2]) {
      const engine = engineFor(`///${path}`);
      await engine.query(INSERT, [`${n}`]);
      assertEquals(await engine.query(COUNT), [{ n }]);
      await engine.close();
    }
  }));

Deno.test("sqliteAdapter() in an engine: does not mix transactions, because leases take turns on one connection", () =>
  withFile(async (path) => {
    for (const url of [`///${path}`, ":memory:"]) {
      const engine = engineFor(url);
      await engine.use(({ client }) =>
        client.exec("CREATE TABLE IF NOT EXISTS things (name TEXT)")
      );
      const transfer = (name: string, fails: boolean) =>
        engine.begin(async ({ client }) => {
          client.prepare(INSERT).run(name);
          await Promise.resolve();
          await new Promise((resolve) => setTimeout(resolve));
          if (fails) throw new Error(name);
        }).catch(() => {});
      await Promise.all(["a", "b", "c", "d"].map((name, i) => transfer(name, i % 2 === 0)));
      assertEquals(await engine.query("SELECT name FROM things ORDER BY name"), [
        { name: "b" },
        { name: "d" },
      ]);
      assertEquals([engine.status().opened, engine.status().poolSize], [1, 1]);
      await engine.close();
    }
  }));

Deno.test("sqliteAdapter() in an engine: begin() within a lease is a savepoint", async () => {
  const engine = engineFor(":memory:");
  await engine.query("CREATE TABLE things (name TEXT)");
  await engine.begin(async (lease) => {
    lease.client.prepare(INSERT).run("outer");
    await assertRejects(
      () =>
        engine.begin(({ client }) => {
          client.prepare(INSERT).run("inner");
          throw new Error("undo");
        }, { within: lease }),
      Error,
      "undo",
    );
  });
  assertEquals(await engine.query("SELECT name FROM things"), [{ name: "outer" }]);
  await engine.close();
});

Deno.test("sqliteAdapter() in an engine: opens more connections to a file with poolSize, and timeout limits the wait for a lock", () =>
  withFile(async (path) => {
    const engine = engineFor(`///${path}?timeout=50`, { poolSize: 2 });
    const first = await engine.connect();
    const second = await engine.connect();
    assert(first.client !== second.client);
    assertEquals(engine.status().inUse, 2);
    assertEquals(engine.status().maxOverflow, 0);
    first.client.exec("BEGIN IMMEDIATE");
    const startMs = performance.now();
    await assertRejects(
      () => Promise.resolve().then(() => second.client.exec("BEGIN IMMEDIATE")),
      Error,
      "database is locked",
    );
    assert(performance.now() - startMs > 40);
    await first.release();
    second.client.exec("BEGIN IMMEDIATE");
    await second.release();
    await engine.close();
    const overridden = engineFor(`///${path}?timeout=50`, { connectArgs: { timeout: 70 } });
    assertEquals(await overridden.query("PRAGMA busy_timeout"), [{ timeout: 70 }]);
    await overridden.close();
  }));

Deno.test("sqliteAdapter() in an engine: refuses options that would close or double the connection of a database in memory", () => {
  const rule = "for a database in memory, whose data are in its one connection, got";
  const reason = "the data of a database in memory would be lost with its connection";
  const refused: [options: EngineOptions<Database>, message: string][] = [
    [
      { poolClass: "null" },
      `"poolClass" must be one of "queue", "static", "assertion" ${rule} "null"`,
    ],
    [{ poolSize: 2 }, `"poolSize" must be 1 ${rule} 2`],
    [{ poolSize: 0 }, `"poolSize" must be 1 ${rule} 0`],
    [{ maxOverflow: 1 }, `"maxOverflow" must be 0 ${rule} 1`],
    [{ maxOverflow: -1 }, `"maxOverflow" must be 0 ${rule} -1`],
    [{ poolRecycle: 60 }, `"poolRecycle" must not be given: ${reason}`],
    [{ idleTimeout: 60 }, `"idleTimeout" must not be given: ${reason}`],
    [{ maxUses: 60 }, `"maxUses" must not be given: ${reason}`],
  ];
  const urls = [":memory:", "//", "///file::memory:", "///file:x%3Fcache=shared&mode=memory"];
  for (const url of urls) {
    for (const [options, message] of refused) {
      const error = assertThrows(() => engineFor(url, options), TypeError);
      assertEquals(error.message, message);
    }
  }
  for (const [options] of refused) engineFor("///file.db", options);
  for (const poolClass of ["static", "assertion"] as const) engineFor(":memory:", { poolClass });
  engineFor(":memory:", { poolSize: 1, maxOverflow: 0 });
});

Deno.test('sqliteAdapter() in an engine: keeps a database in memory with the pool classes "static" and "assertion"', async () => {
  for (const poolClass of ["static", "assertion"] as const) {
    const engine = engineFor(":memory:", { poolClass });
    await engine.query("CREATE TABLE things (name TEXT)");
    assertEquals(await engine.query(COUNT), [{ n: 0 }]);
    assertEquals(engine.status().opened, 1);
    await engine.close();
  }
});

Deno.test("sqliteAdapter() in an engine: begins a new database in memory after dispose()", async () => {
  const engine = engineFor(":memory:");
  await engine.query("CREATE TABLE things (name TEXT)");
  await engine.dispose();
  await assertRejects(() => engine.query(COUNT), Error, "no such table: things");
  await engine.close();
});

Deno.test("sqliteAdapter() in an engine: rolls an open transaction back at checkin, or commits it if told to", async () => {
  for (const how of ["rollback", "commit"] as const) {
    const engine = engineFor(":memory:", { poolResetOnReturn: how });
    await engine.query("CREATE TABLE things (name TEXT)");
    await engine.use(({ client }) => {
      client.exec("BEGIN");
      client.prepare(INSERT).run("x");
    });
    assertEquals(await engine.query(COUNT), [{ n: how === "commit" ? 1 : 0 }]);
    assertEquals(engine.status().opened, 1);
    await engine.close();
  }
});

Deno.test("sqliteAdapter() in an engine: ends an iterator at checkin, or what follows would be acknowledged and not be done", () =>
  withFile(async (path) => {
    for (const text of ["INSERT INTO things VALUES ('a'), ('b') RETURNING name", "SELECT 1"]) {
      const engine = engineFor(`///${path}`);
      await engine.query("DELETE FROM things");
      const left = await engine.use(({ client }) => {
        const rows = client.prepare(text).iterate();
        rows.next();
        return rows;
      });
      await engine.query(INSERT, ["c"]);
      const other = new sqlite.DatabaseSync(path);
      assertEquals(other.prepare("SELECT name FROM things WHERE name = 'c'").all().length, 1);
      other.close();
      assertEquals(left.next().done, true);
      assertEquals(engine.status().opened, 1);
      // One that is read to its end, or left as a loop leaves it, costs no rollback.
      await engine.use(({ client }) => {
        for (const _ of client.prepare(COUNT).iterate()) break;
        assertEquals([...client.prepare(COUNT).iterate()].length, 1);
        assertEquals(adapter.transactionStatus!(client), "idle");
      });
      await engine.close();
    }
  }));

Deno.test("sqliteAdapter().reset(): succeeds without a transaction, and transactionStatus() is right", async () => {
  const database = await adapter.connect(":memory:", targetOf());
  assertEquals(adapter.transactionStatus!(database), "idle");
  database.exec("BEGIN");
  assertEquals(adapter.transactionStatus!(database), "open");
  await adapter.reset!(database, "rollback");
  assertEquals(adapter.transactionStatus!(database), "idle");
  for (const how of ["rollback", "commit"] as const) await adapter.reset!(database, how);
  await adapter.close!(database);
  await assertRejects(() => adapter.reset!(database, "rollback"), Error, "database is not open");
});

Deno.test("sqliteAdapter().query(): takes values and returns plain rows", async () => {
  const engine = engineFor(":memory:");
  const rows = await engine.query("SELECT ? + 1 AS n, ? AS t, ? AS b, NULL AS z", [
    20,
    "it's",
    new Uint8Array([1]),
  ]);
  assertEquals(rows, [{ n: 21, t: "it's", b: new Uint8Array([1]), z: null }]);
  assertStrictEquals(Object.getPrototypeOf(rows[0]), Object.prototype);
  assertEquals(await engine.query("CREATE TABLE things (name TEXT)"), []);
  assertEquals(await engine.query("INSERT INTO things VALUES (?) RETURNING name", ["x"]), [
    { name: "x" },
  ]);
  await assertRejects(() => engine.query("SELEC 1"), Error, "syntax error");
  await engine.close();
  const arrays = engineFor(":memory:", { connectArgs: { returnArrays: true } });
  assertEquals(await arrays.query("SELECT 1, 2"), [[1, 2]]);
  await arrays.close();
});

Deno.test("sqliteAdapter().query(): refuses more or fewer values than there are placeholders, and stores nothing", async () => {
  const engine = engineFor(":memory:");
  await engine.query("CREATE TABLE things (a, b)");
  const wrong: [string, readonly unknown[] | undefined, number][] = [
    ["VALUES (?, ?)", [1], 2],
    ["VALUES (?, ?)", [1, 2, 3], 2],
    ["VALUES (?, ?)", [], 2],
    ["VALUES (?, ?)", undefined, 2],
    ["VALUES (1, 2)", [1], 0],
    ["VALUES (?2, 1)", [1], 2],
    ["VALUES (?1, ?1)", [1, 2], 1],
    ["VALUES (?3, ?)", [1, 2, 3], 4],
    ["VALUES (:a, ?)", [{ a: 1 }], 1],
  ];
  for (const [text, values, number] of wrong) {
    const given = (values ?? []).filter((value) => typeof value === "number").length;
    await assertRejects(
      () => engine.query(`INSERT INTO things ${text}`, values),
      TypeError,
      `"values" must be one value per placeholder, ${number} for this statement, got ${given}`,
    );
  }
  for (
    const [values, got] of [[[], "none"], [[1], "none"], [{ b: 1 }, "one without it"]] as const
  ) {
    await assertRejects(
      () => engine.query("INSERT INTO things VALUES (:a, :b)", values),
      TypeError,
      `"values" must be an object with a value for each name in the statement, also ":a", got ${got}`,
    );
  }
  assertEquals(await engine.query("SELECT * FROM things"), []);
  await engine.close();
});

Deno.test("sqliteAdapter().query(): finds the placeholders as SQLite does, and takes names", async () => {
  const engine = engineFor(":memory:");
  const right: [string, readonly unknown[] | Record<string, unknown>, unknown[]][] = [
    ["?, '?', ? -- ?", [1, 2], [1, "?", 2]],
    ["'it''s ?', ? /* ? */, 3 AS c", [1], ["it's ?", 1, 3]],
    ["?2, ?1, ?2", [1, 2], [2, 1, 2]],
    ["?3, :n, ?", [{ n: 7 }, 1, 2, 3, 4], [3, 7, 4]],
    ["a$b, ?, :a FROM (SELECT 1 AS a$b)", [{ a: 2 }, 3], [1, 3, 2]],
    ['"?", [:x], `@y`, ? FROM (SELECT 1 AS "?", 2 AS [:x], 3 AS `@y`)', [4], [1, 2, 3, 4]],
    [":a, @b, $c", { a: 1, b: 2, c: 3 }, [1, 2, 3]],
    [":a, @b, $c", { ":a": 1, "@b": 2, $c: 3 }, [1, 2, 3]],
    ["x'3f', ?, NULL", [new Uint8Array([63])], [new Uint8Array([63]), new Uint8Array([63]), null]],
  ];
  for (const [text, values, expected] of right) {
    const columns = (await engine.query(`SELECT * FROM (SELECT ${text}\n)`, values))[0];
    assertEquals(Object.values(columns as object), expected, text);
  }
  await engine.close();
});

Deno.test("sqliteAdapter().query(): refuses several statements, of which the driver would run only the first", async () => {
  const engine = engineFor(":memory:");
  const one = [
    "SELECT 1 AS n",
    "  SELECT 1 AS n ;",
    "SELECT 1 AS n; -- that is all",
    "/* first; */ SELECT 1 AS n;;\n/* last; */ -- really",
  ];
  for (const text of one) assertEquals(await engine.query(text), [{ n: 1 }]);
  const several = ["SELECT 1; SELECT 2", "CREATE TABLE a (n); CREATE TABLE b (n)", "SELECT 1; x"];
  for (const text of several) {
    await assertRejects(
      () => engine.query(text),
      TypeError,
      'Cannot run several statements at once: give one, or use the method "exec" of the client',
    );
  }
  assertEquals(await engine.query("SELECT name FROM sqlite_schema"), []);
  await engine.use(({ client }) => client.exec(several[1]!));
  assertEquals(await engine.query("SELECT count(*) AS n FROM sqlite_schema"), [{ n: 2 }]);
  await engine.close();
});

Deno.test("sqliteAdapter().role(): reports readOnly, and a refused write is a read-only error", () =>
  withFile(async (path) => {
    const readable = engineFor(`///${path}?readOnly=true`);
    assertEquals(await readable.query(COUNT), [{ n: 0 }]);
    const error = await assertRejects(() => readable.query(INSERT, ["x"]));
    assertEquals(adapter.classify!(error), "read-only");
    await readable.close();

    const options = { targetSessionAttrs: "read-write", poolTimeout: 0.1 } as const;
    const writing = engineFor(`///${path}?readOnly=true`, options);
    const refused = await assertRejects(() => writing.connect(), ConnectError, "read-only");
    assertStringIncludes(refused.message, `Cannot connect to "${path}"`);
    await writing.close();
    const writable = engineFor(`///${path}`, options);
    await writable.query(INSERT, ["x"]);
    await writable.close();
  }));

Deno.test("sqliteAdapter() in an engine: a write refused by PRAGMA query_only does not lose a database in memory", async () => {
  const engine = engineFor(":memory:", { targetSessionAttrs: "read-write" });
  await engine.query("CREATE TABLE things (name TEXT)");
  await engine.query("PRAGMA query_only = 1");
  await assertRejects(() => engine.query("INSERT INTO things VALUES ('x')"), Error, "readonly");
  await engine.query("PRAGMA query_only = 0");
  await engine.query("INSERT INTO things VALUES ('x')");
  assertEquals(await engine.query("SELECT name FROM things"), [{ name: "x" }]);
  await engine.close();
});

Deno.test("sqliteAdapter() in an engine: enforces foreign keys unless the URL turns that off", async () => {
  for (const [query, on] of [["", 1], ["?enableForeignKeyConstraints=false", 0]] as const) {
    const engine = engineFor(`:memory:${query}`);
    assertEquals(await engine.query("PRAGMA foreign_keys"), [{ foreign_keys: on }]);
    await engine.close();
  }
});

Deno.test("sqliteAdapter() in an engine: ignores options for DNS and sends no query", async () => {
  const dnsLookup = fakeLookup(["10.0.0.1"], 1);
  const engine = engineFor(":memory:", { dnsLookup, dnsFamily: 6, dnsTimeout: 1 });
  assertEquals(await engine.query("SELECT 1 AS n"), [{ n: 1 }]);
  assertEquals(dnsLookup.questions.length, 0);
  assertEquals(engine.status().answer.addresses, [":memory:"]);
  assertEquals(engine.status().answer.freshFor, Infinity);
  await engine.close();
});

Deno.test("sqliteAdapter().check(): refuses what SQLite does not have", () => {
  const refused: [url: string, options: EngineOptions<Database>, message: string][] = [
    ["//db.internal/things", {}, "sqlite has no host, write sqlite:///path or sqlite::memory:"],
    [
      "//app:secret@/things",
      {},
      '"user of the database URL" must not be given: SQLite has no users',
    ],
    [
      "///things?sslmode=require",
      {},
      '"sslmode of the database URL" must not be given: SQLite has no network',
    ],
    ["///things?journal=wal", {}, '"journal" is not a URL parameter of the driver sqlite'],
    [
      "///things?readOnly=yes",
      {},
      '"readOnly of the database URL" must be "true" or "false", got "yes"',
    ],
    [
      "///things",
      { connectArgs: { timeout: "5; x" } },
      '"timeout" must be a whole number of milliseconds, at least 0, got "5; x"',
    ],
    [
      "///things",
      { connectArgs: { open: false } },
      '"connectArgs.open" must not be given: a connection is always open',
    ],
    ["///things", { isolationLevel: "serializable" }, 'has no method "setIsolationLevel"'],
  ];
  for (const [url, options, message] of refused) {
    const error = assertThrows(() => engineFor(url, options), TypeError, message);
    assertFalse(error.message.includes("secret"));
  }
  assertThrows(
    () => engineFor("///things", { connectArgs: { timeout: 0.5 } }),
    RangeError,
    '"timeout" must be a whole number of milliseconds, at least 0, got 0.5',
  );
  assertThrows(
    () => getDnsEngine("sqlite+pg:///x"),
    TypeError,
    '"driver of the database URL" must be one of "sqlite" for sqlite, unless',
  );
});

Deno.test("sqliteAdapter() in an engine: rejects with a ConnectError that names a database it cannot open", async () => {
  const engine = engineFor("////no/such/place.db");
  await assertRejects(
    () => engine.connect(),
    ConnectError,
    'Cannot connect to "/no/such/place.db": /no/such/place.db said: unable to open database file',
  );
  await engine.close();
});

Deno.test("sqliteAdapter().close(): may be called again, as terminate(), and a later statement is a disconnect", async () => {
  for (const method of ["close", "terminate"] as const) {
    const database = await adapter.connect(":memory:", targetOf());
    await adapter.ping!(database);
    await adapter[method]!(database);
    await adapter[method]!(database);
    const error = await assertRejects(() => adapter.ping!(database), Error, "database is not open");
    assertEquals(adapter.classify!(error), "disconnect");
  }
});

Deno.test("sqliteAdapter() in an engine: replaces a connection that its holder closed", () =>
  withFile(async (path) => {
    const engine = engineFor(`///${path}`, { poolPrePing: true });
    await engine.use(({ client }) => client.close());
    assertEquals(await engine.query(COUNT), [{ n: 0 }]);
    await engine.close();
  }));

Deno.test("sqliteAdapter().classify(): tells read-only databases from ordinary errors", () => {
  const others = [
    undefined,
    null,
    {},
    "database is not open",
    new Error("no such table: things"),
    Object.assign(new Error("attempt to write a readonly database"), { errcode: 1 }),
  ];
  for (const error of others) assertEquals(adapter.classify!(error), undefined);
  const moved = Object.assign(new Error("attempt to write a readonly database"), { errcode: 1032 });
  assertEquals(adapter.classify!(moved), "read-only");
});

Deno.test("sqliteAdapter().connect(): rejects at an abort and opens nothing", async () => {
  const reason = new Error("enough");
  const opened: string[] = [];
  class DatabaseSync extends sqlite.DatabaseSync {
    constructor(path: string) {
      super(path);
      opened.push(path);
    }
  }
  const recorder = sqliteAdapter({ DatabaseSync } as SqliteModule<Database>);
  const target = targetOf({ signal: AbortSignal.abort(reason) });
  assertStrictEquals(await assertRejects(() => recorder.connect(":memory:", target)), reason);
  assertEquals(opened, []);
});

Deno.test("loadDriver(): says that the lockfile has no such driver, whichever specifier was refused for it", async () => {
  const reason = "The lockfile is out of date. Run `deno install --frozen=false`";
  const text = JSON.stringify(`${reason}\nchanges:\n 1 | -{}`);
  const frozen = `data:text/javascript,throw new TypeError(${encodeURIComponent(text)})`;
  const specifiers = ["node:no_such_module", frozen];
  const error = await assertRejects(
    () => loadDriver("db-postgres", { specifiers, notFound: "it is not installed here" }),
    DriverUnavailableError,
  );
  assertEquals(error.message, `Cannot load the driver "db-postgres": ${reason}`);
  assert((error.cause as Error).message.startsWith(reason));
});

Deno.test("loadDriver(): rejects with the given text if the runtime has no such module", async () => {
  const error = await assertRejects(
    () =>
      loadDriver("sqlite", { specifiers: ["node:no_such_module"], notFound: "no runtime has it" }),
    DriverUnavailableError,
    'Cannot load the driver "sqlite": no runtime has it',
  );
  assertEquals([error.code, error.driver], ["DRIVER_UNAVAILABLE", "sqlite"]);
  assert(error.cause instanceof Error);
});

Deno.test("sqliteAdapter().begin(): rejects if the database itself rolled back, and keeps a database in memory", async () => {
  const engine = getDnsEngine("sqlite::memory:", { adapter: sqliteAdapter(sqlite) });
  await engine.query("CREATE TABLE things (name text UNIQUE)");
  await engine.query("INSERT INTO things VALUES ('first')");
  // As after a full disk, no transaction is open after this error.
  const failing = "INSERT OR ROLLBACK INTO things VALUES ('first')";
  await assertRejects(
    () =>
      engine.begin(({ client }) => {
        client.exec("INSERT INTO things VALUES ('lost')");
        assertThrows(() => client.exec(failing));
      }),
    TransactionAbortedError,
    "Cannot commit: the transaction has ended before",
  );
  await assertRejects(() => engine.begin(({ client }) => client.exec(failing)), Error, "UNIQUE");
  await engine.begin(async (lease) => {
    lease.client.exec("INSERT INTO things VALUES ('kept')");
    const inner = engine.begin(({ client }) => {
      client.exec("INSERT INTO things VALUES ('inner')");
      throw new Error("mine");
    }, { within: lease });
    await assertRejects(() => inner, Error, "mine");
  });
  assertEquals(await engine.query("SELECT name FROM things"), [{ name: "first" }, {
    name: "kept",
  }]);
  assertEquals(engine.status().opened, 1);
  await engine.close();
});
