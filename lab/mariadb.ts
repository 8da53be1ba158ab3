/**
 * Real MariaDB servers for tests, each on an address of its own. They leave nothing behind when they are stopped or this
 * process ends in any way. The programs must be installed: {@linkcode findMariadb} tells whether they are.
 *
 * @example
 * ```ts
 * import { freePort } from "./free_port.ts";
 * import { startMariadb } from "./mariadb.ts";
 *
 * export async function test() {
 *   await using server = await startMariadb({
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

import mysql from "npm:mysql2@^3.24/promise";
import { installedPrograms } from "./installed_programs.ts";
import { ADMIN, freshData, type MariadbPrograms } from "./mariadb_data.ts";
import type { Waiting } from "./programs.ts";
import {
  bracketed,
  credentials,
  type Kind,
  LabServer,
  launch,
  type ServerOptions,
  TLS_FILES,
  type TlsOptions,
} from "./server.ts";
import { copyTree } from "./work_dir.ts";

const INSTALLED = installedPrograms({
  what: "MariaDB",
  names: ["mariadbd", "mariadb-install-db"],
  debian: "mariadb-server",
  users: ["mysql", "_mysql"], // it refuses root
  version: ["--no-defaults", "--version"],
});

/** Returns the paths of the programs; `undefined` if this machine has none. */
export const findMariadb: () => Readonly<Record<string, string>> | undefined = INSTALLED.find;

/** Holds the programs, so that the data prepared for the first server are kept for the next. */
export const prepareMariadb: (waiting?: Waiting) => Promise<MariadbPrograms> = INSTALLED.prepare;

/** Options of {@linkcode startMariadb}. */
export interface MariadbOptions extends ServerOptions {
  /**
   * A user with all privileges but those of an administrator: `read_only` holds for it. The administrator is `root`, with
   * the same password: {@linkcode MariadbServer.adminUrl}.
   */
  user: string;
  /** The password of both, checked with mysql_native_password. */
  password: string;
  /** A database to create. Default: `"test"`. */
  database?: string | undefined;
  /** Settings for this server, as in my.cnf; `true` is `ON`, `false` is `OFF`. */
  settings?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** Makes the server offer TLS; the setting `require_secure_transport` makes it demand TLS. Default: no TLS. */
  tls?: TlsOptions | undefined;
  /** Another server, to start from a copy of its data, with its users and databases; it must be stopped meanwhile. */
  copyOf?: MariadbServer | undefined;
}

/** Settings for a fast start; data that matter would not be safe with them. */
const SETTINGS = {
  aria_log_file_size: "8M",
  aria_pagecache_buffer_size: "8M",
  innodb_autoextend_increment: 1,
  innodb_buffer_pool_dump_at_shutdown: false,
  innodb_buffer_pool_load_at_startup: false,
  innodb_buffer_pool_size: "16M",
  innodb_data_file_path: "ibdata1:4M:autoextend",
  innodb_doublewrite: false,
  innodb_flush_log_at_trx_commit: 2, // what is committed survives a kill of the process, not of the machine
  innodb_log_file_size: "4M",
  innodb_temp_data_file_path: "ibtmp1:4M:autoextend",
  innodb_use_native_aio: false, // its queues are few on a machine that many share
  key_buffer_size: "1M",
  log_warnings: 4, // connections that end without COM_QUIT, whether they had logged in or not
  max_connections: 100,
  open_files_limit: 1024,
  performance_schema: false,
  skip_name_resolve: true,
  ssl: false, // versions from 11.4 make themselves a certificate
  table_open_cache: 200,
};

/** Milliseconds that a server has to answer a question. */
const ASK_LIMIT_MS = 2000;

const KIND: Kind = {
  name: "MariaDB",
  ready: /ready for connections/,
  signals: { fast: "SIGTERM", immediate: "SIGKILL" },
};

/**
 * Starts a MariaDB server with a fresh database.
 *
 * @throws {Error} with the end of its log if it does not start; nothing is left then.
 */
export async function startMariadb(options: MariadbOptions): Promise<MariadbServer> {
  const { copyOf } = options;
  if (copyOf?.running) throw new Error(`Cannot copy the data of ${copyOf.where}: it is running`);
  const server = new MariadbServer(options, await prepareMariadb(options));
  return await launch(server, options, () => server.fill());
}

/** A MariaDB server, made by {@linkcode startMariadb}. */
export class MariadbServer extends LabServer {
  readonly #options: MariadbOptions;
  readonly #programs: MariadbPrograms;

  /** Not for callers: see {@linkcode startMariadb}. */
  constructor(options: MariadbOptions, programs: MariadbPrograms) {
    super(options, programs, KIND);
    this.#options = options;
    this.#programs = programs;
  }

  /** Returns its URL, with the password. `host` replaces the address by a name. */
  url(host: string = bracketed(this.host)): string {
    return this.#url(this.#options.user, host);
  }

  /** Returns the administrator's URL, with the password: for `SET GLOBAL read_only = ON`, for instance. */
  adminUrl(host: string = bracketed(this.host)): string {
    return this.#url(ADMIN, host);
  }

  /**
   * Runs a statement as the administrator, in a session of its own.
   *
   * @param text The statement.
   * @param limitMs Milliseconds in which it has to be answered. Default: 2000.
   * @returns Its rows; an empty array, or the driver's report, for a statement without rows.
   */
  async ask(
    text: string,
    limitMs: number = ASK_LIMIT_MS,
  ): Promise<readonly Record<string, unknown>[]> {
    const client = await mysql.createConnection({ uri: this.adminUrl(), connectTimeout: limitMs });
    client.on("error", () => {}); // it fails the statement as well
    try {
      const [rows] = await client.query({ sql: text, timeout: limitMs });
      await client.end();
      return rows as Record<string, unknown>[];
    } catch (error) {
      client.destroy(); // a server that is frozen takes no goodbye
      throw error;
    }
  }

  /** Fills the directory of its data. */
  async fill(): Promise<void> {
    const { copyOf, database = "test", tls } = this.#options;
    const { owner } = this.#programs;
    const source = copyOf?.dataDir ??
      await freshData({ ...this.#options, database }, this.#programs, flags(SETTINGS));
    await copyTree(source, this.dataDir, { owner });
    if (tls) await this.putTls(tls);
  }

  protected override command(): [string, string[]] {
    const own = {
      bind_address: this.host,
      port: this.port,
      socket: "mariadb.sock", // in the directory of the data, as the next two
      pid_file: "mariadb.pid",
      tmpdir: this.dataDir,
    };
    const all = { ...SETTINGS, ...own, ...tlsSettings(this.#options), ...this.#options.settings };
    const args = ["--no-defaults", `--datadir=${this.dataDir}`, ...flags(all)];
    return [this.#programs.program("mariadbd"), args];
  }

  #url(user: string, host: string): string {
    const { password, database = "test" } = this.#options;
    const who = credentials(user, password);
    return `mysql://${who}@${host}:${this.port}/${encodeURIComponent(database)}`;
  }
}

function tlsSettings({ tls }: MariadbOptions): Record<string, string | boolean> {
  if (!tls) return {};
  const ca = tls.ca === undefined ? {} : { ssl_ca: TLS_FILES.ca };
  return { ssl: true, ssl_cert: TLS_FILES.cert, ssl_key: TLS_FILES.key, ...ca };
}

function flags(settings: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(settings).map(([name, value]) => {
    const text = typeof value === "boolean" ? value ? "ON" : "OFF" : value;
    return `--${name}=${text}`;
  });
}
