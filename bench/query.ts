/**
 * Queries on real servers, by our engine and drop-in beside the driver's own pool: `deno task bench:query`.
 * Pools of 10, worked by 1, 8 and 64 at the same time. The servers come from `bench/query_servers.ts`.
 *
 * Ours resolves a name (answered from memory) and checks the address at each checkout; the others are given the
 * address.
 *
 * @module
 */

import process from "node:process";
import * as mariadb from "npm:mariadb@^3.5";
import mysql from "npm:mysql2@^3.24/promise";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { mariadbAdapter } from "../adapters/mariadb.ts";
import { mysql2Adapter } from "../adapters/mysql2.ts";
import { pgAdapter } from "../adapters/pg.ts";
import { DnsPgPool } from "../drop_in/pg_pool.ts";
import { type Adapter, type EngineOptions, getDnsEngine, type Lookup } from "../mod.ts";
import { contenderHere, Isolate, serve } from "./isolates.ts";
import { finish, quick, runtimeName, table } from "./report.ts";
import { quantile, race, type RoundOptions, type Timing } from "./rounds.ts";

const POOL_SIZE = 10;
const CONCURRENCY = [1, 8, 64];
const ROUNDS: RoundOptions = quick
  ? { rounds: 4, batchMs: 20, alike: true }
  : { rounds: 21, batchMs: 100, alike: true };
const WARM_UPS = quick ? 1 : 5;
const QUERIES = {
  "SELECT 1": "SELECT 1 AS one",
  "100 rows": "SELECT id, name, amount, made FROM bench ORDER BY id LIMIT 100",
};
const HOST = "db.internal";

/** Runs one statement, and gives its rows. */
interface Client {
  query(sql: string): Promise<unknown>;
}

/** A driver's clients, ours first. */
type Clients = Readonly<Record<string, () => Client>>;

/** What came of one client in one race. */
interface Result extends Timing {
  /** Of all calls: the slowest of a hundred, in milliseconds. */
  readonly p99Ms: number;
  /** This process's CPU time for one call, in microseconds: the median over the rounds. */
  readonly cpuUs: number;
}

/** A server's address, and who we are there. */
class Where {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly #url: URL;

  constructor(variable: string) {
    const text = process.env[variable];
    if (!text) throw new Error(`Cannot find a server: ${variable} has no URL`);
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

  /** Answers with the address, from memory. */
  get dnsLookup(): Lookup {
    return {
      name: "memory",
      lookup: () => Promise.resolve({ addresses: [this.host], ttl: 300 }),
    };
  }

  /** As it comes; and with the driver's own pools' order, the last to come back first: fewer sessions at work. */
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

function onPg(where: Where): Clients {
  const { config, dnsLookup } = where;
  return {
    ...where.engines(pgAdapter(pg)),
    "dnspool's drop-in"() {
      const pool = new DnsPgPool(pg, { ...config, host: HOST, max: POOL_SIZE, dnsLookup });
      return { query: async (text) => (await pool.query(text)).rows };
    },
    "pg.Pool"() {
      const pool = new pg.Pool({ ...config, max: POOL_SIZE });
      return { query: async (text) => (await pool.query(text)).rows };
    },
    "postgres.js"() {
      const sql = postgres({ ...config, max: POOL_SIZE });
      return { query: (text) => sql.unsafe(text) };
    },
  };
}

function onMysql2(where: Where): Clients {
  return {
    ...where.engines(mysql2Adapter(mysql)),
    "mysql2's pool"() {
      const pool = mysql.createPool({ ...where.config, connectionLimit: POOL_SIZE });
      return { query: async (sql) => (await pool.query(sql))[0] };
    },
  };
}

function onMariadb(where: Where): Clients {
  return {
    ...where.engines(mariadbAdapter(mariadb)),
    "mariadb's pool"() {
      const pool = mariadb.createPool({ ...where.config, connectionLimit: POOL_SIZE });
      return { query: (sql) => pool.query(sql) };
    },
  };
}

const DRIVERS: Readonly<Record<string, () => Clients>> = {
  "pg": () => onPg(new Where("BENCH_POSTGRES")),
  "mysql2": () => onMysql2(new Where("BENCH_MARIADB")),
  "mariadb": () => onMariadb(new Where("BENCH_MARIADB")),
};

/** What a contender's thread is asked for. */
interface Batch {
  readonly sql: string;
  readonly concurrency: number;
  readonly operations: number;
}

/** What it tells. */
interface Outcome {
  /** Nanoseconds for one call. */
  readonly ns: number;
  /** Of each call. */
  readonly tookMs: readonly number[];
  /** This process's CPU time for one call, in microseconds. */
  readonly cpuUs: number;
}

/** A contender's thread: so many workers run the statement, until it has been run often enough. */
function contend(client: Client): void {
  serve(async ({ sql, concurrency, operations }: Batch): Promise<Outcome> => {
    let left = operations;
    const tookMs: number[] = [];
    const work = async () => {
      while (left-- > 0) {
        const startMs = performance.now();
        await client.query(sql);
        tookMs.push(performance.now() - startMs);
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

/** One statement, run by so many workers, with each contender. */
async function timed(
  isolates: readonly Isolate<Batch, Outcome>[],
  sql: string,
  concurrency: number,
): Promise<Result[]> {
  const outcomes: Outcome[][] = isolates.map(() => []);
  const contenders = isolates.map((isolate, index) => ({
    name: isolate.name.slice(isolate.name.indexOf("/") + 1),
    unit: concurrency,
    async run(operations: number) {
      const outcome = await isolate.run({ sql, concurrency, operations });
      outcomes[index]!.push(outcome);
      return outcome.ns;
    },
  }));
  for (let time = 0; time < WARM_UPS; time++) { // open, and warm
    for (const { run } of contenders) await run(POOL_SIZE * 40);
  }
  const timings = await race(contenders, ROUNDS);
  return timings.map((timing, index) => {
    const counted = outcomes[index]!.slice(-ROUNDS.rounds);
    return {
      ...timing,
      p99Ms: quantile(counted.flatMap(({ tookMs }) => tookMs), 0.99),
      cpuUs: quantile(counted.map(({ cpuUs }) => cpuUs), 0.5),
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
  table(title, ["", "us", "times ours", "quartiles", "p99, ms", "CPU, us"], rows);
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
        results[title] = await timed(isolates, sql, concurrency);
        show(title, results[title]);
      }
    }
    for (const isolate of isolates) await isolate.end();
  }
  finish(results);
}

if (contenderHere === undefined) {
  await main();
} else {
  const [driver = "", name = ""] = contenderHere.split("/");
  contend(DRIVERS[driver]!()[name]!());
}
