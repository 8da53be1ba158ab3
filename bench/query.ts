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
import { finish, quick, runtimeName, table } from "./_report.ts";
import { quantile, race, type RoundOptions, type Timing } from "./_rounds.ts";

const POOL_SIZE = 10;
const CONCURRENCY = [1, 8, 64];
const ROUNDS: RoundOptions = quick
  ? { rounds: 4, batchMs: 20, alike: true, clean: true }
  : { rounds: 21, batchMs: 100, alike: true, clean: true };
const WARM_UPS = quick ? 1 : 5;
const QUERIES = {
  "SELECT 1": "SELECT 1 AS one",
  "100 rows": "SELECT id, name, amount, made FROM bench ORDER BY id LIMIT 100",
};
const HOST = "db.internal";

/** Runs one statement, and gives its rows. */
interface Client {
  readonly name: string;
  query(sql: string): Promise<unknown>;
  end(): Promise<unknown>;
}

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
  engines<C>(adapter: Adapter<C>): Client[] {
    return [
      this.#engine("dnspool", adapter),
      this.#engine("dnspool, poolUseLifo", adapter, { poolUseLifo: true }),
    ];
  }

  #engine<C>(name: string, adapter: Adapter<C>, options: EngineOptions<C> = {}): Client {
    const url = new URL(this.#url);
    url.hostname = HOST;
    const engine = getDnsEngine(url, {
      adapter,
      dnsLookup: this.dnsLookup,
      poolSize: POOL_SIZE,
      maxOverflow: 0,
      ...options,
    });
    return {
      name,
      query: (sql) => engine.query(sql),
      end: () => engine.close(),
    };
  }
}

function onPg(where: Where): Client[] {
  const pool = new pg.Pool({ ...where.config, max: POOL_SIZE });
  const { dnsLookup } = where;
  const dropIn = new DnsPgPool(pg, { ...where.config, host: HOST, max: POOL_SIZE, dnsLookup });
  const sql = postgres({ ...where.config, max: POOL_SIZE });
  return [
    ...where.engines(pgAdapter(pg)),
    {
      name: "dnspool's drop-in",
      query: async (text) => (await dropIn.query(text)).rows,
      end: () => dropIn.end(),
    },
    {
      name: "pg.Pool",
      query: async (text) => (await pool.query(text)).rows,
      end: () => pool.end(),
    },
    { name: "postgres.js", query: (text) => sql.unsafe(text), end: () => sql.end() },
  ];
}

function onMysql2(where: Where): Client[] {
  const pool = mysql.createPool({ ...where.config, connectionLimit: POOL_SIZE });
  return [
    ...where.engines(mysql2Adapter(mysql)),
    {
      name: "mysql2's pool",
      query: async (sql) => (await pool.query(sql))[0],
      end: () => pool.end(),
    },
  ];
}

function onMariadb(where: Where): Client[] {
  const pool = mariadb.createPool({ ...where.config, connectionLimit: POOL_SIZE });
  return [
    ...where.engines(mariadbAdapter(mariadb)),
    { name: "mariadb's pool", query: (sql) => pool.query(sql), end: () => pool.end() },
  ];
}

const DRIVERS: Readonly<Record<string, () => Client[]>> = {
  "pg": () => onPg(new Where("BENCH_POSTGRES")),
  "mysql2": () => onMysql2(new Where("BENCH_MARIADB")),
  "mariadb": () => onMariadb(new Where("BENCH_MARIADB")),
};

/** So many workers run the statement, until it has been run often enough. */
async function timed(
  clients: readonly Client[],
  sql: string,
  concurrency: number,
): Promise<Result[]> {
  const tookMs: number[][] = clients.map(() => []);
  const cpuUs: number[][] = clients.map(() => []);
  const contenders = clients.map((client, index) => ({
    name: client.name,
    unit: concurrency,
    async run(operations: number) {
      let left = operations;
      const before = process.cpuUsage();
      const work = async () => {
        while (left-- > 0) {
          const startMs = performance.now();
          await client.query(sql);
          tookMs[index]!.push(performance.now() - startMs);
        }
      };
      await Promise.all(Array.from({ length: concurrency }, work));
      const { user, system } = process.cpuUsage(before);
      cpuUs[index]!.push((user + system) / operations);
    },
  }));
  for (let time = 0; time < WARM_UPS; time++) { // open, and warm, the first one no less than the last
    for (const { run } of contenders) await run(POOL_SIZE * 40);
  }
  for (const list of tookMs) list.length = 0;
  const timings = await race(contenders, ROUNDS);
  return timings.map((timing, index) => ({
    ...timing,
    p99Ms: quantile(tookMs[index]!, 0.99),
    cpuUs: quantile(cpuUs[index]!.slice(-ROUNDS.rounds), 0.5),
  }));
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

console.log(`${runtimeName()}${quick ? ", quick" : ""}`);
const results: Record<string, Result[]> = {};
for (const [driver, open] of Object.entries(DRIVERS)) {
  const clients = open();
  for (const [query, sql] of Object.entries(QUERIES)) {
    for (const concurrency of CONCURRENCY) {
      const title = `${driver}: ${query}, ${concurrency} at a time`;
      results[title] = await timed(clients, sql, concurrency);
      show(title, results[title]);
    }
  }
  for (const client of clients) await client.end();
}
finish(results);
