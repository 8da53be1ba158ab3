/**
 * The lanes of the drill of Galera: each pool as its users configure it, behind one function that runs a statement and
 * returns its one value.
 *
 * @module
 */

import type { EngineOptions } from "../../mod.ts";
import { CLIENTS, type LaneClient } from "../failover/clients.ts";
import { type LaneTask, POOL_SIZE } from "../failover/lanes.ts";

/** The task of a lane's process, as JSON in its first argument. */
export interface GaleraTask extends LaneTask {
  /** The addresses of all nodes. */
  readonly nodes: readonly string[];
}

/** A lane. */
export interface GaleraLane {
  readonly name: string;
  /** Whether it has to reach the goals. */
  readonly ours?: true;
  /** Whether its name has one address, which follows a node that is ready. Default: its name has those of all nodes. */
  readonly writer?: true;
  /** Creates its client. */
  create(task: GaleraTask): Promise<LaneClient>;
}

/** Returns the function that creates a client of the failover drill, with options. */
const like = (lane: string, options: EngineOptions = {}) => (task: GaleraTask) =>
  CLIENTS[lane]!({ ...task, options });

/** What docs/production.md says. */
const FOR_GALERA = {
  loadBalance: "round-robin",
  targetSessionAttrs: "read-write",
  poolPrePing: true,
  leaseProbeAfter: 2,
} as const;
const FOR_WRITER = { poolPrePing: true, leaseProbeAfter: 2 } as const;

/** The names are computed, so that Node loads the released packages. */
const [MYSQL2, MARIADB] = [["mysql2/promise"].join(), ["mariadb"].join()];

const common = ({ port, user, password, database }: GaleraTask) => ({
  ...{ port, user, password, database },
  connectionLimit: POOL_SIZE,
});
/** A pool cluster tries a node again after a second; without it, a node that failed is removed for good. */
const CLUSTER = { restoreNodeTimeout: 1000 };

/** All lanes. */
export const GALERA_LANES: readonly GaleraLane[] = [
  { name: "dnspool, mysql2", ours: true, create: like("dnspool with mysql2", FOR_GALERA) },
  { name: "dnspool, mariadb", ours: true, create: like("dnspool with mariadb", FOR_GALERA) },
  {
    name: "DnsMysql2Pool",
    ours: true,
    create: like("dnspool drop-in for mysql2", FOR_GALERA),
  },
  { name: "dnspool, mysql2, no options", create: like("dnspool with mysql2") },
  {
    name: "dnspool, mysql2, writer's name",
    ours: true,
    writer: true,
    create: like("dnspool with mysql2", FOR_WRITER),
  },
  {
    name: "dnspool, mariadb, writer's name",
    ours: true,
    writer: true,
    create: like("dnspool with mariadb", FOR_WRITER),
  },
  { name: "mysql2 pool", create: like("mysql2 query") },
  { name: "mysql2 pool, writer's name", writer: true, create: like("mysql2 query") },
  {
    name: "mysql2 PoolCluster",
    async create(task) {
      const { default: mysql } = await import(MYSQL2!);
      const cluster = mysql.createPoolCluster(CLUSTER);
      for (const host of task.nodes) cluster.add(host, { ...common(task), host });
      return {
        async query(text) {
          const connection = await cluster.getConnection("*", "RR");
          try {
            return valueOf((await connection.query(text))[0]);
          } finally {
            connection.release();
          }
        },
      };
    },
  },
  { name: "mariadb pool", create: like("mariadb") },
  { name: "mariadb pool, writer's name", writer: true, create: like("mariadb") },
  {
    name: "mariadb PoolCluster",
    async create(task) {
      const { default: mariadb } = await import(MARIADB!);
      const cluster = mariadb.createPoolCluster(CLUSTER);
      for (const host of task.nodes) cluster.add(host, { ...common(task), host });
      const all = cluster.of(".*", "RR"); // a regular expression
      return { query: async (text) => valueOf(await all.query(text)) };
    },
  },
];

function valueOf(rows: unknown): string {
  const [row] = rows as readonly Readonly<Record<string, unknown>>[];
  return String(Object.values(row!)[0]);
}
