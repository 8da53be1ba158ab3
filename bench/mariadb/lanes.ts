/**
 * The lanes of the drill of a replicated MariaDB: each pool as its users configure it, behind one function that runs a
 * statement, in some lanes in a transaction, and returns its one value.
 *
 * @module
 */

import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pause } from "../../lab/processes.ts";
import { type Engine, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { CLIENTS, type LaneClient } from "../failover/clients.ts";
import { type LaneTask, POOL_SIZE } from "../failover/lanes.ts";

/** The task of a lane's process, as JSON in its first argument. */
export interface MariadbTask extends LaneTask {
  /** The addresses of both servers. */
  readonly servers: readonly string[];
}

/** A lane. */
export interface MariadbLane {
  readonly name: string;
  /** Whether it has to reach the goals. */
  readonly ours?: true;
  /** The name that it reads from: the replica's, or that of both servers. Default: it writes to the primary's. */
  readonly reads?: "replica" | "both";
  /** Whether each call is a transaction that is open for a while. */
  readonly inTransaction?: true;
  /** Creates its client. */
  create(task: MariadbTask): Promise<LaneClient>;
}

/** Milliseconds for which a transaction is open. */
export const OPEN_MS = 250;

const READ_WRITE = { targetSessionAttrs: "read-write" } as const;

/** Returns the function that creates a client of the failover drill, with options. */
const like = (lane: string, options: EngineOptions = {}) => (task: MariadbTask) =>
  CLIENTS[lane]!({ ...task, options });

/** The names are computed, so that Node loads the released packages. */
const [MYSQL2, MARIADB] = [["mysql2/promise"].join(), ["mariadb"].join()];

// deno-lint-ignore no-explicit-any -- the modules are not known when types are checked
type Driver = any;

/** The method that the clients of both drivers have. */
interface Client {
  query(text: string): Promise<unknown>;
}

const TOUCH = "UPDATE counters SET n = n + 1 WHERE id = CONNECTION_ID()";

/** Returns the value of what a client of either driver returned. */
function valueOf(result: unknown): string {
  const [first] = result as readonly unknown[];
  const [row] = (Array.isArray(first) ? first : result) as readonly Record<string, unknown>[];
  return String(Object.values(row!)[0]);
}

/** Returns the function that creates an engine whose calls are transactions. */
const transactions =
  (makeAdapter: () => Promise<Driver>) =>
  async ({ host, port, user, password, database }: MariadbTask): Promise<LaneClient> => {
    const url = `mysql://${user}:${password}@${host}:${port}/${database}`;
    const engine: Engine<Client> = getDnsEngine(url, {
      adapter: await makeAdapter(),
      poolSize: POOL_SIZE,
      maxOverflow: 0,
      ...READ_WRITE,
    });
    return {
      query: (text) =>
        engine.begin(async ({ client }) => {
          const value = valueOf(await client.query(text));
          await pause(OPEN_MS);
          await client.query(TOUCH);
          return value;
        }),
    };
  };

/** All lanes. */
export const MARIADB_LANES: readonly MariadbLane[] = [
  { name: "dnspool, mysql2", create: like("dnspool with mysql2") },
  {
    name: "dnspool, mysql2, read-write",
    ours: true,
    create: like("dnspool with mysql2", READ_WRITE),
  },
  { name: "dnspool, mariadb", create: like("dnspool with mariadb") },
  {
    name: "dnspool, mariadb, read-write",
    ours: true,
    create: like("dnspool with mariadb", READ_WRITE),
  },
  {
    name: "DnsMysql2Pool, read-write",
    ours: true,
    create: like("dnspool drop-in for mysql2", READ_WRITE),
  },
  {
    name: "DnsMariadbPool, read-write",
    ours: true,
    create: like("dnspool drop-in for mariadb", READ_WRITE),
  },
  {
    name: "dnspool, mysql2, several hosts",
    ours: true,
    create: (task) =>
      CLIENTS["dnspool with mysql2"]!({
        ...task,
        hosts: task.servers,
        options: { ...READ_WRITE, leaseProbeAfter: 1 }, // no record says that a frozen primary has lost its role
      }),
  },
  {
    name: "dnspool, mysql2, transactions",
    ours: true,
    inTransaction: true,
    create: transactions(async () => mysql2Adapter((await import(MYSQL2!)).default)),
  },
  {
    name: "dnspool, mariadb, transactions",
    ours: true,
    inTransaction: true,
    create: transactions(async () => mariadbAdapter((await import(MARIADB!)).default)),
  },
  { name: "mysql2 pool", create: like("mysql2 query") },
  { name: "mariadb pool", create: like("mariadb") },
  {
    name: "mysql2 pool, transactions",
    inTransaction: true,
    async create({ host, port, user, password, database }) {
      const { default: mysql }: Driver = await import(MYSQL2!);
      const pool = mysql.createPool({
        ...{ host, port, user, password, database },
        connectionLimit: POOL_SIZE,
      });
      return {
        async query(text) {
          const connection = await pool.getConnection();
          try {
            await connection.beginTransaction();
            const value = valueOf(await connection.query(text));
            await pause(OPEN_MS);
            await connection.query(TOUCH);
            await connection.commit();
            return value;
          } catch (error) {
            await connection.rollback().catch(() => {});
            throw error;
          } finally {
            connection.release();
          }
        },
      };
    },
  },
  {
    name: "dnspool, replica's name",
    ours: true,
    reads: "replica",
    create: like("dnspool with mysql2"),
  },
  {
    name: "dnspool, both, prefer-standby",
    ours: true,
    reads: "both",
    create: like("dnspool with mariadb", { targetSessionAttrs: "prefer-standby" }),
  },
  { name: "mysql2 pool, replica's name", reads: "replica", create: like("mysql2 query") },
];
