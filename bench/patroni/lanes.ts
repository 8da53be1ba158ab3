/**
 * The lanes of the drill of Patroni: each pool as its users configure it, behind one function that runs a statement and
 * returns its one value.
 *
 * @module
 */

import { execFile } from "node:child_process";
import process from "node:process";
import { promisify } from "node:util";
import { dnsPostgres } from "../../drop_in/postgresjs.ts";
import { patroniLookup } from "../../examples/patroni_lookup.ts";
import type { EngineOptions } from "../../mod.ts";
import { CLIENTS, type LaneClient } from "../failover/clients.ts";
import { type LaneTask, POOL_SIZE } from "../failover/lanes.ts";

/** The task of a lane's process, as JSON in its first argument. */
export interface PatroniTask extends LaneTask {
  /** The addresses of all members. */
  readonly members: readonly string[];
  /** The URLs of their REST APIs. */
  readonly apis: readonly string[];
}

/** A lane. */
export interface PatroniLane {
  readonly name: string;
  /** Whether it has to reach the goals. */
  readonly ours?: true;
  /**
   * The event in which nothing that it asks can say that the leader has lost its role: misrouted calls and lost rows are
   * counted there, and are no missed goals.
   */
  readonly blindTo?: string;
  /** Whether it reads from replicas. Default: it writes to the leader. */
  readonly reads?: true;
  /** The proxy between it and the cluster. Default: none. */
  readonly proxy?: "PgBouncer" | "HAProxy";
  /** Creates its client. */
  create(task: PatroniTask): Promise<LaneClient>;
}

/** The name is computed, so that Node loads the released package. */
const DRIVER = ["postgres"].join();

const execute = promisify(execFile);

/** The options that docs/production.md gives an engine that writes; a frozen leader is noticed after 2 seconds and a probe. */
const WRITER: EngineOptions = { targetSessionAttrs: "read-write", leaseProbeAfter: 2 };

/** Returns the function that creates a client of the failover drill, for the task with changes. */
const like =
  (lane: string, change: (task: PatroniTask) => Partial<LaneTask> = () => ({})) =>
  (task: PatroniTask) => CLIENTS[lane]!({ ...task, ...change(task) });

/** All lanes. */
export const PATRONI_LANES: readonly PatroniLane[] = [
  { name: "dnspool", create: like("dnspool") },
  {
    name: "dnspool, read-write",
    ours: true,
    create: like("dnspool", () => ({ options: WRITER })),
  },
  {
    name: "dnspool, several hosts",
    ours: true,
    blindTo: "kill-patroni",
    create: like("dnspool", ({ members }) => ({ hosts: members, options: WRITER })),
  },
  {
    name: "dnspool, Patroni's REST API",
    ours: true,
    create: like("dnspool", ({ apis }) => ({
      host: "leader.lab",
      options: { ...WRITER, dnsLookup: patroniLookup(apis), dnsFallback: false },
    })),
  },
  {
    name: "DnsPgPool, read-write",
    ours: true,
    create: like("dnspool drop-in for pg", () => ({
      options: {
        ...WRITER,
        connectionTimeoutMillis: 30_000, // as long as an engine waits, and longer than any of the events
      } as EngineOptions,
    })),
  },
  {
    name: "dnsPostgres, read-write",
    ours: true,
    async create({ host, port, user, password, database }) {
      const { default: postgres } = await import(DRIVER);
      const sql = dnsPostgres(postgres)({
        ...{ host, port, user, password, database },
        max: POOL_SIZE,
        ...WRITER,
      });
      return { query: async (text) => String(Object.values((await sql.unsafe(text))[0]!)[0]) };
    },
  },
  { name: "pg.Pool", create: like("pg.Pool query") },
  { name: "postgres.js", create: like("postgres.js") },
  {
    name: "postgres.js, several hosts",
    async create({ members, port, user, password, database }) {
      const { default: postgres } = await import(DRIVER);
      const sql = postgres({
        ...{ user, password, database },
        host: members,
        port: members.map(() => port),
        max: POOL_SIZE,
        target_session_attrs: "primary", // its "read-write" takes standbys too
        onnotice: () => {},
      });
      return { query: async (text) => String(Object.values((await sql.unsafe(text))[0]!)[0]) };
    },
  },
  {
    name: "psql, several hosts",
    create({ members, port, user, password, database }) {
      const hosts = members.map((host) => `${host}:${port}`).join(",");
      const options = "target_session_attrs=read-write&connect_timeout=2";
      const url = `postgresql://${user}@${hosts}/${database}?${options}`;
      const env = { ...process.env, PGPASSWORD: password };
      return Promise.resolve({
        // A session per statement: it looks for the leader each time.
        query: async (text: string) =>
          (await execute("psql", [url, "-qtAc", text], { env })).stdout.trim(),
      });
    },
  },
  ...(["PgBouncer", "HAProxy"] as const).flatMap((proxy): PatroniLane[] => [
    { name: `pg.Pool behind ${proxy}`, proxy, create: like("pg.Pool query") },
    { name: `dnspool, read-write, behind ${proxy}`, proxy, create: like("dnspool read-write") },
  ]),
  { name: "dnspool, replicas", reads: true, ours: true, create: like("dnspool") },
  {
    name: "dnspool, prefer-standby",
    reads: true,
    ours: true,
    create: like("dnspool", ({ members }) => ({
      hosts: members,
      options: {
        targetSessionAttrs: "prefer-standby",
        loadBalance: "least-connections",
        leaseProbeAfter: 2,
      },
    })),
  },
];
