/**
 * The base of the lab's servers: a process, with its children, on an address of its own, and its data in one directory. It
 * leaves nothing behind when it is stopped or this process ends in any way.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { environment, isRunning, pause, signalProcess, stopTree } from "./processes.ts";
import type { Programs, Waiting } from "./programs.ts";
import { FROZEN_FILE, SERVER_FILE, writeOwned } from "./work_dir.ts";

/** The address that a server listens on. */
export interface ServerOptions extends Waiting {
  /** The only address that it listens on. */
  host: string;
  /** TCP port. */
  port: number;
}

/** A server's TLS files, as PEM. */
export interface TlsOptions {
  /** Its certificate. */
  cert: string;
  /** The private key. */
  key: string;
  /** The authority whose client certificates it trusts. Default: none, it asks for no certificate. */
  ca?: string | undefined;
}

/** The names of these files in the directory of its data. */
export const TLS_FILES = { cert: "tls_cert.pem", key: "tls_key.pem", ca: "tls_ca.pem" } as const;

/** How a server is stopped. */
export type StopMode = "smart" | "fast" | "immediate";

type StopSignal = "SIGINT" | "SIGQUIT" | "SIGTERM" | "SIGKILL";

/** Options of {@linkcode LabServer.stop}. */
export interface StopOptions {
  /**
   * "smart" lets no client in and waits until the last one has left, as only PostgreSQL can; "fast" ends the sessions and
   * closes in order; "immediate" is a crash. Another call may go on with a harder mode meanwhile. Default: "fast".
   */
  mode?: StopMode;
  /** Whether the data are kept, for a `start()` later. Default: false. */
  keep?: boolean;
}

/** The differences between the kinds of servers. */
export interface Kind {
  /** Its name, for messages. */
  readonly name: string;
  /** The line of its log that says that it accepts connections. */
  readonly ready: RegExp;
  /** The signals that stop it, by the mode of the stop. */
  readonly signals: Readonly<Record<"fast" | "immediate", StopSignal>> & {
    readonly smart?: StopSignal;
  };
}

/** Milliseconds after which a start or a stop has failed; both take a few hundred on a quiet machine. */
const LIMIT_MS = 30_000;

/** Milliseconds that a line of the log takes at most from the server to this process. */
const LOG_LIMIT_MS = 10_000;

/** Maximum number of characters of the log that are kept. */
const MAX_LOG_LENGTH = 100_000;

/** Maximum number of its lines in the error of a start that failed. */
const MAX_ERROR_LINES = 20;

let count = 0;

/** A server. */
export abstract class LabServer implements AsyncDisposable {
  /** The address that it listens on. */
  readonly host: string;
  /** The TCP port that it listens on. */
  readonly port: number;
  /** The directory of its data. */
  readonly dataDir: string;
  readonly #kind: Kind;
  readonly #programs: Programs<never>;
  #process: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #frozen: readonly number[] = [];
  #log = "";
  #removed = false;

  protected constructor(options: ServerOptions, programs: Programs<never>, kind: Kind) {
    this.host = options.host;
    this.port = options.port;
    this.dataDir = path.join(programs.workDir, `data-${++count}`);
    this.#kind = kind;
    this.#programs = programs;
  }

  /** Host and port. */
  get address(): { host: string; port: number } {
    return { host: this.host, port: this.port };
  }

  /** Host and port, for messages. */
  get where(): string {
    return `${bracketed(this.host)}:${this.port}`;
  }

  /** The id of its process; `undefined` while it does not run. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Whether its process exists, frozen or not. */
  get running(): boolean {
    return this.#process !== undefined;
  }

  /** Name and version, for messages, such as `"PostgreSQL 18.4"`. */
  get title(): string {
    return `${this.#kind.name} ${this.version}`;
  }

  /** Its version, such as `"18.4"`. */
  get version(): string {
    return this.#programs.version;
  }

  /** The end of its log since it was started. */
  get log(): string {
    return this.#log.trim();
  }

  /**
   * Waits for a line of its log. The log comes through a pipe, later than the event that it reports.
   *
   * @param pattern Matches the line.
   * @returns The line.
   * @throws {Error} if there is none within 10 seconds.
   */
  async logged(pattern: RegExp): Promise<string> {
    const endMs = performance.now() + LOG_LIMIT_MS;
    for (;;) {
      const line = this.#log.split("\n").find((line) => pattern.test(line));
      if (line !== undefined) return line;
      if (performance.now() > endMs) {
        throw new Error(
          `Cannot find ${pattern} in the log of ${this.where} within ${
            LOG_LIMIT_MS / 1000
          } seconds:\n${this.log}`,
        );
      }
      await pause(5);
    }
  }

  /** Starts it on its data; resolves when it accepts connections. */
  async start(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#process) throw new Error(`Cannot start ${this.where}: it is running`);
    if (this.#removed) throw new Error(`Cannot start ${this.where}: its data are removed`);
    const [program, args] = this.command();
    const child = spawn(program, args, {
      cwd: this.#programs.workDir,
      env: environment(),
      detached: process.platform !== "win32",
      stdio: ["ignore", "pipe", "pipe"],
      ...this.#programs.owner,
    });
    this.#process = child;
    this.#ended = new Promise((resolve) => child.once("close", () => resolve()));
    this.#log = "";
    // For the guard, if this process ends before the stop.
    const file = path.join(this.dataDir, SERVER_FILE);
    const { immediate } = this.#kind.signals;
    if (child.pid !== undefined) writeFileSync(file, `${child.pid} ${immediate.slice(3)}\n`);
    child.once("close", () => rmSync(file, { force: true }));
    try {
      await this.#ready(child, signal);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** Stops it and removes its data, unless they are to be kept. Resolves when all its processes have ended. */
  async stop({ mode = "fast", keep = false }: StopOptions = {}): Promise<void> {
    const child = this.#process;
    if (child) {
      await this.signalStop(child, mode);
      await this.thaw();
      if (!await withinLimit(this.#ended)) await this.kill();
    }
    if (keep || this.#removed) return;
    this.#removed = true;
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    await this.#programs[Symbol.asyncDispose]();
  }

  /** Kills all its processes at once, as a power cut would. The data are kept, for a `start()` later. */
  async kill(): Promise<void> {
    const pid = this.#process?.pid;
    if (pid === undefined) return;
    const all = await stopTree(pid); // so that it starts no more children meanwhile
    for (const each of all) signalProcess(each, "SIGKILL");
    await withinLimit(this.#ended);
    while (all.some(isRunning)) await pause(2);
    this.#frozen = [];
    await rm(path.join(this.dataDir, FROZEN_FILE), { force: true });
  }

  /** Freezes all its processes: the system still completes TCP handshakes for it, and nothing is answered. */
  async freeze(): Promise<void> {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error(`Cannot freeze ${this.where}: it is not running`);
    this.#frozen = await stopTree(pid);
    // For the guard, if this process ends before the thaw.
    await writeFile(path.join(this.dataDir, FROZEN_FILE), this.#frozen.join(" "));
  }

  /** Resumes a frozen server. */
  async thaw(): Promise<void> {
    for (const each of this.#frozen) signalProcess(each, "SIGCONT");
    this.#frozen = [];
    await rm(path.join(this.dataDir, FROZEN_FILE), { force: true });
  }

  /** Writes a file, which only the server can read, into the directory of its data: its settings name it without a path. */
  async put(name: string, text: string): Promise<void> {
    await writeOwned(this.#programs, path.join(this.dataDir, name), text);
  }

  /**
   * Writes certificate and key, and the authority if there is one. A server that runs reads them after
   * `SELECT pg_reload_conf()` or `FLUSH SSL`.
   */
  async putTls(tls: TlsOptions): Promise<void> {
    for (const what of ["cert", "key", "ca"] as const) {
      const text = tls[what];
      if (text !== undefined) await this.put(TLS_FILES[what], text);
    }
  }

  /** Stops it, as `stop({ mode: "immediate" })` does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop({ mode: "immediate" });
  }

  /** Returns the program to start, and its arguments. */
  protected abstract command(): [program: string, args: string[]];

  /** Sends it the signal to stop. */
  protected signalStop(child: ChildProcess, mode: StopMode): Promise<void> {
    const signal = this.#kind.signals[mode];
    if (signal === undefined) {
      throw new Error(`Cannot stop ${this.where}: ${this.#kind.name} has no mode "${mode}"`);
    }
    // `child.kill()` of Deno 2.9 sends one signal at most.
    if (child.pid !== undefined) signalProcess(child.pid, signal);
    return Promise.resolve();
  }

  /** Waits for the line of the log that says that it accepts connections. */
  #ready(child: ChildProcess, signal: AbortSignal | undefined): Promise<void> {
    const { name, ready } = this.#kind;
    return new Promise((resolve, reject) => {
      const fail = (reason: string) => {
        finish();
        const lines = this.log.split("\n").slice(-MAX_ERROR_LINES).join("\n");
        reject(new Error(`Cannot start ${name} on ${this.where}: ${lines || reason}`));
      };
      const onAbort = () => {
        finish();
        reject(signal?.reason);
      };
      const limit = setTimeout(() => fail(`not ready in ${LIMIT_MS / 1000} seconds`), LIMIT_MS);
      let waiting = true;
      const finish = () => {
        waiting = false;
        clearTimeout(limit);
        signal?.removeEventListener("abort", onAbort);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      const onData = (chunk: unknown) => {
        this.#log = (this.#log + String(chunk)).slice(-MAX_LOG_LENGTH);
        if (!waiting || !ready.test(this.#log)) return;
        finish();
        resolve();
      };
      child.stdout?.on("data", onData);
      child.stderr?.on("data", onData);
      child.once("error", (error) => {
        this.#process = undefined;
        fail(error.message);
      });
      child.once("close", (status: number | null, death: string | null) => {
        if (this.#process === child) this.#process = undefined;
        fail(`it ended with ${status ?? death}`);
      });
    });
  }
}

/**
 * Fills the directory of a new server and starts it.
 *
 * @throws The reason why it did not start; the server is removed then.
 */
export async function launch<Server extends LabServer>(
  server: Server,
  { onProgress, signal }: Waiting,
  fill: () => Promise<void>,
): Promise<Server> {
  try {
    await fill();
    onProgress?.(`Starting ${server.title} on ${server.where}`);
    await server.start(signal);
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** Returns an address as it is written in URLs. */
export function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** Returns user and password as they are written in URLs. */
export function credentials(user: string, password: string): string {
  return `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
}

/** Waits for the end of a server; false if it takes too long. */
function withinLimit(end: Promise<void>): Promise<boolean> {
  return new Promise((resolve) => {
    const limit = setTimeout(() => resolve(false), LIMIT_MS);
    end.then(() => {
      clearTimeout(limit);
      resolve(true);
    });
  });
}
