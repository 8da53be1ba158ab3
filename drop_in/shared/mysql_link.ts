/**
 * Connects a connection of MySQL's family to an address of its host's name, and keeps track of whether that address
 * departed.
 *
 * @module
 */

import { Socket } from "node:net";
import type { Adapter } from "../../adapters/adapter.ts";
import { killQuery, type LocalConnection } from "../../adapters/shared/mysql_cancel.ts";
import type { Login } from "../../pool/connection/credentials.ts";
import { keepListener } from "../../adapters/shared/socket.ts";
import { deadline } from "../../internal/async.ts";
import type { TerminateOptions } from "../../pool/connection/close.ts";
import { DepartureState } from "./departure_state.ts";
import { type DriverMessages, toDriverError } from "./driver_errors.ts";
import { ROLE_TIMEOUT_MS } from "./options.ts";
import type { ChosenEndpoint, TrackedConnection, TrackedHost } from "./tracked_host.ts";

/** How to work with the connections of a driver. */
export interface LinkDriver<C> {
  /** Messages of the driver. */
  readonly messages: DriverMessages;
  /** Tells what an error of the server means. */
  readonly classify: NonNullable<Adapter<C>["classify"]>;
  /** Returns whether the server refused user or password. */
  refusesLogin(error: unknown): boolean;
  /** Runs one statement; its rows are objects. */
  ask(client: C, text: string): Promise<unknown>;
  /** Closes a connection gracefully. */
  close(client: C): Promise<void>;
  /** Closes a connection at once. */
  terminate(client: C): void;
}

/** One connection, and how to reach its server. */
export interface LinkParts<C> {
  readonly driver: LinkDriver<C>;
  /** Timeout of the connect in milliseconds; 0 for none. */
  readonly connectTimeout: number;
  /** Maximum duration of a cancel on the server. */
  readonly probeTimeoutMs: number;
  /** Makes the settings of a socket that is connected. */
  configure(socket: Socket): void;
  /** Opens another connection to an address, with a login that takes the place of the connection's own. */
  reopen(
    address: string,
    own: { readonly chosen: ChosenEndpoint; readonly login: Login | undefined },
    signal: AbortSignal,
  ): Promise<LocalConnection<C>>;
}

/** The link between a connection and its tracked host. */
export abstract class MysqlLink<C> implements TrackedConnection {
  /** The connection's socket, which is connected as soon as there is an address. */
  readonly socket: Socket = new Socket();
  /** Where the connection is opened to. */
  protected chosen: ChosenEndpoint | undefined;
  /** Whether the connection may be handed out again. */
  protected readonly state: DepartureState = new DepartureState();
  readonly #host: TrackedHost<C>;
  readonly #parts: LinkParts<C>;
  /** What the option `credentials` gave. */
  #login: Login | undefined;

  /**
   * Starts to connect the socket.
   *
   * @param host The host.
   * @param parts What the links of the module share, and the settings of this one.
   */
  constructor(host: TrackedHost<C>, parts: LinkParts<C>) {
    this.#host = host;
    this.#parts = parts;
    this.#connect();
  }

  abstract get busy(): boolean;
  abstract close(): void;
  abstract terminate(reason: Error, options?: TerminateOptions): void;
  /** Sets where the connection is opened to, before its handshake begins when the socket is connected. */
  protected abstract setEndpoint(chosen: ChosenEndpoint): void;
  /** Sets the login, likewise. */
  protected abstract setLogin(login: Login): void;

  /** Notes why the connection failed. */
  noteFailure(error: unknown): void {
    if (this.#login && this.#parts.driver.refusesLogin(error)) {
      this.#host.forgetLogin(this.#login);
    }
  }

  /** Notes an error of the server. */
  protected noteError(error: unknown): void {
    this.state.noteError(this.#parts.driver.classify(error));
  }

  /**
   * Cancels the statement that was running, on the server.
   *
   * @param client The connection, which is terminated.
   * @param sessionId ID of its session.
   * @param where Where its socket was connected to, and from.
   */
  protected async cancel(
    client: C,
    sessionId: number,
    { address, localPort }: { readonly address: string; readonly localPort: number | undefined },
  ): Promise<void> {
    const { probeTimeoutMs, reopen, driver: { ask, close, terminate } } = this.#parts;
    const host = this.#host;
    const chosen = this.chosen!;
    await deadline(probeTimeoutMs, (signal) =>
      killQuery({
        client,
        sessionId,
        localPort,
        terminated: true,
        async open() {
          const login = await host.login(chosen, signal);
          return await reopen(address, { chosen, login }, signal);
        },
        ask,
        close,
        terminate,
      }, signal), { what: "no cancel" });
  }

  /** Connects the socket to an address that the host has now. */
  async #connect(): Promise<void> {
    const { socket } = this;
    const { connectTimeout, driver, configure } = this.#parts;
    const closed = new AbortController();
    keepListener(socket, "close", () => closed.abort(new Error("The connection is closed")));
    const { end } = socket;
    // A socket that is not connected yet would wait for that before it ends. The error is the one that the driver gets
    // when it goes on to log in.
    socket.end = () => socket.destroy(writeAfterEnd());
    try {
      const chosen = await this.#host.chooseAddress(closed.signal, {
        timeoutMs: Math.min(connectTimeout || Infinity, ROLE_TIMEOUT_MS),
        // The drivers have a timeout by default, so a timeout does not mean that the caller wants to wait for a server.
        retryUntilTimeout: false,
        closeProbe: (probe) => driver.close(probe),
      });
      const login = await this.#host.login(chosen, closed.signal);
      socket.end = end;
      if (socket.destroyed) return this.#host.abandon();
      const { name, address, port } = chosen;
      this.chosen = chosen;
      this.setEndpoint(chosen);
      this.#login = login;
      if (login) this.setLogin(login);
      const registration = this.state.registration = this.#host.register(this, name);
      keepListener(socket, "close", () => registration.remove());
      socket.once("error", (error) => this.#host.refresh({ address: name, error }));
      socket.once("connect", () => configure(socket));
      socket.connect(port, address);
    } catch (error) {
      if (!closed.signal.aborted) socket.destroy(toDriverError(error, driver.messages));
    }
  }
}

function writeAfterEnd(): Error {
  return Object.assign(new Error("write after end"), { code: "ERR_STREAM_WRITE_AFTER_END" });
}
