/**
 * One connection of a driver that is recorded: what its client sees, step by step, in order.
 *
 * @module
 */

import net from "node:net";
import type { Adapter, Target } from "../../adapters/adapter.ts";
import { pause } from "../../lab/processes.ts";
import { type Portrait, portraitOf } from "./portrait.ts";

/** What a connection is doing when the event comes. */
export type State = "idle" | "statement" | "transaction" | "half a result" | "login" | "none";

/** Something that a client sees. */
export interface Step {
  /**
   * - `notice`: a notice of the server;
   * - `reported`: an error of the server, as `Adapter.onError` has it;
   * - `FIN`, `RST`: the end of the socket;
   * - `closed`: the end of the connection, as `Adapter.onClose` has it;
   * - `statement`: the end of the statement that was running;
   * - `next`: the end of the statement after it;
   * - `login`: the end of a login that was under way; `connect`: of a connect after the event;
   * - `role`: a report of the server that its role has changed.
   *
   * Of a step without an end, `silent` is said as well.
   */
  readonly what: string;
  /** The error; `undefined` if there is none. */
  readonly error?: Portrait | undefined;
}

/** How a driver is made to do what the states need. */
export interface Driver {
  /** Name of the file. */
  readonly name: string;
  // deno-lint-ignore no-explicit-any -- the clients of several drivers
  readonly adapter: Adapter<any>;
  /** Arguments of a connect that report notices to a listener. */
  noticeArgs?(listener: (notice: unknown) => void): Record<string, unknown>;
  /** Reports the notices of a client. */
  // deno-lint-ignore no-explicit-any -- the clients of several drivers
  onNotice?(client: any, listener: (notice: unknown) => void): void;
}

/** Where and as whom to connect. */
export interface Login {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** The address of the client. Default: the system's choice. */
  readonly from?: string;
}

/** Milliseconds that a statement or a connect may take before it counts as silent. */
const LIMIT_MS = 4000;
/** Milliseconds without a step after which an event is over. */
const QUIET_MS = 600;

/** Called with each socket that is connected: the sessions are opened one after the other. */
let onSocket: ((socket: net.Socket) => void) | undefined;
/** The address that sockets are bound to. */
let localAddress: string | undefined;

const { connect } = net.Socket.prototype;
net.Socket.prototype.connect = function (this: net.Socket, ...args: never[]) {
  onSocket?.(this);
  if (localAddress !== undefined) Object.assign(optionsIn(args), { localAddress });
  return (connect as (...args: never[]) => net.Socket).apply(this, args);
} as typeof connect;

/** Returns the options of a connect, which the runtime may have put into an array. */
function optionsIn([first]: readonly unknown[]): object {
  return (Array.isArray(first) ? first[0] : first) as object;
}

/** The error of a limit that is over. */
const SILENT = new Error("no answer");

/** A recorded connection. */
export class Session {
  readonly driver: Driver;
  readonly login: Login;
  readonly state: State;
  readonly steps: Step[] = [];
  /** What the server calls the session. */
  id: unknown;
  // deno-lint-ignore no-explicit-any -- the clients of several drivers
  #client: any;
  #sockets: net.Socket[] = [];
  #lastMs = performance.now();
  #abort = new AbortController();
  #isOver = false;

  constructor(driver: Driver, login: Login, state: State) {
    this.driver = driver;
    this.login = login;
    this.state = state;
  }

  /** Whether nothing happened for a while. */
  get isQuiet(): boolean {
    return performance.now() - this.#lastMs > QUIET_MS;
  }

  /** Adds a step. */
  note(what: string, error?: unknown): void {
    if (this.#isOver) return;
    this.#lastMs = performance.now();
    if (error === undefined) this.steps.push({ what });
    else if (error === SILENT) this.steps.push({ what: `${what} silent` });
    else this.steps.push({ what, error: portraitOf(error, this.login) });
  }

  /** Opens the connection. Without an error, nothing is noted. */
  async open(): Promise<void> {
    const { adapter, onNotice, noticeArgs } = this.driver;
    const listener = (notice: unknown) => this.note("notice", notice);
    onSocket = (socket) => this.#watch(socket);
    localAddress = this.login.from;
    let opening: Promise<unknown>;
    try {
      opening = adapter.connect(this.login.host, this.#target(noticeArgs?.(listener)));
      // Some drivers make their socket later.
      await Promise.race([opening, pause(100)]).catch(() => {});
    } finally {
      onSocket = localAddress = undefined;
    }
    const client = this.#client = await withLimit(opening!);
    adapter.onError?.(client, (error) => this.note("reported", error));
    adapter.onClose?.(client, (error) => this.note("closed", error));
    adapter.onRoleChange?.(client, () => this.note("role"));
    onNotice?.(client, listener);
  }

  #target(connectArgs: Record<string, unknown> = {}): Target {
    const { host, port, user, password, database } = this.login;
    return {
      host,
      port,
      user,
      password,
      database,
      params: {},
      connectArgs,
      keepAlive: false,
      addresses: () => [host],
      signal: this.#abort.signal,
    };
  }

  #watch(socket: net.Socket): void {
    if (this.#sockets.includes(socket)) return;
    this.#sockets.push(socket);
    socket.once("end", () => this.note("FIN"));
    socket.once("error", (error: Error & { code?: string }) => {
      if (error.code === "ECONNRESET") this.note("RST");
      else if (error.code !== "ECONNREFUSED") this.note(`socket ${error.code}`);
    });
  }

  /** Runs a statement. */
  async ask(text: string): Promise<readonly unknown[]> {
    return await withLimit(this.driver.adapter.query!(this.#client, text));
  }

  /** Starts a statement, whose end is noted. */
  start(text: string, what = "statement"): Promise<void> {
    return this.ask(text).then(() => this.note(what), (error) => this.note(what, error));
  }

  /** Starts a statement and lets its result come to a stop after the first bytes. */
  async startHalf(text: string): Promise<void> {
    const socket = this.#sockets.at(-1);
    if (!socket) throw new Error("Cannot stop a result: the socket is unknown");
    const stopped = new Promise<void>((resolve) =>
      socket.once("data", () => {
        socket.pause();
        resolve();
      })
    );
    this.start(text);
    await withLimit(stopped);
    await pause(200);
  }

  /** Lets the rest of the result come. */
  resume(): void {
    if (this.state === "half a result") this.#sockets.at(-1)?.resume();
  }

  /** Begins a login whose end is noted; fulfilled when its socket is known. */
  async startLogin(): Promise<void> {
    this.open().then(() => this.note("login"), (error) => this.note("login", error));
    await pause(200);
  }

  /** Runs another statement, then connects again. */
  async follow(statement: string): Promise<void> {
    if (this.#client) {
      await this.start(statement, "next");
      await pause(100);
    }
    this.end();
    const again = new Session(this.driver, this.login, "none");
    await again.open().then(() => again.note("connect"), (error) => again.note("connect", error));
    this.steps.push(...again.steps);
    again.end();
  }

  /** Ends it. */
  end(): void {
    this.#isOver = true;
    try {
      if (this.#client) this.driver.adapter.terminate?.(this.#client);
    } catch { /* it has ended */ }
    this.#abort.abort(new Error("over"));
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Waits for an end, for a limited time. */
export async function withLimit<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(SILENT), LIMIT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer!);
  }
}
