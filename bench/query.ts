/**
 * `deno task bench:query`: queries on real servers, by dnspool's engine and drop-in, compared with the driver's pool.
 * Pools of 10 connections with 1, 8 and 64 workers. `bench/query_servers.ts` starts the servers, `bench/rounds.ts` says
 * how it is measured.
 *
 * dnspool resolves a name (answered from memory) and checks the address at each checkout; the peers get the address. "no
 * pool" is the driver behind a plain queue that checks nothing: how much any pool could be faster.
 *
 * @module
 */

import process from "node:process";
import * as mariadb from "npm:mariadb@^3.5";
import mysqlCore from "npm:mysql2@^3.24";
import mysql from "npm:mysql2@^3.24/promise";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { mariadbAdapter } from "../adapters/mariadb.ts";
import { mysql2Adapter } from "../adapters/mysql2.ts";
import { pgAdapter } from "../adapters/pg.ts";
import { postgresjsAdapter } from "../adapters/postgresjs.ts";
import { DnsMysql2Pool } from "../drop_in/mysql2_pool.ts";
import { DnsPgPool } from "../drop_in/pg_pool.ts";
import { dnsPostgres } from "../drop_in/postgresjs.ts";
import { type Adapter, type EngineOptions, getDnsEngine, type Lookup } from "../mod.ts";
import { delay } from "../internal/async.ts";
import { contenderHere, Isolate, serve } from "./isolates.ts";
import { finish, quick, runtimeName, table } from "./report.ts";
import { compare, quantile, type RoundOptions, type Timing } from "./rounds.ts";

const POOL_SIZE = 10;
const CONCURRENCY = quick ? [1, 64] : [1, 8, 64];
const ROUNDS: RoundOptions = quick
  ? { rounds: 3, batchMs: 20, sameBatch: true }
  : { rounds: 11, batchMs: 100, sameBatch: true };
const WARM_UPS = quick ? 1 : 5;
const QUERIES = {
  "SELECT 1": "SELECT 1 AS one",
  "100 rows": "SELECT id, name, amount, made FROM bench ORDER BY id LIMIT 100",
};
const HOST = "db.internal";

/** Runs statements. */
interface Client {
  query(sql: string): Promise<unknown>;
}

/** The clients of a driver, dnspool's first. */
type Clients = Readonly<Record<string, () => Client>>;

/** The result of one client in one comparison. */
interface Result extends Timing {
  /** The 99th percentile of the durations of all calls, in milliseconds. */
  readonly p99Ms: number;
  /** CPU time of this process for one call, in microseconds: the median over the rounds. */
  readonly cpuUs: number;
}

/** The driver's connections behind a plain queue: the lower bound of a pool. */
class NoPool implements Client {
  readonly #open: () => Promise<Client>;
  readonly #idle: Client[] = [];
  readonly #waiters: ((client: Client) => void)[] = [];
  #opened = 0;

  /** @param open Opens a connection. */
  constructor(open: () => Promise<Client>) {
    this.#open = open;
  }

  async query(sql: string): Promise<unknown> {
    const client = this.#idle.pop() ?? await this.#another();
    try {
      return await client.query(sql);
    } finally {
      const next = this.#waiters.shift();
      if (next) next(client);
      else this.#idle.push(client);
    }
  }

  #another(): Promise<Client> {
    if (this.#opened++ < POOL_SIZE) return this.#open();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }
}

/** Makes a promise of a call with a callback, which is the fastest way into a driver. */
function promised(call: (callback: (error: unknown, result: unknown) => void) => void) {
  return new Promise<unknown>((resolve, reject) =>
    call((error, result) => error ? reject(error) : resolve(result))
  );
}

/** The address and the login of a server. */
class Server {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly #url: URL;

  constructor(variable: string) {
    const text = process.env[variable];
    if (!text) throw new Error(`${variable} must be the URL of a server`);
    this.#url = new URL(text);
    this.host = this.#url.hostname;
    this.port = Number(this.#url.port);
    this.user = this.#url.username;
    this.password = this.#url.password;
    this.database = this.#url.pathname.slice(1);
  }

  get config() {
    const { host, port, user, password, database } = this;
    return { host, port, user, password, database };
  }

  /** A lookup that answers with the address from memory. */
  get dnsLookup(): Lookup {
    return {
      name: "memory",
      lookup: () => Promise.resolve({ addresses: [this.host], ttl: 300 }),
    };
  }

  /** Engines with the default order, and with the order of the drivers' pools (LIFO), which uses fewer sessions. */
  engines<C>(adapter: Adapter<C>): Clients {
    return {
      "dnspool": () => this.#engine(adapter),
      "dnspool, poolUseLifo": () => this.#engine(adapter, { poolUseLifo: true }),
    };
  }

  #engine<C>(adapter: Adapter<C>, options: EngineOptions<C> = {}): Client {
    const url = new URL(this.#url);
    url.hostname = HOST;
    const engine = getDnsEngine(url, {
      adapter,
      dnsLookup: this.dnsLookup,
      poolSize: POOL_SIZE,
      maxOverflow: 0,
      ...options,
    });
    return { query: (sql) => engine.query(sql) };
  }
}

function onPg(server: Server): Clients {
  const { config, dnsLookup } = server;
  return {
    ...server.engines(pgAdapter(pg)),
    "dnspool's drop-in"() {
      const pool = new DnsPgPool(pg, { ...config, host: HOST, max: POOL_SIZE, dnsLookup });
      return { query: async (text) => (await pool.query(text)).rows };
    },
    "pg.Pool"() {
      const pool = new pg.Pool({ ...config, max: POOL_SIZE });
      return { query: async (text) => (await pool.query(text)).rows };
    },
    "no pool": () =>
      new NoPool(async () => {
        const client = new pg.Client(config);
        await client.connect();
        return { query: (text) => promised((callback) => client.query(text, callback)) };
      }),
  };
}

function onPostgresjs(server: Server): Clients {
  const { config, dnsLookup } = server;
  const { dnspool } = server.engines(postgresjsAdapter(postgres));
  return {
    dnspool: dnspool!,
    "dnspool's drop-in"() {
      const sql = dnsPostgres(postgres)({ ...config, host: HOST, max: POOL_SIZE, dnsLookup });
      return { query: (text) => sql.unsafe(text) };
    },
    "dnspool's drop-in, begin"() {
      const sql = dnsPostgres(postgres)({ ...config, host: HOST, max: POOL_SIZE, dnsLookup });
      return { query: (text) => sql.begin((sql) => sql.unsafe(text)) };
    },
    "postgres.js"() {
      const sql = postgres({ ...config, max: POOL_SIZE });
      return { query: (text) => sql.unsafe(text) };
    },
    "postgres.js, begin"() {
      const sql = postgres({ ...config, max: POOL_SIZE });
      return { query: (text) => sql.begin((sql) => sql.unsafe(text)) };
    },
  };
}

function onMysql2(server: Server): Clients {
  return {
    ...server.engines(mysql2Adapter(mysql)),
    "dnspool's drop-in"() {
      const { config, dnsLookup } = server;
      const options = { ...config, host: HOST, connectionLimit: POOL_SIZE, dnsLookup };
      const pool = new DnsMysql2Pool(mysql, options);
      return { query: async (sql) => (await pool.query(sql))[0] };
    },
    "mysql2's pool"() {
      const pool = mysql.createPool({ ...server.config, connectionLimit: POOL_SIZE });
      return { query: async (sql) => (await pool.query(sql))[0] };
    },
    "no pool": () =>
      new NoPool(() => {
        const connection = mysqlCore.createConnection(server.config);
        const query = (sql: string) => promised((callback) => connection.query(sql, callback));
        return Promise.resolve({ query });
      }),
  };
}

/** Pools that keep few of their connections idle, for workers that pause between two statements. */
function onMysql2Churn({ config, dnsLookup }: Server): Clients {
  const limits = { connectionLimit: 20, maxIdle: 5 };
  return {
    "dnspool's drop-in"() {
      const pool = new DnsMysql2Pool(mysql, { ...config, ...limits, host: HOST, dnsLookup });
      return { query: async (sql) => (await pool.query(sql))[0] };
    },
    "mysql2's pool"() {
      const pool = mysql.createPool({ ...config, ...limits });
      return { query: async (sql) => (await pool.query(sql))[0] };
    },
  };
}

function onMariadb(server: Server): Clients {
  return {
    ...server.engines(mariadbAdapter(mariadb)),
    "mariadb's pool"() {
      const pool = mariadb.createPool({ ...server.config, connectionLimit: POOL_SIZE });
      return { query: (sql) => pool.query(sql) };
    },
    "no pool": () => new NoPool(() => mariadb.createConnection(server.config)),
  };
}

const DRIVERS: Readonly<Record<string, () => Clients>> = {
  "pg": () => onPg(new Server("BENCH_POSTGRES")),
  "postgres.js": () => onPostgresjs(new Server("BENCH_POSTGRES")),
  "mysql2": () => onMysql2(new Server("BENCH_MARIADB")),
  "mariadb": () => onMariadb(new Server("BENCH_MARIADB")),
};

/** 20 workers that pause between two statements: most connections are idle at times, and more than `maxIdle`. */
const CHURN = "mysql2, maxIdle 5";
const CHURN_WORKERS = 20;
const MAX_PAUSE_MS = 40;
const CHURN_ROUNDS: RoundOptions = {
  rounds: quick ? 2 : 5,
  batchMs: quick ? 500 : 3000,
  sameBatch: true,
};

/** A batch of a contender's thread. */
interface Batch {
  readonly sql: string;
  readonly concurrency: number;
  readonly operations: number;
  /** Maximum pause after each call, in milliseconds; the pauses are drawn at random. */
  readonly maxPauseMs: number;
}

/** The result of a batch. */
interface Outcome {
  /** Nanoseconds for one call. */
  readonly ns: number;
  /** The durations of the calls. */
  readonly tookMs: readonly number[];
  /** CPU time of this process for one call, in microseconds. */
  readonly cpuUs: number;
}

/** Runs a contender's thread: in each batch, workers run the statement until its number of operations is reached. */
function contend(client: Client): void {
  serve(async ({ sql, concurrency, operations, maxPauseMs }: Batch): Promise<Outcome> => {
    let left = operations;
    const tookMs: number[] = [];
    const work = async () => {
      while (left-- > 0) {
        const startMs = performance.now();
        await client.query(sql);
        tookMs.push(performance.now() - startMs);
        if (maxPauseMs > 0) await delay(Math.random() * maxPauseMs);
      }
    };
    const before = process.cpuUsage();
    const startMs = performance.now();
    await Promise.all(Array.from({ length: concurrency }, work));
    const ns = (performance.now() - startMs) * 1e6 / operations;
    const { user, system } = process.cpuUsage(before);
    return { ns, tookMs, cpuUs: (user + system) / operations };
  });
}

/** Compares the contenders for one statement and one number of workers. */
async function compareAll(
  isolates: readonly Isolate<Batch, Outcome>[],
  sql: string,
  { concurrency, maxPauseMs = 0, rounds = ROUNDS }: {
    concurrency: number;
    maxPauseMs?: number;
    rounds?: RoundOptions;
  },
): Promise<Result[]> {
  const outcomes: Outcome[][] = isolates.map(() => []);
  const contenders = isolates.map((isolate, index) => ({
    name: isolate.name.slice(isolate.name.indexOf("/") + 1),
    unit: concurrency,
    async run(operations: number) {
      const outcome = await isolate.run({ sql, concurrency, operations, maxPauseMs });
      outcomes[index]!.push(outcome);
      return outcome.ns;
    },
  }));
  for (let turn = 0; turn < WARM_UPS; turn++) { // opens the connections and compiles the code
    for (const { run } of contenders) await run(POOL_SIZE * 40);
  }
  const timings = await compare(contenders, rounds);
  return timings.map((timing, index) => {
    const timed = outcomes[index]!.slice(-rounds.rounds);
    return {
      ...timing,
      p99Ms: quantile(timed.flatMap(({ tookMs }) => tookMs), 0.99),
      cpuUs: quantile(timed.map(({ cpuUs }) => cpuUs), 0.5),
    };
  });
}

function show(title: string, results: readonly Result[]): void {
  const rows = results.map(({ name, ns, ratio, ratioSpread: [low, high], p99Ms, cpuUs }) => [
    name,
    (ns / 1000).toFixed(1),
    ratio.toFixed(2),
    `${low.toFixed(2)} to ${high.toFixed(2)}`,
    p99Ms.toFixed(2),
    cpuUs.toFixed(1),
  ]);
  table(title, ["", "us", "ratio", "quartiles", "p99, ms", "CPU, us"], rows);
}

async function main(): Promise<void> {
  console.log(`${runtimeName()}${quick ? ", quick" : ""}`);
  const results: Record<string, Result[]> = {};
  for (const [driver, clients] of Object.entries(DRIVERS)) {
    const names = Object.keys(clients());
    const isolates = names.map((name) =>
      new Isolate<Batch, Outcome>(import.meta.url, `${driver}/${name}`)
    );
    for (const [query, sql] of Object.entries(QUERIES)) {
      for (const concurrency of CONCURRENCY) {
        const title = `${driver}: ${query}, ${concurrency} at a time`;
        results[title] = await compareAll(isolates, sql, { concurrency });
        show(title, results[title]);
      }
    }
    for (const isolate of isolates) await isolate.end();
  }
  const isolates = Object.keys(onMysql2Churn(new Server("BENCH_MARIADB"))).map((name) =>
    new Isolate<Batch, Outcome>(import.meta.url, `${CHURN}/${name}`)
  );
  const title =
    `${CHURN}: SELECT 1, ${CHURN_WORKERS} at a time with pauses of up to ${MAX_PAUSE_MS} ms`;
  results[title] = await compareAll(isolates, QUERIES["SELECT 1"], {
    concurrency: CHURN_WORKERS,
    maxPauseMs: MAX_PAUSE_MS,
    rounds: CHURN_ROUNDS,
  });
  show(title, results[title]);
  for (const isolate of isolates) await isolate.end();
  finish(results);
}

if (contenderHere === undefined) {
  await main();
} else {
  const [driver = "", name = ""] = contenderHere.split("/");
  const clients = driver === CHURN
    ? onMysql2Churn(new Server("BENCH_MARIADB"))
    : DRIVERS[driver]!();
  contend(clients[name]!());
}
