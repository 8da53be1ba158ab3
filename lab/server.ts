/**
 * What the lab's servers have in common: one process, with its children, on an address of its own, and its data in one
 * directory; gone without a trace when it is stopped or this process ends, however it ends.
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

/** Where a server listens. */
export interface ServerOptions extends Waiting {
  /** The one address that it listens on. */
  host: string;
  /** TCP port. */
  port: number;
}

/** A server's side of TLS, as PEM. */
export interface TlsOptions {
  /** Its certificate. */
  cert: string;
  /** The private key. */
  key: string;
  /** The authority that it trusts for certificates of clients. Default: none, it asks for no certificate. */
  ca?: string | undefined;
}

/** Where a server has these, in the directory of its data. */
export const TLS_FILES = { cert: "tls_cert.pem", key: "tls_key.pem", ca: "tls_ca.pem" } as const;

/** How a server is stopped. */
export interface StopOptions {
  /** "fast" ends the sessions and closes in order; "immediate" is a crash. Default: "fast". */
  mode?: "fast" | "immediate";
  /** Whether the data stays, for a `start()` later. Default: false. */
  keep?: boolean;
}

/** What sets a kind of server apart. */
export interface Kind {
  /** Its name, for messages. */
  readonly name: string;
  /** What it logs once it accepts connections. */
  readonly ready: RegExp;
  /** The signals that stop it, by the mode of the stop. */
  readonly signals: Readonly<
    Record<"fast" | "immediate", "SIGINT" | "SIGQUIT" | "SIGTERM" | "SIGKILL">
  >;
}

/** Milliseconds for a start, and for a stop, before it is given up; both take a few hundred at the most. */
const LIMIT_MS = 30_000;

/** Milliseconds for a line to come through from a server that has written it. */
const LOG_LIMIT_MS = 10_000;

/** Characters of the log that are kept. */
const LOG_LENGTH = 100_000;

/** Lines of it in the error of a start that failed. */
const LINES_TOLD = 20;

let count = 0;

/** One server. */
export abstract class LabServer implements AsyncDisposable {
  /** The address that it listens on. */
  readonly host: string;
  /** The TCP port that it listens on. */
  readonly port: number;
  /** Where its data are. */
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

  /** The id of its process, while it runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Whether its process is there, frozen or not. */
  get running(): boolean {
    return this.#process !== undefined;
  }

  /** What it is, for messages, such as `"PostgreSQL 18.4"`. */
  get title(): string {
    return `${this.#kind.name} ${this.version}`;
  }

  /** Its version, such as `"18.4"`. */
  get version(): string {
    return this.#programs.version;
  }

  /** The end of what it logged since it was started. */
  get log(): string {
    return this.#log.trim();
  }

  /**
   * Waits until its log has what `pattern` looks for: the log comes through a pipe, later than what it tells of.
   *
   * @returns The line.
   * @throws {Error} when it is not there within 10 seconds.
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

  /** Starts it on the data it has; returns when it accepts connections. */
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
    // For the guard, should we be gone before the stop.
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

  /** Stops it and removes its data, unless they are to be kept. Returns when all its processes are gone. */
  async stop({ mode = "fast", keep = false }: StopOptions = {}): Promise<void> {
    const child = this.#process;
    if (child) {
      await this.tell(child, mode);
      await this.thaw();
      if (!await withinLimit(this.#ended)) await this.kill();
    }
    if (keep || this.#removed) return;
    this.#removed = true;
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    await this.#programs[Symbol.asyncDispose]();
  }

  /** Kills all its processes at once, as a power cut would. The data stay, for a `start()` later. */
  async kill(): Promise<void> {
    const pid = this.#process?.pid;
    if (pid === undefined) return;
    const all = await stopTree(pid); // so that it makes no more children meanwhile
    for (const each of all) signalProcess(each, "SIGKILL");
    await withinLimit(this.#ended);
    while (all.some(isRunning)) await pause(2);
    this.#frozen = [];
    await rm(path.join(this.dataDir, FROZEN_FILE), { force: true });
  }

  /** Freezes all its processes: the machine still completes TCP handshakes for it, and nothing is answered. */
  async freeze(): Promise<void> {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error(`Cannot freeze ${this.where}: it is not running`);
    this.#frozen = await stopTree(pid);
    // For the guard, should we be gone before the thaw: a frozen process does not notice.
    await writeFile(path.join(this.dataDir, FROZEN_FILE), this.#frozen.join(" "));
  }

  /** Lets it go on where it was frozen. */
  async thaw(): Promise<void> {
    for (const each of this.#frozen) signalProcess(each, "SIGCONT");
    this.#frozen = [];
    await rm(path.join(this.dataDir, FROZEN_FILE), { force: true });
  }

  /** Writes a file into the directory of its data, where its settings name it without a path; only the server can read it. */
  async put(name: string, text: string): Promise<void> {
    await writeOwned(this.#programs, path.join(this.dataDir, name), text);
  }

  /**
   * Writes certificate and key, and the authority if there is one. A server that runs reads them when it is told to:
   * `SELECT pg_reload_conf()`, `FLUSH SSL`.
   */
  async putTls(tls: TlsOptions): Promise<void> {
    for (const what of ["cert", "key", "ca"] as const) {
      const text = tls[what];
      if (text !== undefined) await this.put(TLS_FILES[what], text);
    }
  }

  /** As `stop({ mode: "immediate" })`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop({ mode: "immediate" });
  }

  /** The program to start, and its arguments. */
  protected abstract command(): [program: string, args: string[]];

  /** Tells it to stop. */
  protected tell(child: ChildProcess, mode: "fast" | "immediate"): Promise<void> {
    child.kill(this.#kind.signals[mode]);
    return Promise.resolve();
  }

  /** Waits for the line of the log that says so. */
  #ready(child: ChildProcess, signal: AbortSignal | undefined): Promise<void> {
    const { name, ready } = this.#kind;
    return new Promise((resolve, reject) => {
      const fail = (reason: string) => {
        finish();
        const said = this.log.split("\n").slice(-LINES_TOLD).join("\n");
        reject(new Error(`Cannot start ${name} on ${this.where}: ${said || reason}`));
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
        this.#log = (this.#log + String(chunk)).slice(-LOG_LENGTH);
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
 * @throws whatever stopped it; the server is gone then.
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

/** An address as URLs have it. */
export function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** User and password as URLs have them. */
export function credentials(user: string, password: string): string {
  return `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
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
