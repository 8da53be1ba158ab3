/**
 * The events, counters, errors and results of a pool and of its connections, and their order, as with mariadb's own pool:
 * each course of events runs on the original and on `DnsMariadbPool`, with promises and with callbacks, on a real MariaDB.
 */

import { assert, assertEquals } from "@std/assert";
import * as mariadb from "npm:mariadb@^3.5";
import * as callbacks from "npm:mariadb@^3.5/callback";
import { DnsMariadbPool } from "../../drop_in/mariadb_pool.ts";
import { administer, LOGIN, mariadbPair } from "../support/drop_in_mariadb.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { mariadbTest } from "../support/servers.ts";
import { REFUSING_PORT, untilSocketsClosed } from "../support/sockets.ts";
import { pause, soon, until } from "../support/waiting.ts";

const pair = mariadbPair();

type Options = mariadb.PoolConfig;
/** A connection with promises, whatever the module. */
type Connection = Pick<
  mariadb.PoolConnection,
  "query" | "release" | "end" | "destroy" | "isValid" | "threadId" | "queryStream" | "on"
>;
type Rows = { n: number }[];

/** A pool with promises, whatever the module. */
interface Pool extends
  Pick<
    mariadb.Pool,
    | "query"
    | "execute"
    | "batch"
    | "importFile"
    | "end"
    | "escape"
    | "escapeId"
    | "on"
    | "closed"
    | "activeConnections"
    | "idleConnections"
    | "taskQueueSize"
    | "totalConnections"
  > {
  getConnection(): Promise<Connection>;
}

// deno-lint-ignore no-explicit-any -- any method
type Method = (...args: any[]) => void;

/** Makes the methods of an object return promises. */
function promised<T extends object>(target: object, names: readonly string[]): T {
  return new Proxy(target, {
    get(_, name) {
      const member = (target as Record<string | symbol, unknown>)[name];
      if (typeof member !== "function") return member;
      if (!names.includes(name as string)) return member.bind(target);
      return (...args: unknown[]) =>
        new Promise((resolve, reject) =>
          (member as Method).call(
            target,
            ...args,
            (error: unknown, value: unknown) => error ? reject(error) : resolve(value),
          )
        );
    },
  }) as T;
}

const ON_POOL = ["query", "execute", "batch", "importFile", "end", "getConnection"];
const ON_CONNECTION = ["query", "release", "end", "ping"];

function ofCallbacks(pool: object): Pool {
  const wrapped = promised<Pool>(pool, ON_POOL);
  return new Proxy(wrapped, {
    get(_, name) {
      if (name !== "getConnection") return wrapped[name as keyof Pool];
      return () =>
        wrapped.getConnection().then((each) => promised<Connection>(each, ON_CONNECTION));
    },
  });
}

interface Subject {
  readonly pool: Pool;
  /** What happened, in order. */
  readonly log: string[];
  note(what: unknown): void;
  /** Notes what becomes of a promise. */
  settle(what: string, promise: Promise<unknown>): Promise<void>;
  /** Waits until something happened. */
  seen(what: string): Promise<void>;
  counts(): string;
}

/** Describes an error, without what differs from run to run. */
function describe(thrown: unknown): string {
  const { message, code, fatal, cause } = thrown as Error & { code: string; fatal?: boolean };
  const text = message.replace(/\d+ms/, "#ms").replace(/^\(conn:\d+/, "(conn:#")
    .replace(/\s*\n\s*/g, " ").replace(/127\.0\.\d+\.\d+/g, "#");
  const because = cause ? ` because of ${(cause as { code: string }).code}` : "";
  return `${code}${fatal ? " (fatal)" : ""}: ${text}${because}`;
}

const show = (value: unknown) =>
  JSON.stringify(value, (_, each) => typeof each === "bigint" ? `${each}n` : each);

function subjectOf(pool: Pool): Subject {
  const log: string[] = [];
  const counts = () =>
    `${pool.activeConnections()} active, ${pool.idleConnections()} idle, ` +
    `${pool.totalConnections()} of them, ${pool.taskQueueSize()} wait`;
  const numbers: unknown[] = [];
  const numberOf = (connection: { threadId: unknown }) => {
    const { threadId } = connection;
    if (!numbers.includes(threadId)) numbers.push(threadId);
    return numbers.indexOf(threadId) + 1;
  };
  for (const event of ["connection", "acquire", "release"] as const) {
    pool.on(event as "acquire", (each) => log.push(`${event} ${numberOf(each)} (${counts()})`));
  }
  pool.on("enqueue", () => log.push(`enqueue (${counts()})`));
  (pool as unknown as { on(event: string, listener: (error: unknown) => void): void })
    .on("error", (error) => log.push(`error ${describe(error)}`));
  return {
    pool,
    log,
    note: (what) => log.push(String(what)),
    settle: (what, promise) =>
      promise.then(
        (value) => void log.push(`${what}: ${show(value)}`),
        (error) => void log.push(`${what} failed: ${describe(error)}`),
      ),
    seen: (what) => until(() => log.some((line) => line.startsWith(what))),
    counts,
  };
}

const kill = async (connection: Pick<Connection, "threadId">) => {
  await administer(pair.first, `KILL ${connection.threadId}`);
};

/** A course of events, and the options of its pool. */
type Course = readonly [Options, (subject: Subject) => Promise<void>];

const one = { connectionLimit: 1 };
const idle = (count: number, { pool }: Subject) => until(() => pool.idleConnections() === count);
const sql = (n: number) => `SELECT ${n} AS n`;

const courses: Readonly<Record<string, Course>> = {
  "callers that come one by one and together": [
    { connectionLimit: 3, minimumIdle: 1 },
    async (subject) => {
      const { pool, note, counts } = subject;
      note(`${pool} ${pool.closed}`);
      const first = pool.getConnection();
      note(counts());
      const taken = [await first];
      await pause(1);
      taken.push(...await Promise.all([pool.getConnection(), pool.getConnection()]));
      await pause(1);
      note(counts());
      for (const each of taken) await each.release();
      await idle(3, subject);
      note(pool);
    },
  ],

  "a pool that is filled when it is made": [{ connectionLimit: 3 }, async (subject) => {
    await idle(3, subject);
    await pause(1);
  }],

  "a caller that waits for a connection that is released": [one, async (subject) => {
    const { pool, settle } = subject;
    const taken = await pool.getConnection();
    const waiting = [1, 2].map((n) => settle(`query ${n}`, pool.query(sql(n))));
    await subject.seen("enqueue (1 active, 0 idle, 1 of them, 2 wait)");
    await taken.release();
    await Promise.all(waiting);
  }],

  "release(), end() and close() give back, a second time without effect": [
    { connectionLimit: 2, minimumIdle: 0 },
    async ({ pool, note, counts }) => {
      const [a, b] = await Promise.all([pool.getConnection(), pool.getConnection()]);
      await a.release();
      await a.release();
      note(counts());
      await b.end();
      await b.end();
      note(`${counts()} ${a.isValid()} ${b.isValid()}`);
      const [c] = await pool.query("SELECT CONNECTION_ID() AS id");
      note(Number(c.id) === Number(a.threadId));
    },
  ],

  "statements, batches, files and quoting": [one, async (subject) => {
    const { pool, settle, note } = subject;
    await settle("query", pool.query(sql(1)));
    await settle("values", pool.query("SELECT ? AS n", [2]));
    await settle("execute", pool.execute("SELECT ? AS n", [3]));
    await settle("wrong", pool.query("SELECT nope"));
    await settle("wrong execute", pool.execute("SELECT ? AS n FROM nothing", [3]));
    // The engine waits until the driver has told the server to forget the statement.
    await idle(1, subject);
    await settle("create", pool.query("CREATE TABLE IF NOT EXISTS batches (n int)"));
    await settle("batch", pool.batch("INSERT INTO batches VALUES (?)", [[1], [2]]));
    await settle("count", pool.query("SELECT COUNT(*) > 1 AS n FROM batches"));
    await settle("drop", pool.query("DROP TABLE batches"));
    await settle("no file", pool.importFile({ file: "/does/not/exist.sql" }));
    await settle("no options", pool.importFile(undefined as never));
    note(pool.escape("it's") + pool.escapeId("a`b") + pool.escape(new Date(0)).length);
  }],

  "a transaction that its holder left open is rolled back": [one, async ({ pool, settle }) => {
    await pool.query("CREATE TABLE IF NOT EXISTS left_open (n int)");
    const connection = await pool.getConnection();
    await connection.query("START TRANSACTION");
    await connection.query("INSERT INTO left_open VALUES (1)");
    await connection.release();
    await settle("rows", pool.query("SELECT * FROM left_open"));
    await pool.query("DROP TABLE left_open");
  }],

  "a connection that is released while its statement runs": [one, async ({ pool, settle }) => {
    const connection = await pool.getConnection();
    const slow = connection.query("SELECT SLEEP(0.1) AS n");
    const released = settle("released", connection.release());
    await Promise.all([released, settle("next", pool.query(sql(2)))]);
    await settle("slow", slow);
  }],

  "noControlAfterUse": [
    { ...one, noControlAfterUse: true },
    async ({ pool, settle }) => {
      const connection = await pool.getConnection();
      await connection.query("SET @kept = 7");
      await connection.release();
      await settle("kept", pool.query("SELECT @kept AS n"));
    },
  ],

  "resetAfterUse": [{ ...one, resetAfterUse: true }, async ({ pool, settle }) => {
    const connection = await pool.getConnection();
    await connection.query("SET @kept = 7");
    await connection.release();
    await settle("kept", pool.query("SELECT @kept AS n"));
  }],

  "a result that is streamed": [one, async ({ pool, note }) => {
    const connection = await pool.getConnection();
    const stream = connection.queryStream("SELECT 1 AS n UNION ALL SELECT 2");
    for await (const row of stream) note(JSON.stringify(row));
    await connection.release();
  }],

  "destroy(), idle and in the middle of a statement": [
    { connectionLimit: 2, minimumIdle: 0 },
    async (subject) => {
      const { pool, settle, counts, note } = subject;
      const [a, b] = await Promise.all([pool.getConnection(), pool.getConnection()]);
      a.destroy();
      note(counts());
      const slow = settle("slow", b.query("SELECT SLEEP(30)"));
      await pause(50);
      b.destroy();
      note(counts());
      await slow;
      await settle("next", pool.query(sql(1)));
    },
  ],

  "an idle connection that the server kills": [
    { ...one, minDelayValidation: 0 },
    async (subject) => {
      const { pool, settle } = subject;
      const connection = await pool.getConnection();
      await connection.release();
      await kill(connection);
      await until(() => !connection.isValid());
      await settle("next", pool.query(sql(1)));
    },
  ],

  // Nothing is opened in its place ahead of need: when that is done depends on the machine.
  "a connection in use that the server kills": [{ ...one, minimumIdle: 0 }, async (subject) => {
    const { pool, settle, note, counts } = subject;
    const connection = await pool.getConnection();
    const slow = settle("slow", connection.query("SELECT SLEEP(30)"));
    await pause(50);
    await kill(connection);
    await slow;
    await settle("again", connection.query(sql(1)));
    await connection.release();
    note(counts());
    await settle("next", pool.query(sql(2)));
  }],

  "a caller that waits longer than acquireTimeout": [
    { ...one, acquireTimeout: 150 },
    async ({ pool, log, settle, counts, note }) => {
      let connection: Connection | undefined;
      await until(async () => {
        connection = await pool.getConnection().catch(() => undefined);
        return connection !== undefined;
      });
      await pause(1);
      log.length = 0; // on a busy machine the first connects may have failed
      await settle("late", pool.getConnection());
      await settle("late query", pool.query(sql(1)));
      note(counts());
      await connection!.release();
      await settle("next", pool.query(sql(2)));
    },
  ],

  "a server that refuses connections": [
    { ...one, port: REFUSING_PORT, acquireTimeout: 300, initializationTimeout: 150 },
    async ({ pool, settle, counts, note, seen }) => {
      await settle("query", pool.query(sql(1)));
      await seen("error");
      note(counts());
    },
  ],

  "a wrong password": [
    { ...one, password: "wrong", acquireTimeout: 300 },
    async ({ pool, settle, seen }) => {
      await seen("error");
      await settle("query", pool.query(sql(1)));
    },
  ],

  "end() while connections are in use and callers wait": [
    { connectionLimit: 1 },
    async ({ pool, settle, note, counts }) => {
      const connection = await pool.getConnection();
      await pause(1);
      const waits = [1, 2].map((n) => settle(`waits ${n}`, pool.query(sql(n))));
      await pause(1);
      const slow = settle("slow", connection.query("SELECT SLEEP(0.2) AS n"));
      const ended = pool.end();
      note(`${pool.closed} ${counts()}`);
      await Promise.all(waits);
      await settle("late", pool.getConnection());
      await settle("late query", pool.query(sql(3)));
      await settle("twice", pool.end());
      await slow;
      await connection.release();
      await ended;
      note(counts());
      await settle("after", connection.query(sql(4)));
    },
  ],

  "end() while statements of the pool itself run": [
    { connectionLimit: 2 },
    async (subject) => {
      const { pool, settle, note, counts } = subject;
      await idle(2, subject);
      await pause(1);
      const query = async (n: number) =>
        (await pool.query(`SELECT ${n} AS n, SLEEP(${n / 5})`) as Rows)[0]!.n;
      const slow = [settle("slow", query(2)), settle("slow", query(1))];
      const ended = pool.end();
      await Promise.all(slow);
      await ended;
      note(counts());
    },
  ],

  "a leak that is reported": [
    { ...one, leakDetectionTimeout: 30 },
    async ({ pool, note, settle }) => {
      const connection = await pool.getConnection();
      await pause(100);
      await settle("late", pool.getConnection().then(() => "got one"));
      note("never");
      await connection.release();
    },
  ],
};
// A caller that waits while a leak is reported would wait for ever: this one ends at the timeout.
Object.assign(courses["a leak that is reported"]![0], { acquireTimeout: 100 });

const modules = {
  promises: {
    original: (options: Options): Pool => mariadb.createPool(options) as unknown as Pool,
    dropIn: (options: Options): Pool => new DnsMariadbPool(mariadb, options) as unknown as Pool,
  },
  callbacks: {
    original: (options: Options): Pool => ofCallbacks(callbacks.createPool(options)),
    dropIn: (options: Options): Pool => ofCallbacks(new DnsMariadbPool(callbacks, options)),
  },
};

async function logOf(
  make: (options: Options) => Pool,
  where: object,
  [options, run]: Course,
): Promise<string[]> {
  const warnings: string[] = [];
  const logger = {
    warning: (text: string) => warnings.push(text.replace(/\d+(ms)?/g, "#")),
  };
  const given = { ...LOGIN, port: pair.first.port, logger, ...where, ...options };
  const pool = make(given as unknown as Options);
  const subject = subjectOf(pool);
  try {
    await soon(run(subject));
  } finally {
    if (!pool.closed) await pool.end();
  }
  // How often a connect is tried again until a timeout depends on the machine.
  const isRepeated = (line: string, index: number) =>
    line.startsWith("error ") && subject.log.indexOf(line) < index;
  return [...subject.log.filter((line, index) => !isRepeated(line, index)), ...warnings];
}

for (const [module, { original, dropIn }] of Object.entries(modules)) {
  for (const [name, course] of Object.entries(courses)) {
    mariadbTest(
      `DnsMariadbPool with ${module}, as the original: ${name}`,
      () =>
        untilSocketsClosed(async () => {
          const expected = await logOf(original, { host: pair.first.host }, course);
          const followed = {
            host: "db.internal",
            dnsLookup: fakeLookup([pair.first.host], 60),
            dnsFallback: false,
          };
          assertEquals(await logOf(dropIn, followed, course), expected);
          assert(expected.length > 1);
        }),
    );
  }
}
