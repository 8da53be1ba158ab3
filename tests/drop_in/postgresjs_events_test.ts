/**
 * What a caller of postgres.js sees, and in which order: results, errors, and the callbacks `onnotice`, `onparameter`,
 * `onclose` and `debug`. Each course runs on the original and on `dnsPostgres()`, with a real PostgreSQL, and the logs must
 * be equal.
 */

import { assertEquals, assertRejects } from "@std/assert";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { Buffer } from "node:buffer";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { text } from "node:stream/consumers";
import postgres from "npm:postgres@^3.4";
import { dnsPostgres } from "../../drop_in/postgresjs.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { REFUSING_PORT, untilSocketsClosed } from "../support/sockets.ts";
import { soon, until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };
const NAME = "db.internal";

let server: PostgresServer;
let admin: postgres.Sql;
let dir: string;

Deno.test.beforeAll(async () => {
  const [host] = await loopbackPair();
  server = await startPostgres({ host, port: await freePort([host]), ...LOGIN });
  admin = postgres(server.url(), { max: 1, onnotice() {} });
  await admin`CREATE TABLE items (id int PRIMARY KEY, name text, tags text[], data json)`;
  await admin`CREATE TABLE copied (x int)`;
  await admin`INSERT INTO items SELECT x, 'item ' || x FROM generate_series(1, 5) AS x`;
  dir = await mkdtemp(join(tmpdir(), "dnspool-"));
  await writeFile(`${dir}/one.sql`, "SELECT $1::int AS x");
});

Deno.test.afterAll(async () => {
  await admin.end();
  await server.stop({ mode: "immediate" });
  await rm(dir, { recursive: true });
});

type Options = Omit<postgres.Options<Record<string, never>>, "types">;

interface Subject {
  readonly sql: postgres.Sql;
  /** What happened. */
  readonly log: unknown[];
  /** Notes a result or an error under a name, when it is there. */
  note(name: string, promise: PromiseLike<unknown>): Promise<void>;
  /** Waits until a callback was called so many times. */
  seen(name: string, times?: number): Promise<void>;
}

/** Makes a value comparable: of errors the fields, of results the rows and what they carry. */
function plain(value: unknown): unknown {
  if (value instanceof Error) {
    const { name, message, ...fields } = value as Error & Record<string, unknown>;
    const { code, query, parameters } = value as Error & Record<string, unknown>;
    for (const field of ["address", "file", "line", "routine", "stack"]) delete fields[field];
    // The drop-in's statements share the error of their connection.
    const isShared = /^CONNECTION_|^57P01$/.test(String(code));
    return {
      name,
      message: message.replaceAll(server.host, NAME),
      ...fields,
      ...(!isShared && { query, parameters: plain(parameters) }),
    };
  }
  if (Array.isArray(value)) {
    const { command, count, columns } = value as unknown as postgres.RowList<never[]>;
    const items = [...value].map(plain);
    if (command === undefined) return items;
    const names = columns?.map(({ name, type }) => `${name} ${type}`);
    return { items, command, count, names };
  }
  return value;
}

function subjectOf(
  make: (options: Options) => postgres.Sql,
  { options = {}, closes = true }: Course,
): Subject {
  const log: unknown[] = [];
  const debug = options.debug === true && {
    debug: (_: number, query: string, values: unknown[], types: unknown[]) =>
      log.push(["debug", query.trim().slice(0, 40), [...values], [...types]]),
  };
  const sql = make({
    max: 1,
    ...options,
    debug: false,
    onnotice: ({ message }) => log.push(["notice", message]),
    onparameter: (key, value) =>
      /application_name|TimeZone|DateStyle/.test(key) && log.push(["parameter", key, value]),
    ...(closes && { onclose: () => log.push(["close"]) }),
    ...debug,
  });
  return {
    sql,
    log,
    note: (name, promise) =>
      soon(
        Promise.resolve(promise).then(
          (value) => void log.push([name, plain(value)]),
          (error) => void log.push([name, plain(error)]),
        ),
      ),
    seen: (name, times = 1) =>
      until(
        () => log.filter((entry) => (entry as unknown[])[0] === name).length >= times,
        `${name}: ${JSON.stringify(log)}`,
      ),
  };
}

const raise = (message: string) => `DO $$ BEGIN RAISE NOTICE '${message}'; END $$`;

/** Returns the session of a connection. */
async function pidOf(sql: { unsafe: postgres.Sql["unsafe"] }): Promise<number> {
  const [row] = await sql.unsafe("SELECT pg_backend_pid() AS pid");
  return row!.pid;
}

/** Terminates a session, and waits until the server has done so. */
async function kill(pid: number): Promise<void> {
  await admin`SELECT pg_terminate_backend(${pid}, 10000)`;
}

/** Waits until a session runs a statement. */
async function untilActive(pid: number): Promise<void> {
  await until(async () =>
    (await admin`SELECT 1 FROM pg_stat_activity WHERE pid = ${pid} AND state = 'active'`).length > 0
  );
}

interface Course {
  readonly options?: Options;
  /** Whether `onclose` is noted; otherwise it may come before or after the end of `end()`. Default `true`. */
  readonly closes?: boolean;
  run(subject: Subject): Promise<unknown>;
}

const COURSES: Record<string, Course> = {
  "results": {
    async run({ sql, note }) {
      await note("select", sql`SELECT id, name, tags FROM items WHERE id < ${3} ORDER BY id`);
      await note("none", sql`SELECT id FROM items WHERE id < ${0}`);
      await note(
        "insert",
        sql`INSERT INTO items ${
          sql([{ id: 10, name: "a" }, { id: 11, name: "b" }])
        } RETURNING id, name`,
      );
      await note(
        "update",
        sql`UPDATE items SET ${sql({ tags: ["x", "y"] })} WHERE id IN ${sql([10, 11])}`,
      );
      await note(
        "json",
        sql`UPDATE items SET data = ${sql.json({ a: [1] })} WHERE id = 10 RETURNING data, tags`,
      );
      await note("delete", sql`DELETE FROM items WHERE id >= 10`);
      await note("simple", sql`SELECT 1 AS a`.simple());
      await note(
        "several",
        sql.unsafe("SELECT 1 AS a; SELECT 2 AS b, 3 AS c; SET work_mem = '5MB'"),
      );
      await note("unsafe", sql.unsafe("SELECT $1::int + 1 AS x", [41], { prepare: true }));
      await note("values", sql`SELECT 1 AS a, NULL AS b, now() < now() AS c`.values());
      await note("raw", sql`SELECT 'x' AS a, 17 AS b`.raw().then((rows) => `${rows}`));
      await note("empty", sql.unsafe(""));
      await note("file", sql.file(`${dir}/one.sql`, [7]));
      await note("no file", sql.file(`${dir}/none.sql`).then(undefined, ({ code }) => code));
      await note("array", sql`SELECT ${sql.array([1, 2, 3])}::int[] AS a`);
      await note("date", sql`SELECT ${new Date(0)}::timestamptz AS a, '{a,b}'::text[] AS b`);
    },
  },
  "describe": {
    async run({ sql, note }) {
      const of = (query: postgres.PendingQuery<postgres.Row[]>) =>
        query.describe().then(({ string, types, columns }) => [
          string,
          types,
          columns.map(({ name, type }) => [name, type]),
        ]);
      await note("select", of(sql`SELECT id, name FROM items WHERE id = ${1} AND name = ${"a"}`));
      await note("no result", of(sql`UPDATE items SET name = ${"x"} WHERE false`));
      await note("wrong", of(sql`SELECT nope FROM items`));
      await note("then", sql`SELECT id FROM items WHERE id = ${1}`);
    },
  },
  "errors": {
    async run({ sql, note }) {
      await note("syntax", sql`SELEC 1`);
      await note("missing", sql`SELECT * FROM missing WHERE id = ${1}`);
      await note("type", sql`SELECT ${"x"}::int AS x`);
      await note("late", sql`SELECT 1 / (id - 3) AS x FROM items ORDER BY id`);
      await note("in several", sql.unsafe("SELECT 1 AS a; SELECT nope; SELECT 3 AS c"));
      await note("parameters", sql.unsafe("SELECT $1::int, $2::int", [1]));
      await note("begin", sql.unsafe("SELECT 1 AS after"));
      await note("next", sql`SELECT ${1}::int AS x`);
    },
  },
  "BEGIN outside of begin() with several connections": {
    closes: false,
    options: { max: 2 },
    async run({ sql, note }) {
      await note("begin", sql`BEGIN`);
      await note("next", sql`SELECT 1 AS x`);
    },
  },
  "forEach": {
    async run({ sql, note, log }) {
      const rows = sql`SELECT id FROM items WHERE id <= 3 ORDER BY id`
        .forEach((row, { command }) => void log.push(["row", { ...row }, command]));
      const next = note("next", sql`SELECT 1 AS x`);
      await note("done", rows);
      await next;
      await note(
        "fails",
        sql`SELECT 1 / (2 - id) FROM items ORDER BY id`.forEach(() => log.push("row")),
      );
    },
  },
  "cursors": {
    async run({ sql, note, log }) {
      const all = () => sql`SELECT x FROM generate_series(1, 5) AS x`;
      await note("callback", all().cursor(2, (rows) => void log.push(["rows", plain([...rows])])));
      await note("one", all().cursor(([row]) => void log.push(["row", row!.x])));
      await note(
        "closed",
        all().cursor(2, (rows) => {
          log.push(["rows", rows.length]);
          return sql.CLOSE as unknown as void;
        }),
      );
      await note(
        "throws",
        all().cursor(2, () => {
          throw new Error("mine");
        }),
      );
      for await (const rows of all().cursor(3)) log.push(["chunk", rows.map(({ x }) => x)]);
      for await (const [row] of all().cursor()) {
        log.push(["only", row!.x]);
        break;
      }
      await note("wrong", sql`SELECT nope`.cursor(2, () => {}));
      await note("next", sql`SELECT 1 AS x`);
    },
  },
  "COPY": {
    async run({ sql, note, log }) {
      const write = async (lines: string) => {
        const writable: Writable = await sql`COPY copied FROM STDIN`.writable();
        writable.end(lines);
        await finished(writable);
      };
      await note("in", write("1\n2\n3\n"));
      const readable: Readable = await sql`COPY copied TO STDOUT`.readable();
      log.push(["out", await text(readable)]);
      const broken: Writable = await sql`COPY copied FROM STDIN`.writable();
      broken.on("error", ({ message }) => log.push(["error", message]));
      broken.destroy(new Error("given up"));
      await finished(broken).catch(() => {});
      await note("count", sql`SELECT count(*)::int FROM copied`);
      await note("wrong", sql`COPY missing TO STDOUT`.readable());
      await note("truncate", sql`TRUNCATE copied`);
    },
  },
  "cancel of a statement that runs, and of one that is done": {
    async run({ sql, note }) {
      const pid = await pidOf(sql);
      const running = sql`SELECT pg_sleep(60)`;
      const one = note("running", running);
      await untilActive(pid);
      running.cancel();
      await one;
      await note("next", sql`SELECT 1 AS x`);
      const done = sql`SELECT 1 AS done`;
      await note("done", done);
      done.cancel();
      await note("last", sql`SELECT 2 AS x`);
    },
  },
  "notices and parameters come before the result of their statement": {
    options: { connection: { application_name: "mine" } },
    async run({ sql, note }) {
      await note("one", sql.unsafe(raise("a")));
      await note("two", sql.unsafe(`SET application_name = 'x'; ${raise("b")}`));
      await note("three", sql`SET TimeZone = 'Asia/Tokyo'`);
      await note(
        "four",
        sql.begin(async (sql) => {
          await sql.unsafe(raise("c"));
          await sql.unsafe("SET LOCAL application_name = 'local'");
        }),
      );
      await note("parameters", Promise.resolve(sql.parameters.application_name));
    },
  },
  "debug": {
    options: { debug: true },
    async run({ sql, note }) {
      await note("one", sql`SELECT ${1}::int AS x`);
      await note("again", sql`SELECT ${2}::int AS x`);
      await note("simple", sql.unsafe("SELECT 1 AS y"));
      await note("begin", sql.begin("read only", (sql) => sql`SELECT 1 AS z`));
      await note("wrong", sql`SELECT nope`);
      await note(
        "reserved",
        sql.reserve().then(async (sql) => {
          const rows = await sql`SELECT 5 AS r`;
          sql.release();
          return rows;
        }),
      );
    },
  },
  "transactions": {
    async run({ sql, note, log }) {
      await note("value", sql.begin(() => Promise.resolve("value")));
      await note("array", sql.begin((sql) => [sql`SELECT 1 AS a`, sql`SELECT 2 AS b`]));
      await note(
        "options",
        sql.begin(
          "isolation level serializable",
          async (sql) => (await sql`SHOW transaction_isolation`)[0],
        ),
      );
      await note(
        "throws",
        sql.begin(async (sql) => {
          await sql`INSERT INTO items VALUES (20)`;
          throw new Error("mine");
        }),
      );
      await note(
        "query fails",
        sql.begin(async (sql) => {
          await sql`INSERT INTO items VALUES (20)`;
          await sql`SELECT nope`;
        }),
      );
      await note(
        "caught",
        sql.begin(async (sql) => {
          await sql`SELECT nope`.catch(() => log.push("caught"));
          return await sql`SELECT 1`;
        }),
      );
      await note(
        "savepoint",
        sql.begin(async (sql) => {
          await sql`INSERT INTO items VALUES (20)`;
          await sql.savepoint(async (sql) => {
            await sql`INSERT INTO items VALUES (21)`;
            throw new Error("inner");
          }).catch((error) => log.push(error.message));
          return await sql.savepoint("named", (sql) => sql`SELECT id FROM items WHERE id >= 20`);
        }),
      );
      await note("wrong options", sql.begin("no such mode", () => 1));
      await note("left", sql`DELETE FROM items WHERE id >= 20 RETURNING id`);
      await note("not awaited", sql.begin((sql) => void sql`SELECT nope`.execute()));
      await note("next", sql`SELECT 1 AS x`);
    },
  },
  "statements, transactions and reservations end in the order in which they were made": {
    run: ({ sql, note }) =>
      Promise.all([
        note("1", sql`SELECT pg_sleep(0.05)`),
        note("2", sql`SELECT 2 AS x`),
        note("3", sql.begin((sql) => sql`SELECT 3 AS x`)),
        note("4", sql`SELECT 4 AS x`),
        note("5", sql.unsafe("SELECT 5 AS x")),
        note("6", sql.begin((sql) => sql`SELECT 6 AS x`)),
        note("7", sql`SELECT nope`),
        note("8", sql`SELECT 8 AS x`),
      ]),
  },
  "killed while idle": {
    async run({ sql, note, seen }) {
      const pid = await pidOf(sql);
      await kill(pid);
      await seen("close");
      await note("next", sql`SELECT 1 AS x`);
    },
  },
  "end() while statements run and wait": {
    closes: false,
    async run({ sql, note }) {
      const work = [
        note("running", sql`SELECT pg_sleep(0.1)`),
        note("behind", sql`SELECT 1 AS x`),
        note("begin", sql.begin((sql) => sql`SELECT 2 AS x`)),
      ];
      await note("end", sql.end());
      await Promise.all(work);
      await note("late", sql`SELECT 1`);
      await note("twice", sql.end());
    },
  },
  "end({ timeout: 0 }) while a statement runs": {
    closes: false,
    async run({ sql, note }) {
      const pid = await pidOf(sql);
      const work = note("running", sql`SELECT pg_sleep(60)`);
      await untilActive(pid);
      await note("end", sql.end({ timeout: 0 }));
      await work;
      await kill(pid); // the original's may sleep on
    },
  },
  "end({ timeout }) while a transaction runs": {
    closes: false,
    async run({ sql, note }) {
      let pid = 0;
      const work = note(
        "begin",
        sql.begin(async (sql) => {
          pid = await pidOf(sql);
          await note("inside", sql`SELECT pg_sleep(60)`);
        }),
      );
      await until(() => pid !== 0);
      await sql.end({ timeout: 0.1 });
      await work;
      await kill(pid);
    },
  },
  "end() of a pool that never connected": {
    async run({ sql, note }) {
      await note("end", sql.end());
      await note("late", sql`SELECT 1`);
      await note("begin", sql.begin(() => 1));
    },
  },
  "idle_timeout closes, and the next statement connects": {
    options: { idle_timeout: 0.2 },
    async run({ sql, note, seen }) {
      await note("one", sql`SELECT 1 AS x`);
      await seen("close");
      await note("two", sql`SELECT 2 AS x`);
      await seen("close", 2);
    },
  },
  "max_lifetime waits for the statement, and then closes": {
    options: { max_lifetime: 0.3 },
    async run({ sql, note, seen }) {
      await note("one", sql`SELECT pg_sleep(0.6)`);
      await seen("close");
      await note("two", sql`SELECT 2 AS x`);
      await seen("close", 2);
    },
  },
  "max_lifetime waits for a transaction": {
    options: { max_lifetime: 0.3 },
    async run({ sql, note, seen }) {
      await note(
        "begin",
        sql.begin((sql) => sql`SELECT pg_sleep(0.6)`.then(() => sql`SELECT 1 AS x`)),
      );
      await seen("close");
    },
  },
  "a reserved connection is the holder's alone until it is released": {
    async run({ sql, note }) {
      const reserved = await sql.reserve();
      await note("set", reserved`SET work_mem = '7MB'`);
      const waits = note("waits", sql`SHOW work_mem`);
      await note("own", reserved`SHOW work_mem`);
      await note("wrong", reserved`SELECT nope`);
      await note("unsafe", reserved.unsafe("SELECT $1::int AS x", [3]));
      reserved.release();
      await waits;
    },
  },
  "several reservations wait for each other": {
    closes: false,
    options: { max: 2 },
    async run({ sql, note }) {
      const first = await sql.reserve();
      const second = await sql.reserve();
      const third = note(
        "third",
        sql.reserve().then(async (sql) => {
          const rows = await sql`SELECT 3 AS x`;
          sql.release();
          return rows;
        }),
      );
      await note("second", second`SELECT 2 AS x`);
      second.release();
      await third;
      await note("first", first`SELECT 1 AS x`);
      first.release();
    },
  },
  "listen, notify and unlisten": {
    closes: false,
    async run({ sql, note, log, seen }) {
      const { unlisten } = await sql.listen(
        "orders",
        (payload) => void log.push(["heard", payload]),
        () => log.push("listening"),
      );
      await sql.notify("orders", "one");
      await seen("heard");
      const other = await sql.listen("orders", (payload) => void log.push(["other", payload]));
      await sql.notify("orders", "two");
      await seen("other");
      await unlisten();
      await sql.notify("orders", "three");
      await seen("other", 2);
      await other.unlisten();
      await note("notify", sql.notify("orders", "four"));
    },
  },
  "listen listens again after its session was killed": {
    closes: false,
    async run({ sql, log, seen }) {
      const { state } = await sql.listen(
        "lost",
        (payload) => void log.push(["heard", payload]),
        () => log.push(["listening"]),
      );
      await kill(state.pid);
      await seen("listening", 2);
      await sql.notify("lost", "after");
      await seen("heard");
    },
  },
  "fragments, nested and dynamic": {
    async run({ sql, note }) {
      const where = (id: number) => sql`WHERE id = ${id}`;
      const columns = ["id", "name"];
      await note("where", sql`SELECT ${sql(columns)} FROM ${sql("items")} ${where(2)}`);
      await note("none", sql`SELECT id FROM items WHERE id = 1 ${sql``}`);
      await note(
        "order",
        sql`SELECT id FROM items ORDER BY ${sql`id`} ${sql.unsafe("DESC")} LIMIT ${2}`,
      );
      await note("values", sql`SELECT * FROM (VALUES ${sql([[1, "a"], [2, "b"]])}) AS t (x, y)`);
      await note("in", sql`SELECT id FROM items WHERE id IN ${sql([1, 3])} ORDER BY id`);
      await note("any", sql`SELECT id FROM items WHERE id = ANY(${[1, 2]}) ORDER BY id`);
    },
  },
  "values that cannot be sent": {
    async run({ sql, note }) {
      await note("missing column", sql`INSERT INTO items ${sql({ nope: 1 })}`);
      await note("null", sql`SELECT ${null}::int AS x`);
    },
  },
  "without prepared statements": {
    options: { prepare: false },
    async run({ sql, note }) {
      await note("one", sql`SELECT ${1}::int AS x, ${"a"} AS y`);
      await note("again", sql`SELECT ${2}::int AS x, ${"b"} AS y`);
      await note("left", sql`SELECT count(*)::int FROM pg_prepared_statements`);
    },
  },
  "prepared statements are prepared once": {
    async run({ sql, note }) {
      const one = (id: number) => sql`SELECT name FROM items WHERE id = ${id}`;
      await note("one", one(1));
      await note("two", one(2));
      await note("count", sql`SELECT count(*)::int AS n FROM pg_prepared_statements`);
      await sql`ALTER TABLE items ADD extra int`;
      await sql`ALTER TABLE items DROP extra`;
      await note("three", one(3));
    },
  },
  "one statement at a time": {
    options: { max_pipeline: 1 } as Options,
    run: ({ sql, note }) =>
      Promise.all([
        note("1", sql`SELECT pg_sleep(0.05)`),
        note("2", sql`SELECT nope`),
        note("3", sql`SELECT 3 AS x`),
      ]),
  },
  "a server's timeout of a statement": {
    options: { connection: { statement_timeout: 1000 } }, // long enough for the driver's own statements
    async run({ sql, note }) {
      await note("sleeps", sql`SELECT pg_sleep(60)`);
      await note("next", sql`SELECT 1 AS x`);
      await note(
        "begin",
        sql.begin(async (sql) => {
          await sql`SELECT pg_sleep(60)`;
        }),
      );
      await note("last", sql`SELECT 2 AS x`);
    },
  },
  "a cursor in a transaction, and one that is left early": {
    async run({ sql, note, log }) {
      await note(
        "begin",
        sql.begin(async (sql) => {
          for await (const [row] of sql`SELECT x FROM generate_series(1, 3) AS x`.cursor()) {
            log.push(["row", row!.x]);
            if (row!.x === 2) break;
          }
          return await sql`SELECT 9 AS x`;
        }),
      );
    },
  },
  "custom types": {
    options: {
      types: {
        point: {
          to: 600,
          from: [600],
          serialize: ([x, y]: [number, number]) => `(${x},${y})`,
          parse: (text: string) => text.slice(1, -1).split(",").map(Number),
        },
      },
    } as unknown as Options,
    async run({ sql, note }) {
      const typed = (sql as unknown as { typed: { point: (value: unknown) => postgres.Parameter } })
        .typed;
      await note("point", sql`SELECT ${typed.point([1, 2])} AS p`);
      await note("bigint", sql`SELECT ${sql.typed(5n as unknown as number, 20)} AS n`);
    },
  },
  "many rows, many columns, long texts": {
    async run({ sql, note }) {
      const of = (rows: postgres.RowList<postgres.Row[]>) => [rows.length, rows.count, rows.at(-1)];
      await note("rows", sql`SELECT x FROM generate_series(1, 20000) AS x`.then(of));
      await note("text", sql`SELECT length(${"x".repeat(300_000)}) AS n`);
      const columns = Array.from({ length: 300 }, (_, n) => `${n} AS c${n}`);
      await note("columns", sql.unsafe(`SELECT ${columns}`));
      await note("bytes", sql`SELECT ${Buffer.from([0, 1, 255])}::bytea AS b`);
    },
  },
  "a database that does not exist": {
    closes: false,
    options: { database: "missing" },
    async run({ sql, note }) {
      await note("one", sql`SELECT 1`);
      await note("begin", sql.begin((sql) => sql`SELECT 1`));
      await note("end", sql.end());
    },
  },
  "end() twice": {
    closes: false,
    async run({ sql, note }) {
      await note("one", sql`SELECT 1 AS x`);
      await Promise.all([note("end", sql.end()), note("again", sql.end())]);
      await note("late", sql`SELECT 1`);
    },
  },
  "a wrong password": {
    closes: false,
    options: { password: "wrong" },
    run: ({ sql, note }) => note("one", sql`SELECT 1`),
  },
  "a port that refuses": {
    closes: false,
    options: { port: REFUSING_PORT },
    run: ({ sql, note }) => note("one", sql`SELECT 1`.then(undefined, ({ code }) => code)),
  },
  "several connections": {
    closes: false,
    options: { max: 3 },
    async run({ sql, note }) {
      await note("all", Promise.all([1, 2, 3, 4, 5].map((x) => sql`SELECT ${x}::int AS x`)));
    },
  },
  "a transaction begins behind statements, and statements wait for it": {
    async run({ sql, note }) {
      const first = note("first", sql`SELECT pg_sleep(0.02)`);
      const begin = note(
        "begin",
        sql.begin(async (sql) => {
          await sql`CREATE TEMP TABLE own (x int) ON COMMIT DROP`;
          await sql`INSERT INTO own VALUES (1), (2)`;
          return await sql`SELECT count(*)::int AS n FROM own`;
        }),
      );
      await Promise.all([first, begin, note("behind", sql`SELECT to_regclass('own') AS own`)]);
    },
  },
  "a query that is not awaited does not begin": {
    async run({ sql, note, log }) {
      const query = sql`INSERT INTO copied VALUES (7)`;
      await note("count", sql`SELECT count(*)::int AS n FROM copied`);
      log.push(["is a promise", query instanceof Promise]);
      await note("executed", query.execute());
      await note("twice", Promise.all([query, query]));
      await note("delete", sql`DELETE FROM copied`);
    },
  },
  "an await in a transaction on the pool's own function does not wait for the transaction": {
    closes: false,
    options: { max: 2 },
    async run({ sql, note }) {
      await note(
        "begin",
        sql.begin(async (own) => {
          await own`SET LOCAL work_mem = '9MB'`;
          return [await own`SHOW work_mem`, await sql`SHOW work_mem`].map(([row]) => row!.work_mem);
        }),
      );
    },
  },
  "transforms": {
    options: { transform: { ...postgres.camel, undefined: null } },
    async run({ sql, note }) {
      await note(
        "camel",
        sql`SELECT 1 AS some_name, ${undefined as unknown as null}::int AS not_there`,
      );
      await note("helper", sql`SELECT ${sql("someName")} FROM (SELECT 1 AS some_name) t`);
    },
  },
};

/** Runs a course on a pool, ends the pool, and returns what happened. */
async function logOf(
  make: (options: Options) => postgres.Sql,
  course: Course,
): Promise<unknown[]> {
  const subject = subjectOf(make, course);
  try {
    await course.run(subject);
    await subject.sql.end();
  } finally {
    await subject.sql.end({ timeout: 0 });
  }
  return subject.log;
}

for (const [name, course] of Object.entries(COURSES)) {
  Deno.test(`dnsPostgres: as postgres.js: ${name}`, () =>
    untilSocketsClosed(async () => {
      const base = { ...LOGIN, port: server.port };
      const expected = await logOf(
        (options) => postgres({ ...base, host: server.host, ...options }),
        course,
      );
      const dns = { dnsLookup: fakeLookup([server.host], 60), dnsFallback: false } as const;
      const log = await logOf(
        (options) => dnsPostgres(postgres)({ ...base, host: NAME, ...dns, ...options }),
        course,
      );
      assertEquals(log, expected);
    }));
}

for (const kind of ["begin", "reserve"] as const) {
  Deno.test(`dnsPostgres: ${kind}(): all statements of a session that the server ended reject, and the next one is served`, () =>
    untilSocketsClosed(async () => {
      const base = { ...LOGIN, host: NAME, port: server.port, max: 1, onnotice() {} };
      const dns = { dnsLookup: fakeLookup([server.host], 60), dnsFallback: false } as const;
      let closed = 0;
      const sql = dnsPostgres(postgres, dns)({ ...base, onclose: () => closed++ });
      /** Runs statements in a session that the server ends. */
      const use = async (sql: postgres.Sql, ends: "before" | "closed" | "between") => {
        const pid = await pidOf(sql);
        if (ends !== "between") await kill(pid);
        if (ends === "closed") await until(() => closed > 0);
        const all = [
          sql`SELECT pg_sleep(60)`,
          ...[1, 2, 3].map((value) => sql`SELECT ${value}::int`),
          sql.unsafe("SELECT 4"),
        ].map((query) => query.then(() => "done", () => "rejected"));
        if (ends === "between") {
          await untilActive(pid);
          await kill(pid);
        }
        const outcomes = await soon(Promise.all(all));
        return [...outcomes, await sql`SELECT 5`.then(() => "done", () => "rejected")];
      };
      for (const ends of ["before", "closed", "between"] as const) {
        closed = 0;
        let outcomes: string[] | undefined;
        if (kind === "begin") {
          await assertRejects(() =>
            sql.begin(async (sql) =>
              void (outcomes = await use(sql as unknown as postgres.Sql, ends))
            )
          );
          await until(() => outcomes !== undefined); // the function goes on
        } else {
          const reserved = await sql.reserve();
          outcomes = await use(reserved, ends);
          reserved.release();
        }
        assertEquals(outcomes, Array(6).fill("rejected"), ends);
        assertEquals([...await sql`SELECT 6 AS x`], [{ x: 6 }]);
      }
      await sql.end();
    }));
}
