/**
 * The process of one contender that is a driver for Node, or dnspool with one. It is a bundle beside the drivers, so that
 * the released packages are loaded; the build of dnspool is a bundle of its own.
 *
 * Usage: `client.mjs CONTENDER [BUILD]`
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import type * as Build from "./build.ts";
import { ANSWER, type ConnectResult, type ConnectTask, LOGIN } from "./task.ts";

// deno-lint-ignore no-explicit-any -- several drivers, each used in a line or two
type Driver = any;

/** Opens a connection, and resolves after the first row; `close` is not measured. */
type Connect = (task: ConnectTask) => Promise<{ close(): unknown }>;

const [name = "", build] = process.argv.slice(2);

const load = async (name: string): Promise<Driver> => {
  const module = await import(name);
  return module.default ?? module;
};

/** The engines that are kept, by their URL. */
const kept = new Map<string, Build.Engine<unknown>>();

async function dnspool(driver: "pg" | "mysql2" | "mariadb"): Promise<Connect> {
  const { getDnsEngine, clearDnsCache, ...adapters }: typeof Build = await import(build!);
  const module = await load(driver === "mysql2" ? "mysql2/promise" : driver);
  const adapter = () =>
    ({
      pg: () => adapters.pgAdapter(module),
      mysql2: () => adapters.mysql2Adapter(module),
      mariadb: () => adapters.mariadbAdapter(module),
    })[driver]() as Build.Adapter<unknown>;
  const scheme = driver === "pg" ? "postgresql" : "mysql";
  return async ({ url, keep }) => {
    if (!keep) clearDnsCache();
    const own = url.replace(/^\w+/, scheme);
    const known = kept.get(own);
    const engine = known ?? getDnsEngine(own, { adapter: adapter(), poolSize: keep ? 0 : 5 });
    if (keep) kept.set(own, engine);
    const lease = await engine.connect();
    await (lease.client as Driver).query("SELECT 1");
    return {
      async close() {
        if (keep) lease.invalidate(new Error("the benchmark opens a new one"));
        await lease.release();
        if (!keep) await engine.close();
      },
    };
  };
}

/** A single connection of a driver, to one name. */
async function single(driver: "pg" | "mysql2" | "mariadb"): Promise<Connect> {
  const module = await load(driver === "mysql2" ? "mysql2/promise" : driver);
  return async ({ hosts, port }) => {
    const where = { ...LOGIN, host: hosts[0]!, port };
    if (driver === "pg") {
      const client = new module.Client(where);
      client.on("error", () => {});
      await client.connect();
      await client.query("SELECT 1");
      return { close: () => client.end() };
    }
    const connection = await module.createConnection(where);
    await connection.query("SELECT 1");
    return { close: () => connection.end() };
  };
}

/** A cluster of pools, the way in which mysql2 and mariadb take several hosts. */
async function cluster(driver: "mysql2" | "mariadb"): Promise<Connect> {
  const module = await load(driver === "mysql2" ? "mysql2/promise" : driver);
  return async ({ hosts, port }) => {
    const pools = module.createPoolCluster();
    for (const host of hosts) pools.add(host, { ...LOGIN, host, port, connectionLimit: 1 });
    const connection = await pools.of(driver === "mysql2" ? "*" : ".*", "ORDER").getConnection();
    await connection.query("SELECT 1");
    return {
      close() {
        connection.release();
        return pools.end();
      },
    };
  };
}

async function postgresJs(): Promise<Connect> {
  const postgres = await load("postgres");
  return async ({ hosts, port, role }) => {
    const sql = postgres({
      ...LOGIN,
      host: [...hosts],
      port: hosts.map(() => port),
      max: 1,
      fetch_types: false,
      ...(role !== "any" && { target_session_attrs: role }),
    });
    await sql`SELECT 1`;
    return { close: () => sql.end({ timeout: 0 }) };
  };
}

const CONNECTS: Readonly<Record<string, () => Promise<Connect>>> = {
  "dnspool pg": () => dnspool("pg"),
  "dnspool mysql2": () => dnspool("mysql2"),
  "dnspool mariadb": () => dnspool("mariadb"),
  "pg": () => single("pg"),
  "mysql2": () => single("mysql2"),
  "mariadb": () => single("mariadb"),
  "mysql2 cluster": () => cluster("mysql2"),
  "mariadb cluster": () => cluster("mariadb"),
  "postgres.js": () => postgresJs(),
};

async function answer(connect: Connect, task: ConnectTask): Promise<ConnectResult> {
  const beganMs = performance.now();
  try {
    const { close } = await connect(task);
    const ms = performance.now() - beganMs;
    await close();
    return { ms };
  } catch (error) {
    return { error: String(error) };
  }
}

const connect = await CONNECTS[name]!();
for await (const line of createInterface({ input: process.stdin })) {
  console.log(ANSWER + JSON.stringify(await answer(connect, JSON.parse(line))));
}
process.exit(0);
