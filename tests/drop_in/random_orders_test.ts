/**
 * Calls in random orders, most of them not awaited, with failures among them: whatever the driver's own object settles,
 * the drop-in settles too, and a statement that is answered is answered with its own result.
 */

import { assert, assertEquals } from "@std/assert";
import * as mariadb from "npm:mariadb@^3.5";
import { once } from "node:events";
import net from "node:net";
import mysql from "npm:mysql2@^3.24";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { dnsMariadb } from "../../drop_in/mariadb_pool.ts";
import { dnsMysql2 } from "../../drop_in/mysql2_pool.ts";
import { dnsPg } from "../../drop_in/pg_pool.ts";
import { dnsPostgres } from "../../drop_in/postgresjs.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { LOGIN, mariadbPair } from "../support/drop_in_mariadb.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { mariadbTest } from "../support/servers.ts";
import { REFUSING_PORT, untilSocketsClosed } from "../support/sockets.ts";
import { pause, soon } from "../support/waiting.ts";

const SEEDS = Number(process.env.DNSPOOL_ORDERS ?? 25);
/** Number of orders at a time. */
const LANES = 5;

let server: PostgresServer;
const pair = mariadbPair();

Deno.test.beforeAll(async () => {
  const [host] = await loopbackPair();
  server = await startPostgres({ host, port: await freePort([host]), ...LOGIN });
});

Deno.test.afterAll(() => server.stop({ mode: "immediate" }));

/** Returns numbers from 0 to below 1 that a seed decides. */
function random(seed: number): () => number {
  let state = seed * 2654435761 % 2 ** 32;
  return () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

/** Calls of one run, each with what became of it. */
class Calls {
  readonly outcomes: (string | undefined)[] = [];
  readonly #settled: Promise<void>[] = [];

  /** Makes a call that is settled by a promise. */
  make(call: () => unknown): void {
    let promise: Promise<unknown>;
    try {
      promise = Promise.resolve(call());
    } catch (error) {
      promise = Promise.reject(error);
    }
    this.#note(promise);
  }

  /** Makes a call that is settled by a callback. */
  callBack(call: (callback: (error: unknown, value?: unknown) => void) => void): void {
    this.make(() =>
      new Promise((resolve, reject) =>
        call((error, value) => error ? reject(error) : resolve(value))
      )
    );
  }

  #note(promise: Promise<unknown>): void {
    const index = this.outcomes.push(undefined) - 1;
    this.#settled.push(promise.then(
      (value) => void (this.outcomes[index] = `done ${value ?? ""}`),
      (error) => void (this.outcomes[index] = `failed ${(error as Error).message}`),
    ));
  }

  /** Waits until the calls are settled that were settled in another run. */
  async untilSettled(other: Calls): Promise<void> {
    const wanted = this.#settled.filter((_, index) => other.outcomes[index] !== undefined);
    await soon(Promise.all(wanted));
  }

  /** Waits until no call has been settled for a while. */
  async untilQuiet(): Promise<void> {
    const count = () => this.outcomes.filter((outcome) => outcome !== undefined).length;
    for (let before = -1; before !== count();) {
      before = count();
      await pause(100);
    }
  }
}

type Step = (calls: Calls, number: number) => unknown;

/** What a run works on. */
interface World {
  /** The kinds of step, each with its weight. */
  readonly steps: readonly (readonly [weight: number, step: Step])[];
  /** Ends everything. */
  finish(calls: Calls): unknown;
  /** Ends what the original may leave behind. */
  leave?(): void;
}

/** Makes calls in an order that a seed decides, with random waits between them. */
async function run(seed: number, { steps, finish }: World): Promise<Calls> {
  const next = random(seed);
  const calls = new Calls();
  const total = steps.reduce((sum, [weight]) => sum + weight, 0);
  const length = 3 + Math.floor(next() * 12);
  for (let number = 1; number <= length; number++) {
    let left = next() * total;
    const [, step] = steps.find(([weight]) => (left -= weight) < 0)!;
    await step(calls, number);
    const wait = next();
    if (wait > 0.9) await calls.untilQuiet();
    else if (wait > 0.6) await pause(0);
    else if (wait > 0.4) await Promise.resolve();
  }
  await finish(calls);
  return calls;
}

/** Runs an order on the driver's own object, and on the drop-in. */
async function compare(seed: number, make: (follows: boolean, seed: number) => World) {
  const world = make(false, seed);
  const original = await run(seed, world);
  await original.untilQuiet();
  world.leave?.();
  const dropIn = await run(seed, make(true, seed));
  try {
    await dropIn.untilSettled(original);
  } catch (error) {
    const both = [original.outcomes, dropIn.outcomes].map((each) => each.join("; "));
    throw new Error(`seed ${seed}: ${both.join("\n")}`, { cause: error });
  }
  for (const outcome of dropIn.outcomes) {
    const [, answer, expected] = /^done (\d+) of (\d+)$/.exec(outcome ?? "") ?? [];
    assertEquals(answer, expected, `seed ${seed}`);
  }
}

/** Runs the same orders on both, several of them at a time: most of the time they wait. */
function testOrders(
  name: string,
  register: (name: string, test: () => Promise<void>) => void,
  make: (follows: boolean, seed: number) => World,
  seeds = SEEDS,
): void {
  register(
    `${name}: settles what the original settles, in random orders of calls`,
    () =>
      untilSocketsClosed(async () => {
        const unhandled: unknown[] = [];
        const onUnhandled = (event: PromiseRejectionEvent) => {
          unhandled.push(event.reason);
          event.preventDefault();
        };
        globalThis.addEventListener?.("unhandledrejection", onUnhandled);
        try {
          let last = 0;
          const lane = async () => {
            for (let seed; (seed = ++last) <= seeds;) await compare(seed, make);
          };
          await Promise.all(Array.from({ length: LANES }, lane));
          assertEquals(unhandled, []);
        } finally {
          globalThis.removeEventListener?.("unhandledrejection", onUnhandled);
        }
      }),
  );
}

const pgModules = () =>
  [pg, dnsPg(pg, { dnsLookup: fakeLookup([server.host], 60), dnsFallback: false })] as const;

/** Returns where a run connects to: one in five is refused. */
const pgTarget = (follows: boolean, seed: number) => ({
  ...LOGIN,
  host: follows ? "db.internal" : server.host,
  port: seed % 5 === 0 ? REFUSING_PORT : server.port,
});

const answerOf = (number: number) => ({ rows }: pg.QueryResult) => `${rows[0].n} of ${number}`;

testOrders("dnsPg(): Client", Deno.test, (follows, seed) => {
  const client = new (pgModules()[Number(follows)]!.Client)(pgTarget(follows, seed));
  client.on("error", () => {});
  const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } })
    .connection;
  let called = false;
  return {
    steps: [
      [3, (calls) => {
        // A second call takes the place of the first one's callback.
        if (called) return;
        called = true;
        calls.make(() => client.connect().then(() => "connected"));
      }],
      [
        3,
        (calls, n) => calls.make(() => client.query("SELECT $1::int AS n", [n]).then(answerOf(n))),
      ],
      [2, (calls, n) =>
        calls.callBack((callback) =>
          client.query(
            `SELECT ${n} AS n`,
            (error, result) => callback(error, error ? undefined : answerOf(n)(result)),
          )
        )],
      [1, (calls) => calls.make(() => client.query("SELECT nope"))],
      [1, (calls) => calls.make(() => client.end())],
      // Whether it is connected by then would decide what becomes of later queries.
      [0.3, (calls) => called && calls.untilQuiet().then(() => stream.destroy())],
    ],
    finish: (calls) => calls.make(() => client.end()),
  };
});

testOrders("dnsPg(): Pool", Deno.test, (follows, seed) => {
  const { Pool } = pgModules()[Number(follows)]!;
  const pool = new Pool({ ...pgTarget(follows, seed), max: 2 });
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  const held: pg.PoolClient[] = [];
  let finished = false;
  const hold = (client: pg.PoolClient) => {
    if (finished) client.release();
    else held.push(client);
    return "connected";
  };
  return {
    steps: [
      [3, (calls) => calls.make(() => pool.connect().then(hold))],
      [
        1,
        (calls) =>
          calls.callBack((callback) =>
            pool.connect((error, client) => callback(error, client && hold(client)))
          ),
      ],
      [3, (calls, n) => calls.make(() => pool.query("SELECT $1::int AS n", [n]).then(answerOf(n)))],
      [1, (calls) => calls.make(() => pool.query("SELECT nope"))],
      [
        1,
        (calls, n) =>
          calls.make(async () => await held[0]?.query(`SELECT ${n} AS n`).then(answerOf(n))),
      ],
      [3, () => held.shift()?.release()],
      [1, () => held.shift()?.release(new Error("no good"))],
      [0.5, () => {
        const client = held[0] as unknown as { connection: { stream: { destroy(): void } } };
        client?.connection.stream.destroy();
      }],
      [0.3, (calls) => calls.make(() => pool.end().then(() => "ended"))],
    ],
    finish(calls) {
      finished = true;
      for (const client of held) client.release();
      if (!pool.ending) calls.make(() => pool.end().then(() => "ended"));
    },
  };
});

testOrders("dnsPostgres()", Deno.test, (follows, seed) => {
  const dns = { dnsLookup: fakeLookup([server.host], 60), dnsFallback: false };
  const max = 1 + seed % 3;
  const target = pgTarget(follows, seed);
  const options = { ...target, max, onnotice: () => {} };
  // Some orders keep the original from ending: its sockets are closed for it.
  const sockets: net.Socket[] = [];
  let left = false;
  const socket = async () => {
    if (left) await new Promise(() => {}); // it would not be told of a failure, but fail the process
    const socket = net.connect(target.port, target.host);
    sockets.push(socket);
    await once(socket, "connect");
    return socket;
  };
  const timers = { max_lifetime: null, connect_timeout: 0 } as const; // none that would be left
  const original = { ...options, ...timers, backoff: false, socket };
  const sql: postgres.Sql = follows ? dnsPostgres(postgres, dns)(options) : postgres(original);
  const held: postgres.ReservedSql[] = [];
  let finished = false;
  let reserving = 0;
  let ended = false;
  const end = (calls: Calls) => {
    if (!ended) calls.make(() => sql.end().then(() => "ended"));
    ended = true;
  };
  const answer = (n: number) => (rows: Iterable<{ n: number }>) => `${[...rows][0]!.n} of ${n}`;
  const select = (sql: postgres.Sql | postgres.TransactionSql, n: number) =>
    sql<{ n: number }[]>`SELECT ${n}::int AS n`.then(answer(n));
  return {
    steps: [
      [3, (calls, n) => calls.make(() => select(sql, n))],
      [
        2,
        (calls, n) =>
          calls.make(() => sql.unsafe<{ n: number }[]>(`SELECT ${n} AS n`).then(answer(n))),
      ],
      [1, (calls) => calls.make(() => sql`SELECT nope`)],
      // Begun behind another one, it would take that one's answers from the original.
      [
        0.7,
        (calls) =>
          calls.untilQuiet().then(() =>
            calls.make(() => sql`SELECT ${undefined as unknown as string}`)
          ),
      ],
      [1, (calls, n) =>
        calls.make(() =>
          sql.begin(async (sql) => {
            await select(sql, n);
            return await sql.savepoint((sql) => select(sql, n));
          })
        )],
      [0.7, (calls) =>
        calls.make(() =>
          sql.begin(async (sql) => {
            await sql`SELECT nope`;
          })
        )],
      [1, (calls) => {
        // More of them than connections would wait for each other.
        if (ended || reserving++ > 0) return;
        calls.make(() =>
          sql.reserve().then((reserved) => {
            if (finished) reserved.release();
            else held.push(reserved);
            return "reserved";
          })
        );
      }],
      [1, (calls, n) => held[0] && calls.make(() => select(held[0]!, n))],
      [2, () => {
        const reserved = held.shift();
        if (reserved) reserving--;
        reserved?.release();
      }],
      [0.7, (calls, n) =>
        calls.make(async () => {
          let last: { n: number } | undefined;
          for await (const [row] of sql<{ n: number }[]>`SELECT ${n}::int AS n`.cursor(1)) {
            last = row;
          }
          return answer(n)([last!]);
        })],
      [0.5, (calls) => {
        const query = sql`SELECT pg_sleep(0.01)`.execute();
        calls.make(() => query);
        return pause(2).then(() => query.cancel());
      }],
      [
        0.3,
        (calls) =>
          calls.untilQuiet().then(() =>
            calls.make(() => sql`SELECT pg_terminate_backend(pg_backend_pid())`)
          ),
      ],
      [0.3, end],
    ],
    async finish(calls) {
      await calls.untilQuiet();
      finished = true;
      for (const reserved of held) reserved.release();
      end(calls);
    },
    leave() {
      left = true;
      for (const socket of sockets) {
        // The original would go on with a transaction whose connection is closed, and fail the process.
        socket.removeAllListeners().on("error", () => {}).destroy();
      }
    },
  };
}, Math.ceil(SEEDS / 2));

const mysqlDns = () =>
  ({ dnsLookup: fakeLookup([pair.first.host], 60), dnsFallback: false }) as const;

const mysqlModules = () => [mysql, dnsMysql2(mysql, mysqlDns())] as const;

const mysqlTarget = (follows: boolean, seed: number) => ({
  ...LOGIN,
  host: follows ? "db.internal" : pair.first.host,
  port: seed % 5 === 0 ? REFUSING_PORT : pair.first.port,
});

type Rows = { n: number }[];

testOrders("dnsMysql2(): createPool", mariadbTest, (follows, seed) => {
  const pool = mysqlModules()[Number(follows)]!.createPool({
    ...mysqlTarget(follows, seed),
    connectionLimit: 2,
  });
  pool.on("connection", (connection) => connection.on("error", () => {}));
  const held: mysql.PoolConnection[] = [];
  let ended = false;
  const end = (calls: Calls) => {
    if (!ended) calls.callBack((callback) => pool.end((error) => callback(error, "ended")));
    ended = true;
  };
  const query = (on: Pick<mysql.Pool, "query">, n: number) => (calls: Calls) =>
    calls.callBack((callback) =>
      on.query(
        `SELECT ${n} AS n`,
        (error, rows) =>
          callback(error, error ? undefined : `${(rows as unknown as Rows)[0]!.n} of ${n}`),
      )
    );
  return {
    steps: [
      [3, (calls) =>
        calls.callBack((callback) =>
          pool.getConnection((error, connection) => {
            if (!error) held.push(connection);
            callback(error, "connected");
          })
        )],
      [3, (calls, n) => query(pool, n)(calls)],
      [1, (calls, n) => held[0] && query(held[0], n)(calls)],
      [1, (calls) => calls.callBack((callback) => pool.query("SELECT nope", callback))],
      [3, () => held.shift()?.release()],
      [1, () => held.shift()?.destroy()],
      [0.3, end],
    ],
    finish(calls) {
      for (const connection of held) connection.release();
      end(calls);
    },
  };
});

testOrders("dnsMariadb(): createPool", mariadbTest, (follows, seed) => {
  const options = { ...mysqlTarget(follows, seed), connectionLimit: 2, acquireTimeout: 300 };
  const module = follows ? dnsMariadb(mariadb, mysqlDns()) : mariadb;
  const pool = module.createPool({ ...options, minimumIdle: seed % 3 });
  const held: mariadb.PoolConnection[] = [];
  let finished = false;
  const answerOf = (n: number) => (rows: Rows) => `${rows[0]!.n} of ${n}`;
  const take = async () => {
    const connection = await pool.getConnection();
    if (finished) await connection.release();
    else held.push(connection);
    return "connected";
  };
  const end = (calls: Calls) => {
    if (!pool.closed) calls.make(() => pool.end().then(() => "ended"));
  };
  return {
    steps: [
      [3, (calls) => calls.make(take)],
      [3, (calls, n) => calls.make(() => pool.query(`SELECT ${n} AS n`).then(answerOf(n)))],
      [
        1,
        (calls, n) =>
          calls.make(() => pool.execute("SELECT CAST(? AS int) AS n", [n]).then(answerOf(n))),
      ],
      [1, (calls) => calls.make(() => pool.query("SELECT nope"))],
      [
        1,
        (calls, n) =>
          calls.make(async () => await held[0]?.query(`SELECT ${n} AS n`).then(answerOf(n))),
      ],
      [3, (calls) => calls.make(async () => await held.shift()?.release())],
      [1, () => held.shift()?.destroy()],
      [0.3, end],
    ],
    async finish(calls) {
      finished = true;
      end(calls);
      for (const connection of held) await connection.release();
    },
  };
});

testOrders("dnsMysql2(): createConnection", mariadbTest, (follows, seed) => {
  const connection = mysqlModules()[Number(follows)]!.createConnection(mysqlTarget(follows, seed));
  connection.on("error", () => {});
  return {
    steps: [
      [2, (calls) => calls.callBack((callback) => connection.connect((error) => callback(error)))],
      [
        4,
        (calls, n) =>
          calls.callBack((callback) =>
            connection.query(
              `SELECT ${n} AS n`,
              (error, rows) =>
                callback(error, error ? undefined : `${(rows as unknown as Rows)[0]!.n} of ${n}`),
            )
          ),
      ],
      [1, (calls) => calls.callBack((callback) => connection.query("SELECT nope", callback))],
      [1, (calls) => calls.callBack((callback) => connection.end(callback))],
      // Whether it is connected by then would decide what becomes of a call of connect().
      [0.4, (calls) => calls.untilQuiet().then(() => connection.destroy())],
    ],
    finish: (calls) => calls.untilQuiet().then(() => connection.destroy()),
  };
});

assert(SEEDS > 0);
