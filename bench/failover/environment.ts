/**
 * The environment of the drill: an old and a new server, a name that points to one of them, the caching resolver of the
 * operating system, and PgBouncer.
 *
 * @module
 */

import { lookup, resolveSrv } from "node:dns/promises";
import mysql from "npm:mysql2@^3.24/promise";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { freePort } from "../../lab/free_port.ts";
import { type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { ordinaryUser, pause } from "../../lab/processes.ts";
import { DnsServer } from "../../testing/mod.ts";
import { NAMESERVER } from "../namespace.ts";
import { TTL_MS } from "./figures.ts";
import { type LaneSpec, POOL_SIZE } from "./lanes.ts";

/** The name that moves. */
export const HOST = "db.internal";

/** The names of the servers themselves, which never move. */
export const SERVER_HOSTS: readonly string[] = ["db1.internal", "db2.internal", "db3.internal"];

/** The name of the SRV records. */
export const SERVICE = "_db._tcp.db.internal";

/** The addresses of the old, the new and a third server. */
const ADDRESSES = ["127.0.0.2", "127.0.0.3", "127.0.0.4"] as const;

const LOGIN = { user: "drill", password: "drill" };
const DATABASE = "drill";
const SETTINGS = { max_connections: 300 };

/** The authoritative DNS server, and the caching resolver that the operating system queries. */
export class Names implements AsyncDisposable {
  /** The contents of the record, with the times of the changes. */
  record: { fromMs: number; addresses: readonly string[] }[] = [];
  readonly #authority: DnsServer;
  readonly #cache: DnsServer;

  private constructor(authority: DnsServer, cache: DnsServer) {
    this.#authority = authority;
    this.#cache = cache;
  }

  /** Starts both servers. */
  static async start(): Promise<Names> {
    const authority = await DnsServer.start();
    for (const [index, host] of SERVER_HOSTS.entries()) {
      authority.set(host, [ADDRESSES[index]!], { ttl: TTL_MS / 1000 });
    }
    const cache = await DnsServer.start({ host: NAMESERVER, port: 53, cacheOf: authority });
    return new Names(authority, cache);
  }

  /** Points the name to addresses; returns the time. */
  pointTo(...addresses: string[]): number {
    this.#authority.set(HOST, addresses, { ttl: TTL_MS / 1000 });
    const fromMs = Date.now();
    this.record.push({ fromMs, addresses });
    return fromMs;
  }

  /** Points the SRV record to a server; returns the time. */
  pointServiceTo({ host }: Server, port: number): number {
    const target = SERVER_HOSTS[ADDRESSES.findIndex((address) => address === host)]!;
    this.#authority.set(SERVICE, { srv: [{ port, target }] }, { ttl: TTL_MS / 1000 });
    const fromMs = Date.now();
    this.record.push({ fromMs, addresses: [host] });
    return fromMs;
  }

  /** Lets each answer contain another one of the addresses; returns the time. */
  rotate(...addresses: string[]): number {
    this.#authority.set(HOST, { rotate: addresses, show: 1 }, { ttl: TTL_MS / 1000 });
    const fromMs = Date.now();
    this.record.push({ fromMs, addresses });
    return fromMs;
  }

  /** Stops answering. */
  silence(): void {
    this.#cache.fault("*", { drop: true });
  }

  /** Resumes answering. */
  answerAgain(): void {
    this.#cache.clearFaults("*");
  }

  /**
   * Waits until the caching resolver no longer shows a server.
   *
   * @param address The server's address.
   * @param isService Whether it is the SRV record that shows it.
   * @returns The time; `undefined` after 10 seconds.
   */
  async waitUntilGone(address: string, isService: boolean): Promise<number | undefined> {
    const shown = async () => {
      if (!isService) {
        return (await lookup(HOST, { family: 4, all: true })).map(({ address }) => address);
      }
      const targets = (await resolveSrv(SERVICE)).map(({ name }) => name.replace(/\.$/, ""));
      return targets.map((name) => ADDRESSES[SERVER_HOSTS.indexOf(name)]);
    };
    const untilMs = Date.now() + 10_000;
    while (Date.now() < untilMs) {
      const addresses: unknown[] = await shown().catch(() => []);
      if (addresses.length > 0 && !addresses.includes(address)) return Date.now();
      await pause(10);
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cache.close();
    await this.#authority.close();
  }
}

/** A database server of the drill. */
export interface Server {
  readonly host: string;
  /** Makes the server refuse writes, on open connections as well. */
  turnReadOnly(): Promise<void>;
  /** Starts the stopped server as a replica of `primary`. */
  restartAsReplica(primary: Server): Promise<void>;
  /** Makes a replica the primary. */
  promote(): Promise<void>;
  kill(): Promise<void>;
  freeze(): Promise<void>;
  /** Ends the sessions and shuts the server down; keeps its data. */
  stop(): Promise<void>;
}

/** The servers of one run, on the same port. */
export interface Servers {
  readonly all: readonly Server[];
  readonly port: number;
}

/** Which servers there are: independent ones, a primary and its replica, or a primary and two. */
export type ServersKind = "two" | "three" | "replica" | "cluster";

/** Starts servers and creates the table. The first one is the old primary. */
export async function startServers(
  stack: AsyncDisposableStack,
  database: LaneSpec["database"],
  kind: ServersKind,
): Promise<Servers> {
  const hosts = ADDRESSES.slice(0, kind === "three" || kind === "cluster" ? 3 : 2);
  const port = await freePort(hosts);
  const start = database === "postgres" ? postgresServers : mariadbServers;
  const replica = kind === "replica" || kind === "cluster";
  return { all: await start(stack, { hosts, port, replica }), port };
}

interface Plan {
  readonly hosts: readonly string[];
  readonly port: number;
  readonly replica: boolean;
}

async function postgresServers(stack: AsyncDisposableStack, plan: Plan): Promise<Server[]> {
  const { hosts, port, replica } = plan;
  const common = { ...LOGIN, database: DATABASE, port, settings: SETTINGS };
  const own = replica ? hosts.slice(0, 1) : hosts;
  const servers: PostgresServer[] = [];
  for (const host of own) {
    const server = stack.use(await startPostgres({ ...common, host }));
    await runOnPostgres(server, "CREATE TABLE drill (id bigserial PRIMARY KEY, note text)");
    servers.push(server);
  }
  if (replica) {
    const primary = servers[0]!;
    await primary.stop({ keep: true });
    for (const host of hosts.slice(1)) {
      servers.push(stack.use(await startPostgres({ ...common, host, standbyOf: primary })));
    }
    await primary.start();
  }
  return servers.map(postgresServer);
}

function postgresServer(server: PostgresServer): Server {
  return {
    host: server.host,
    async turnReadOnly() {
      await runOnPostgres(server, "ALTER SYSTEM SET default_transaction_read_only = on");
      await runOnPostgres(server, "SELECT pg_reload_conf()");
    },
    async restartAsReplica({ host }) {
      const info = Object.entries({ ...LOGIN, host, port: server.port });
      const text = info.map(([name, value]) => `${name}=${value}`).join(" ");
      await server.put("postgresql.auto.conf", `primary_conninfo = '${text}'\n`);
      await server.put("standby.signal", "");
      await server.start();
    },
    async promote() {
      await runOnPostgres(server, "SELECT pg_promote()");
    },
    kill: () => server.kill(),
    freeze: () => server.freeze(),
    stop: () => server.stop({ keep: true }),
  };
}

async function runOnPostgres(server: PostgresServer, sql: string): Promise<void> {
  const options = "-c default_transaction_read_only=off";
  const client = new pg.Client({ connectionString: server.url(), options });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}

async function mariadbServers(
  stack: AsyncDisposableStack,
  { hosts, port }: Plan,
): Promise<Server[]> {
  const servers: Server[] = [];
  for (const host of hosts) {
    const server = stack.use(
      await startMariadb({ ...LOGIN, database: DATABASE, port, host, settings: SETTINGS }),
    );
    await runOnMariadb(
      server,
      "CREATE TABLE drill (id bigint AUTO_INCREMENT PRIMARY KEY, note text)",
    );
    servers.push(mariadbServer(stack, server));
  }
  return servers;
}

function mariadbServer(stack: AsyncDisposableStack, server: MariadbServer): Server {
  return {
    host: server.host,
    turnReadOnly: () => runOnMariadb(server, "SET GLOBAL read_only = ON"),
    async restartAsReplica() {
      const { host, port } = server;
      const settings = { ...SETTINGS, read_only: true };
      const which = { ...LOGIN, database: DATABASE, host, port, settings, copyOf: server };
      stack.use(await startMariadb(which));
    },
    promote: () => Promise.resolve(), // it is independent
    kill: () => server.kill(),
    freeze: () => server.freeze(),
    stop: () => server.stop({ keep: true }),
  };
}

async function runOnMariadb(server: MariadbServer, sql: string): Promise<void> {
  const connection = await mysql.createConnection(server.adminUrl());
  await connection.query(sql).finally(() => connection.end());
}

/** The login and the database of the lanes. */
export const CREDENTIALS = { ...LOGIN, database: DATABASE };

/** Starts a PgBouncer that connects to the name; returns its port. */
export async function startPgbouncer(
  stack: AsyncDisposableStack,
  port: number,
  settings: Readonly<Record<string, string | number>>,
): Promise<number> {
  const own = await freePort(["127.0.0.1"]);
  const { user, password } = LOGIN;
  const all = {
    listen_addr: "127.0.0.1",
    listen_port: own,
    unix_socket_dir: "",
    auth_type: "any",
    default_pool_size: POOL_SIZE,
    ...settings,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
  const target = `host=${HOST} port=${port} user=${user} password=${password}`;
  const file = await Deno.makeTempFile({ prefix: "drill-pgbouncer-" });
  await Deno.writeTextFile(
    file,
    `[databases]\n${DATABASE} = ${target}\n[pgbouncer]\n${lines.join("\n")}\n`,
  );
  await Deno.chmod(file, 0o644);
  const child = new Deno.Command("pgbouncer", {
    args: ["-q", file],
    ...ordinaryUser(["postgres"]),
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  stack.defer(async () => {
    child.kill("SIGKILL");
    await child.status;
    await Deno.remove(file);
  });
  return own;
}

/** Returns whether PgBouncer is installed. */
export async function hasPgbouncer(): Promise<boolean> {
  try {
    return (await new Deno.Command("pgbouncer", { args: ["--version"] }).output()).success;
  } catch {
    return false;
  }
}
