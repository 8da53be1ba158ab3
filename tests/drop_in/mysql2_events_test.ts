/**
 * The events, errors and results of a pool and of its connections, and their order, as with mysql2's own pool: each
 * course of events runs on the original and on `DnsMysql2Pool`, with a real MariaDB.
 */

import { assertEquals } from "@std/assert";
import mysql from "npm:mysql2@^3.24";
import { DnsMysql2Pool } from "../../drop_in/mysql2_pool.ts";
import { administer, LOGIN, mariadbPair } from "../support/drop_in_mariadb.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { mariadbTest } from "../support/servers.ts";
import { untilSocketsClosed } from "../support/sockets.ts";
import { soon, until } from "../support/waiting.ts";

const pair = mariadbPair();

type Connection = mysql.PoolConnection & {
  readonly stream: { on(event: string, listener: () => void): void };
};
type Runner = Pick<mysql.Pool, "query">;

interface Subject {
  readonly pool: mysql.Pool;
  /** What happened: `"acquire 1"` is an event of the pool for its first connection. */
  readonly log: string[];
  take(): Promise<Connection>;
  /** Runs a statement, and notes its result or error. */
  run(on: Runner, sql: string | mysql.QueryOptions): Promise<void>;
  /** Waits until something happened. */
  seen(what: string): Promise<void>;
}

const describe = ({ code, message, fatal }: { code?: string; message: string; fatal?: boolean }) =>
  `${code ?? message}${fatal ? " (fatal)" : ""}`;

const kill = ({ threadId }: Connection) => administer(pair.first, `KILL ${threadId}`);

function subjectOf(pool: mysql.Pool): Subject {
  const log: string[] = [];
  const names: unknown[] = [];
  const note = (what: string, connection: unknown, detail = "") => {
    if (!names.includes(connection)) names.push(connection);
    log.push(`${what} ${names.indexOf(connection) + 1}${detail}`);
  };
  pool.on("connection", (connection) => {
    note("connection", connection);
    connection.on("error", (error) => note("error", connection, ` ${describe(error)}`));
    (connection as Connection).stream.on("close", () => note("close", connection));
  });
  pool.on("acquire", (connection) => note("acquire", connection));
  pool.on("release", (connection) => note("release", connection));
  pool.on("enqueue", () => log.push("enqueue"));
  return {
    pool,
    log,
    take: () =>
      new Promise((resolve, reject) =>
        pool.getConnection((error, connection) =>
          error ? reject(error) : resolve(connection as Connection)
        )
      ),
    run: (on, sql) =>
      soon(
        new Promise((resolve) =>
          on.query(sql as string, (error, rows) => {
            log.push(error ? describe(error) : JSON.stringify(rows));
            resolve();
          })
        ),
      ),
    seen: (what) => until(() => log.includes(what), what),
  };
}

/** Waits until the server runs a statement. */
async function untilRunning(text: string): Promise<void> {
  const probe = mysql.createConnection(pair.first.adminUrl()).promise();
  const sql = `SELECT 1 FROM information_schema.processlist WHERE info = '${text}'`;
  await until(async () => ((await probe.query(sql))[0] as unknown[]).length === 1);
  await probe.end();
}

/** Starts a statement that runs until its session is killed. */
async function sleep({ run }: Subject, on: Runner): Promise<Promise<void>[]> {
  const text = "SELECT SLEEP(600)";
  const running = run(on, text);
  await untilRunning(text);
  return [running];
}

const COURSES: Record<
  string,
  {
    options?: mysql.PoolOptions;
    /** Whether the socket decides the order of the events. */
    anyOrder?: boolean;
    run(subject: Subject): Promise<void>;
  }
> = {
  "killed while idle": {
    async run({ pool, take, seen, run }) {
      const connection = await take();
      connection.release();
      await kill(connection);
      await seen("close 1");
      await run(pool, "SELECT 1 AS one");
    },
  },
  "killed in use, and released": {
    async run({ pool, take, seen, run }) {
      const connection = await take();
      await kill(connection);
      await seen("close 1");
      await run(connection, "SELECT 1 AS one");
      connection.release();
      await run(pool, "SELECT 2 AS two");
    },
  },
  "killed in use while a caller waits": {
    options: { connectionLimit: 1 },
    async run({ take, seen }) {
      const connection = await take();
      const waiter = take();
      await kill(connection);
      (await waiter).release();
      connection.release();
      await seen("close 1");
    },
  },
  "killed while a statement runs on it, and released": {
    async run(subject) {
      const { pool, take, run } = subject;
      const connection = await take();
      const [running] = await sleep(subject, connection);
      await kill(connection);
      await running;
      connection.release();
      await run(pool, "SELECT 1 AS one");
    },
  },
  "killed while a statement of the pool runs": {
    async run(subject) {
      const { pool, run, seen } = subject;
      let connection!: Connection;
      pool.once("connection", (opened) => connection = opened as Connection);
      const [running] = await sleep(subject, pool);
      await kill(connection);
      await running;
      await seen("close 1");
      await run(pool, "SELECT 1 AS one");
    },
  },
  "a statement that times out": {
    async run({ pool, run }) {
      await run(pool, { sql: "SELECT SLEEP(0.3)", timeout: 60 });
      await run(pool, "SELECT 1 AS one");
    },
  },
  "resetOnRelease": {
    options: { connectionLimit: 1, resetOnRelease: true } as mysql.PoolOptions,
    async run({ pool, take, run, seen }) {
      const connection = await take();
      await run(connection, "SET @mine = 1");
      connection.release();
      await run(pool, "SELECT @mine AS mine");
      await seen("release 1");
    },
  },
  "a stream, and one that its reader leaves": {
    async run({ pool, log, run }) {
      for await (const row of pool.query("SELECT 1 AS n UNION SELECT 2").stream()) {
        log.push(JSON.stringify(row));
      }
      for await (const _ of pool.query("SELECT seq FROM seq_1_to_2000").stream()) break;
      // The connection comes back when its result was read to the end.
      await until(() => log.filter((line) => line === "release 1").length === 2);
      await run(pool, "SELECT 3 AS n");
    },
  },
  "a stream whose session is killed": {
    anyOrder: true,
    async run({ pool, log, run, seen }) {
      let connection!: Connection;
      pool.once("acquire", (acquired) => connection = acquired as Connection);
      const text = "SELECT seq, SLEEP(0.05) FROM seq_1_to_20000";
      const stream = pool.query(text).stream();
      stream.on("error", (error) => log.push(`stream ${describe(error)}`)).on("data", () => {});
      await untilRunning(text);
      await kill(connection);
      await seen("close 1");
      await until(() => log.some((line) => line.startsWith("error 1")), "error");
      await run(pool, "SELECT 4 AS n");
    },
  },
  "destroyed, and ended, by its holder": {
    options: { gracefulEnd: true } as mysql.PoolOptions,
    async run({ pool, take, run, seen }) {
      const first = await take();
      first.destroy();
      await seen("close 1");
      first.release();
      const second = await take();
      (second as unknown as { end(): void }).end();
      await seen("close 2");
      await run(pool, "SELECT 1 AS one");
    },
  },
  "a statement that fails": {
    async run({ pool, run }) {
      await run(pool, "SELECT nope");
      await run(pool, "SELECT 1 AS one");
    },
  },
};

/** Runs a course of events on a pool, ends the pool, and returns what happened until the last socket was closed. */
async function eventsOf(pool: mysql.Pool, run: (subject: Subject) => Promise<void>) {
  const subject = subjectOf(pool);
  const { log } = subject;
  await run(subject);
  const opened = log.filter((line) => line.startsWith("connection")).length;
  const before = [...log];
  await new Promise<void>((resolve) => pool.end(() => resolve()));
  for (let n = 1; n <= opened; n++) await subject.seen(`close ${n}`);
  return before;
}

for (const [course, { options, anyOrder, run }] of Object.entries(COURSES)) {
  mariadbTest(
    `DnsMysql2Pool: events, errors and results as of mysql2's pool, in their order: ${course}`,
    () =>
      untilSocketsClosed(async () => {
        const { host, port } = pair.first;
        const base = { ...LOGIN, port, connectionLimit: 2, ...options };
        const original = mysql.createPool({ ...base, host });
        const expected = await eventsOf(original, run);
        const dns = { dnsLookup: fakeLookup([host], 60), dnsFallback: false };
        const dropIn = new DnsMysql2Pool(mysql, { ...base, host: "db.internal", ...dns });
        const events = await eventsOf(dropIn, run);
        if (anyOrder) { for (const log of [events, expected]) log.sort(); }
        assertEquals(events, expected);
      }),
  );
}
