/**
 * Pairs of real servers for the consumers' programs, which kill one of them.
 *
 * @module
 */

import process from "node:process";
import { freePort, loopbackPair } from "../../../lab/free_port.ts";
import { findMariadb, startMariadb } from "../../../lab/mariadb.ts";
import { startPostgres } from "../../../lab/postgres.ts";
import type { LabServer } from "../../../lab/server.ts";
import type { Task } from "./failover.ts";

/** The databases that consumers connect to. */
export type Database = "postgresql" | "mariadb";

interface Kind {
  start(location: Location): Promise<LabServer & { url(host: string): string }>;
  /** See {@linkcode Task}. */
  readonly sql: string;
  readonly signal: Task["kill"]["signal"];
}
type Location = { host: string; port: number; user: string; password: string; database: string };

const KINDS: Readonly<Record<Database, Kind>> = {
  postgresql: {
    start: startPostgres,
    sql: "SELECT host(inet_server_addr()) AS who",
    signal: "SIGQUIT",
  },
  mariadb: { start: startMariadb, sql: "SELECT @@bind_address AS who", signal: "SIGKILL" },
};

/** Returns why a server is not available; `undefined` if it is. On CI it must be. */
export function missing(database: Database): string | undefined {
  if (database === "postgresql" || process.env.CI || findMariadb()) return undefined;
  return "MariaDB is not installed";
}

/** Servers shared by consecutive programs, started when they are first needed. */
export class ServerPairs implements AsyncDisposable {
  readonly #pairs: Map<Database, Promise<Pair>> = new Map();

  /** Runs a program with a pair of servers, after restarting the server that the previous program killed. */
  async with<T>(
    database: Database,
    scheme: string,
    run: (task: Task) => Promise<T>,
  ): Promise<T> {
    const { sql, signal } = KINDS[database];
    let starting = this.#pairs.get(database);
    if (!starting) this.#pairs.set(database, starting = startPair(KINDS[database]));
    const { hosts, servers: [first, second] } = await starting;
    if (!second.running) await second.start();
    const url = first.url("db.internal").replace(/^\w+/, scheme);
    try {
      return await run({ url, hosts, sql, kill: { pid: second.pid!, signal } });
    } finally {
      await second.stop({ mode: "immediate", keep: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const starting of this.#pairs.values()) {
      const { servers } = await starting.catch(() => ({ servers: [] }));
      for (const server of servers) await server.stop({ mode: "immediate" });
    }
  }
}

interface Pair {
  readonly hosts: Task["hosts"];
  readonly servers: readonly [Awaited<ReturnType<Kind["start"]>>, LabServer];
}

async function startPair({ start }: Kind): Promise<Pair> {
  const hosts = await loopbackPair();
  const common = {
    port: await freePort(hosts),
    user: "app",
    password: "secret",
    database: "orders",
  };
  const first = await start({ ...common, host: hosts[0] });
  try {
    return { hosts, servers: [first, await start({ ...common, host: hosts[1] })] };
  } catch (error) {
    await first.stop({ mode: "immediate" });
    throw error;
  }
}
