/**
 * Real PostgreSQL 18 servers for tests and demos, each on an address of its own, gone without a trace when they
 * are stopped or this process ends, however it ends.
 *
 * @example
 * ```ts ignore
 * await using server = await startPostgres({
 *   host: "127.0.0.2",
 *   port: await freePort(["127.0.0.2"]),
 *   user: "app",
 *   password: "secret",
 * });
 * ```
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { type PostgresBinaries, preparePostgres, type Waiting } from "./postgres_binaries.ts";
import { freshData, makeStandby } from "./postgres_data.ts";
import { environment, isRunning, pause, run, signalProcess, stopTree } from "./processes.ts";
import { copyTree } from "./work_dir.ts";

export { type PostgresBinaries, preparePostgres } from "./postgres_binaries.ts";

/** Which server, and for whom. */
export interface PostgresOptions extends Waiting {
  /** The one address that it listens on. */
  host: string;
  /** TCP port. */
  port: number;
  /** The superuser. */
  user: string;
  /** The superuser's password, checked with SCRAM-SHA-256. */
  password: string;
  /** A database to create. Default: none; there is always one named `postgres`. */
  database?: string | undefined;
  /** Settings for this server, as in postgresql.conf. */
  settings?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** Makes this server a hot standby of that one, from a copy of its data; it must be stopped at that moment. */
  standbyOf?: PostgresServer | undefined;
}

/** How a server is stopped. */
export interface StopOptions {
  /** "fast" ends the sessions and closes in order; "immediate" is a crash. Default: "fast". */
  mode?: "fast" | "immediate";
  /** Whether the data stays, for a `start()` later. Default: false. */
  keep?: boolean;
}

/** Fast to start and of no use for data that matter. */
const SETTINGS = {
  autovacuum: false,
  fsync: false,
  full_page_writes: false,
  io_method: "sync", // no worker processes for it
  jit: false,
  max_connections: 100,
  shared_buffers: "16MB",
  synchronous_commit: false,
  unix_socket_directories: "",
};

/** Milliseconds for a start, and for a stop, before it is given up; both take a few hundred at the most. */
const LIMIT_MS = 30_000;

let count = 0;

/**
 * Starts a PostgreSQL server with a fresh database.
 *
 * @throws {Error} with the end of its log when it does not come up; nothing is left then.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const { onProgress, signal, standbyOf } = options;
  if (standbyOf?.running) {
    throw new Error(`Cannot copy the data of ${standbyOf.where}: it is running`);
  }
  const binaries = await preparePostgres({ onProgress, signal });
  const server = new PostgresServer(
    options,
    binaries,
    path.join(binaries.workDir, `data-${++count}`),
  );
  try {
    const source = standbyOf?.dataDir ?? await freshData(options, binaries);
    await copyTree(source, server.dataDir, { owner: binaries.owner, dirMode: 0o700 });
    if (standbyOf) {
      await makeStandby(server.dataDir, { ...options, ...standbyOf.address }, binaries);
    }
    onProgress?.(`Starting PostgreSQL ${binaries.version} on ${server.where}`);
    await server.start(signal);
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** One PostgreSQL server, made by {@linkcode startPostgres}. */
export class PostgresServer implements AsyncDisposable {
  /** The address that it listens on. */
  readonly host: string;
  /** The TCP port that it listens on. */
  readonly port: number;
  /** Where its data are. */
  readonly dataDir: string;
  readonly #options: PostgresOptions;
  readonly #binaries: PostgresBinaries;
  #postmaster: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #frozen: readonly number[] = [];
  #log: string[] = [];
  #removed = false;

  /** Not for callers: see {@linkcode startPostgres}. */
  constructor(options: PostgresOptions, binaries: PostgresBinaries, dataDir: string) {
    this.host = options.host;
    this.port = options.port;
    this.dataDir = dataDir;
    this.#options = options;
    this.#binaries = binaries;
  }

  /** Host and port. */
  get address(): { host: string; port: number } {
    return { host: this.host, port: this.port };
  }

  /** Host and port, for messages. */
  get where(): string {
    return `${bracketed(this.host)}:${this.port}`;
  }

  /** The process id of its postmaster, while it runs. */
  get pid(): number | undefined {
    return this.#postmaster?.pid;
  }

  /** Whether its process is there, frozen or not. */
  get running(): boolean {
    return this.#postmaster !== undefined;
  }

  /** PostgreSQL's version, such as `"18.4"`. */
  get version(): string {
    return this.#binaries.version;
  }

  /** The end of what it logged. */
  get log(): string {
    return this.#log.join("").trim();
  }

  /** Its URL, with the password. `host` puts a name in place of the address. */
  url(host: string = bracketed(this.host)): string {
    const { user, password, database = "postgres" } = this.#options;
    const who = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
    return `postgresql://${who}@${host}:${this.port}/${encodeURIComponent(database)}`;
  }

  /** Starts it on the data it has; returns when it accepts connections. */
  async start(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#postmaster) throw new Error(`Cannot start ${this.where}: it is running`);
    if (this.#removed) throw new Error(`Cannot start ${this.where}: its data are removed`);
    const postmaster = spawn(this.#binaries.program("postgres"), this.#args(), {
      cwd: this.#binaries.workDir,
      env: environment(),
      detached: process.platform !== "win32",
      stdio: ["ignore", "ignore", "pipe"],
      ...this.#binaries.owner,
    });
    this.#postmaster = postmaster;
    this.#ended = new Promise((resolve) => postmaster.once("close", () => resolve()));
    this.#log = [];
    try {
      await this.#ready(postmaster, signal);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** Stops it and removes its data, unless they are to be kept. Returns when all its processes are gone. */
  async stop({ mode = "fast", keep = false }: StopOptions = {}): Promise<void> {
    const postmaster = this.#postmaster;
    if (postmaster) {
      if (process.platform === "win32") {
        const args = ["stop", "-D", this.dataDir, "-m", mode];
        await run(this.#binaries.program("pg_ctl"), args, {
          cwd: this.#binaries.workDir,
          owner: undefined,
        });
      } else {
        postmaster.kill(mode === "fast" ? "SIGINT" : "SIGQUIT");
      }
      await this.thaw();
      if (!await withinLimit(this.#ended)) await this.kill();
    }
    if (keep || this.#removed) return;
    this.#removed = true;
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    await this.#binaries[Symbol.asyncDispose]();
  }

  /** Kills all its processes at once, as a power cut would. The data stay, for a `start()` later. */
  async kill(): Promise<void> {
    const pid = this.#postmaster?.pid;
    if (pid === undefined) return;
    const all = await stopTree(pid); // so that it makes no more children meanwhile
    for (const each of all) signalProcess(each, "SIGKILL");
    await withinLimit(this.#ended);
    while (all.some(isRunning)) await pause(2);
    this.#frozen = [];
    await rm(path.join(this.dataDir, "frozen"), { force: true });
    await rm(path.join(this.dataDir, "postmaster.pid"), { force: true });
  }

  /** Freezes all its processes: the machine still completes TCP handshakes for it, and nothing is answered. */
  async freeze(): Promise<void> {
    const pid = this.#postmaster?.pid;
    if (pid === undefined) throw new Error(`Cannot freeze ${this.where}: it is not running`);
    this.#frozen = await stopTree(pid);
    // For the guard, should we be gone before the thaw: a frozen process does not notice.
    await writeFile(path.join(this.dataDir, "frozen"), this.#frozen.join(" "));
  }

  /** Lets it go on where it was frozen. */
  async thaw(): Promise<void> {
    for (const each of this.#frozen) signalProcess(each, "SIGCONT");
    this.#frozen = [];
    await rm(path.join(this.dataDir, "frozen"), { force: true });
  }

  /** As `stop({ mode: "immediate" })`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop({ mode: "immediate" });
  }

  #args(): string[] {
    const where = { listen_addresses: this.host, port: this.port };
    const all = { ...SETTINGS, ...where, ...this.#options.settings };
    const flags = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    return ["-D", this.dataDir, ...flags];
  }

  /** Waits for the line of the log that says so. */
  #ready(postmaster: ChildProcess, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (reason: string) => {
        finish();
        reject(new Error(`Cannot start PostgreSQL on ${this.where}: ${this.log || reason}`));
      };
      const onAbort = () => {
        finish();
        reject(signal?.reason);
      };
      const limit = setTimeout(() => fail(`not ready in ${LIMIT_MS / 1000} seconds`), LIMIT_MS);
      const finish = () => {
        clearTimeout(limit);
        signal?.removeEventListener("abort", onAbort);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      postmaster.stderr?.on("data", (chunk) => {
        this.#log = [...this.#log, String(chunk)].slice(-50);
        if (!/ready to accept (read-only )?connections/.test(this.log)) return;
        finish();
        resolve();
      });
      postmaster.once("error", (error) => {
        this.#postmaster = undefined;
        fail(error.message);
      });
      postmaster.once("close", (status: number | null, death: string | null) => {
        if (this.#postmaster === postmaster) this.#postmaster = undefined;
        fail(`it ended with ${status ?? death}`);
      });
    });
  }
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** Waits for the end of a server; false when it has not come in time. */
function withinLimit(end: Promise<void>): Promise<boolean> {
  return new Promise((resolve) => {
    const limit = setTimeout(() => resolve(false), LIMIT_MS);
    end.then(() => {
      clearTimeout(limit);
      resolve(true);
    });
  });
}
