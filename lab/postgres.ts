/**
 * Real PostgreSQL 18 servers for tests and demos, each on an address of its own. They leave nothing behind when they are
 * stopped or this process ends in any way.
 *
 * @example
 * ```ts
 * import { freePort } from "./free_port.ts";
 * import { startPostgres } from "./postgres.ts";
 *
 * export async function test() {
 *   await using server = await startPostgres({
 *     host: "127.0.0.2",
 *     port: await freePort(["127.0.0.2"]),
 *     user: "app",
 *     password: "secret",
 *   });
 * }
 * ```
 *
 * @module
 */

import type { ChildProcess } from "node:child_process";
import { rm } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { type PostgresBinaries, preparePostgres } from "./postgres_binaries.ts";
import { freshData, hbaText, makeStandby } from "./postgres_data.ts";
import { run } from "./processes.ts";
import {
  bracketed,
  credentials,
  type Kind,
  LabServer,
  launch,
  type ServerOptions,
  type StopMode,
  TLS_FILES,
  type TlsOptions,
} from "./server.ts";
import { copyTree } from "./work_dir.ts";

export { type PostgresBinaries, preparePostgres } from "./postgres_binaries.ts";

/** Options of {@linkcode startPostgres}. */
export interface PostgresOptions extends ServerOptions {
  /** The superuser. */
  user: string;
  /** The superuser's password, checked with SCRAM-SHA-256. */
  password: string;
  /** A database to create. Default: none; there is always one named `postgres`. */
  database?: string | undefined;
  /** Settings for this server, as in postgresql.conf. */
  settings?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** Makes the server offer TLS; lines of `hba` make it demand TLS. Default: no TLS. */
  tls?: TlsOptions | undefined;
  /**
   * Lines of pg_hba.conf that go before its own, which let all users in by password, such as
   * `"hostssl all all all scram-sha-256 clientcert=verify-full"` and `"hostnossl all all all reject"`. Default: none.
   */
  hba?: readonly string[] | undefined;
  /** Another server, to make this one its hot standby, from a copy of its data; it must be stopped meanwhile. */
  standbyOf?: PostgresServer | undefined;
}

/** Settings for a fast start; data that matter would not be safe with them. */
const SETTINGS = {
  autovacuum: false,
  dynamic_shared_memory_type: "mmap", // files among its data, which are removed with them after a kill
  fsync: false,
  full_page_writes: false,
  io_method: "sync", // no worker processes for it
  jit: false,
  max_connections: 100,
  max_wal_size: "64MB", // the data are in memory
  shared_buffers: "16MB",
  synchronous_commit: false,
  unix_socket_directories: "",
};

const KIND: Kind = {
  name: "PostgreSQL",
  ready: /ready to accept (read-only )?connections/,
  signals: { smart: "SIGTERM", fast: "SIGINT", immediate: "SIGQUIT" },
};

/**
 * Starts a PostgreSQL server with a fresh database.
 *
 * @throws {Error} with the end of its log if it does not start; nothing is left then.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const { standbyOf } = options;
  if (standbyOf?.running) {
    throw new Error(`Cannot copy the data of ${standbyOf.where}: it is running`);
  }
  const binaries = await preparePostgres(options);
  const server = new PostgresServer(options, binaries);
  return await launch(server, options, async () => {
    const source = standbyOf?.dataDir ?? await freshData(options, binaries);
    await copyTree(source, server.dataDir, { owner: binaries.owner });
    if (standbyOf) {
      await makeStandby(server.dataDir, { ...options, ...standbyOf.address }, binaries);
    }
    if (options.tls) await server.putTls(options.tls);
    if (options.hba) await server.put("pg_hba.conf", hbaText(options.hba));
  });
}

/** A PostgreSQL server, made by {@linkcode startPostgres}. */
export class PostgresServer extends LabServer {
  readonly #options: PostgresOptions;
  readonly #binaries: PostgresBinaries;

  /** Not for callers: see {@linkcode startPostgres}. */
  constructor(options: PostgresOptions, binaries: PostgresBinaries) {
    super(options, binaries, KIND);
    this.#options = options;
    this.#binaries = binaries;
  }

  /** Returns its URL, with the password. `host` replaces the address by a name. */
  url(host: string = bracketed(this.host)): string {
    const { user, password, database = "postgres" } = this.#options;
    const who = credentials(user, password);
    return `postgresql://${who}@${host}:${this.port}/${encodeURIComponent(database)}`;
  }

  /** Kills it as {@linkcode LabServer.kill} does, and removes the file that names its process. */
  override async kill(): Promise<void> {
    await super.kill();
    await rm(path.join(this.dataDir, "postmaster.pid"), { force: true });
  }

  protected override command(): [string, string[]] {
    const where = { listen_addresses: this.host, port: this.port };
    const all = { ...SETTINGS, ...where, ...tlsSettings(this.#options), ...this.#options.settings };
    const flags = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    return [this.#binaries.program("postgres"), ["-D", this.dataDir, ...flags]];
  }

  protected override async signalStop(
    child: ChildProcess,
    mode: StopMode,
  ): Promise<void> {
    if (process.platform !== "win32") return await super.signalStop(child, mode);
    const args = ["stop", "-D", this.dataDir, "-m", mode]; // Windows has no signals
    const { workDir: cwd, owner } = this.#binaries;
    await run(this.#binaries.program("pg_ctl"), args, { cwd, owner });
  }
}

function tlsSettings({ tls }: PostgresOptions): Record<string, string | boolean> {
  if (!tls) return {};
  const ca = tls.ca === undefined ? {} : { ssl_ca_file: TLS_FILES.ca };
  return { ssl: true, ssl_cert_file: TLS_FILES.cert, ssl_key_file: TLS_FILES.key, ...ca };
}
