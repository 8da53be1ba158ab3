/**
 * Connects a connection of mysql2 to an address of its host's name, and keeps track of whether that address departed.
 *
 * @module
 */

import { Socket } from "node:net";
import type { Adapter } from "../../adapters/adapter.ts";
import type { Mysql2Client } from "../../adapters/mysql2.ts";
import { ask, coreOf } from "../../adapters/mysql2/connection.ts";
import { PacketObserver } from "../../adapters/mysql2/packets.ts";
import { killQuery } from "../../adapters/shared/mysql_cancel.ts";
import { KEEPALIVE_MS } from "../../adapters/shared/socket.ts";
import { hidePassword } from "../../adapters/shared/params.ts";
import { deadline } from "../../internal/async.ts";
import type { Login } from "../../pool/connection/credentials.ts";
import type { TerminateOptions } from "../../pool/connection/close.ts";
import { type DepartureFlags, DepartureState } from "../shared/departure_state.ts";
import { toDriverError } from "../shared/driver_errors.ts";
import { ROLE_TIMEOUT_MS } from "../shared/options.ts";
import type { ChosenEndpoint, TrackedConnection, TrackedHost } from "../shared/tracked_host.ts";
import {
  type Callback,
  type ConnectionConfig,
  type CoreConnection,
  makeReusable,
  MESSAGES,
} from "./module.ts";

const FLAGS: DepartureFlags = {
  knex: { property: "__knex__disposed", value: (reason) => reason },
  // mysql2 itself reads it too, when the socket is closed.
  sequelize: {
    property: "_protocolError",
    value: (reason) =>
      Object.assign(new Error(`Connection lost: ${reason}`), {
        fatal: true,
        code: "PROTOCOL_CONNECTION_LOST",
      }),
  },
};

/** What the links of one module share, and how to reach the server of this one. */
export interface LinkParts {
  /** Tells what an error of the server means. */
  readonly classify: NonNullable<Adapter<Mysql2Client>["classify"]>;
  /** Maximum duration of a cancel on the server. */
  readonly probeTimeoutMs: number;
  /** Whether there are several hosts, or a service. */
  readonly hasSeveral: boolean;
  /** Returns whether the server refused user or password. */
  refusesLogin(error: unknown): boolean;
  /** Opens another connection to an address, with a login that takes the place of the connection's own. */
  reopen(
    address: string,
    own: { readonly chosen: ChosenEndpoint; readonly login: Login | undefined },
    signal: AbortSignal,
  ): Promise<Mysql2Client>;
}

/** The link between a connection and its tracked host. */
export class ConnectionLink implements TrackedConnection {
  /** The connection's socket, which is connected as soon as there is an address. */
  readonly socket: Socket = new Socket();
  readonly #host: TrackedHost<Mysql2Client>;
  readonly #config: ConnectionConfig;
  readonly #parts: LinkParts;
  readonly #state = new DepartureState();
  #connection: CoreConnection | undefined;
  /** The settings of the connection itself, which it reads when the server has greeted it. */
  #ownConfig: ConnectionConfig | undefined;
  /** What the option `credentials` gave. */
  #login: Login | undefined;
  /** Where the connection is opened to. */
  #chosen: ChosenEndpoint | undefined;
  #packets: PacketObserver | undefined;

  /**
   * Starts to connect the socket.
   *
   * @param host The host.
   * @param config The connection's settings.
   * @param parts What the links of the module share.
   */
  constructor(host: TrackedHost<Mysql2Client>, config: ConnectionConfig, parts: LinkParts) {
    this.#host = host;
    this.#config = config;
    this.#parts = parts;
    this.#connect();
  }

  /** The connection's option `stream`: a function, which is shown its settings. */
  readonly openSocket = ({ config }: { readonly config: ConnectionConfig }): Socket => {
    this.#ownConfig = config;
    return this.socket;
  };

  get busy(): boolean {
    return this.#packets?.idle !== true;
  }

  close(): void {
    this.#connection?.end();
  }

  terminate(reason: Error, { cancel = false }: TerminateOptions = {}): void {
    const { localPort, remoteAddress } = this.socket;
    const isRunning = cancel && this.#packets?.busy !== false;
    this.#connection?.stream.destroy(reason);
    this.socket.destroy(reason);
    if (isRunning) this.#cancel(remoteAddress!, localPort).catch(() => {});
  }

  /** Cancels the statement that was running, on the server. */
  async #cancel(address: string, localPort: number | undefined): Promise<void> {
    const connection = this.#connection;
    if (!connection?.threadId) return;
    const { probeTimeoutMs, reopen } = this.#parts;
    const host = this.#host;
    const chosen = this.#chosen!;
    await deadline(probeTimeoutMs, (signal) =>
      killQuery({
        client: connection.promise(),
        sessionId: connection.threadId!,
        localPort,
        terminated: true,
        async open() {
          const login = await host.login(chosen, signal);
          const client = await reopen(address, { chosen, login }, signal);
          return { client, localPort: coreOf(client).stream.localPort };
        },
        ask,
        close: async (client) => void await client.end(),
        terminate: (client) => coreOf(client).stream.destroy(),
      }, signal), { what: "no cancel" });
  }

  /** Notes why the connection failed. */
  noteFailure(error: unknown): void {
    if (this.#login && this.#parts.refusesLogin(error)) this.#host.forgetLogin(this.#login);
  }

  /** Attaches the connection that uses the socket. */
  attach(connection: CoreConnection): void {
    this.#connection = connection;
    makeReusable(connection.config, {
      address: () => this.#chosen?.address,
      connectTimeout: this.#config.connectTimeout,
    });
    this.#state.showOn(connection, FLAGS);
    // Without a listener, the event `error` of a connection ends the process.
    connection.on("error", (error) => this.noteFailure(error));
    this.#tellOfConnect(connection);
    const { addCommand } = connection;
    connection.addCommand = (command) => {
      this.#state.registration?.noteUse();
      return addCommand.call(connection, command);
    };
    const onOpen = () => {
      this.#packets = new PacketObserver(connection);
      this.#packets.onError((error) => this.#state.noteError(this.#parts.classify(error)));
      this.#state.registration?.noteOpened();
    };
    if ("_handshakePacket" in connection && connection._handshakePacket) onOpen();
    else connection.once("connect", onOpen);
  }

  /**
   * Tells the callbacks of `connect()` of a failure. mysql2 (3.24) leaves them without a word if a command with a callback
   * is queued, and here a command is queued for longer than there, until the address is known.
   */
  #tellOfConnect(connection: CoreConnection): void {
    const waiting = new Set<(error: unknown) => void>();
    let isClosed = false;
    const failAll = () => {
      const error = connection._fatalError ?? connectionLost();
      for (const fail of [...waiting]) fail(error);
    };
    const { connect } = connection;
    connection.connect = (callback) => {
      if (!callback) return connect.call(connection);
      const settle: Callback<unknown> = (error, value) => {
        if (waiting.delete(fail)) callback(error, value);
      };
      const fail = (error: unknown) => settle(error);
      waiting.add(fail);
      connect.call(connection, settle);
      if (isClosed) queueMicrotask(failAll);
    };
    this.socket.once("close", () => {
      isClosed = true;
      failAll();
    });
  }

  /** Connects the socket to an address that the host has now. */
  async #connect(): Promise<void> {
    const { socket } = this;
    const closed = new AbortController();
    socket.once("close", () => closed.abort(new Error("The connection is closed")));
    const { end } = socket;
    // A socket that is not connected yet would wait for that before it ends. The error is the one that mysql2 gets when
    // it goes on to log in.
    socket.end = () => socket.destroy(writeAfterEnd());
    try {
      const { connectTimeout } = this.#config;
      const chosen = await this.#host.chooseAddress(closed.signal, {
        timeoutMs: Math.min(connectTimeout || Infinity, ROLE_TIMEOUT_MS),
        // mysql2 has a timeout by default, so a timeout does not mean that the caller wants to wait for a server.
        retryUntilTimeout: false,
        closeProbe: async (probe) => void await probe.end(),
      });
      const login = await this.#host.login(chosen, closed.signal);
      socket.end = end;
      if (socket.destroyed) return this.#host.abandon();
      const { name, address, port, tlsHost } = chosen;
      this.#chosen = chosen;
      if (login) this.#logInWith(login);
      // Of the name in this form TLS checks the certificate.
      if (this.#parts.hasSeveral) Object.assign(this.#ownConfig!, { host: tlsHost, port });
      const registration = this.#state.registration = this.#host.register(this, name);
      socket.once("close", () => registration.remove());
      socket.once("error", (error) => this.#host.refresh({ address: name, error }));
      socket.once("connect", () => this.#configureSocket());
      socket.connect(port, address);
    } catch (error) {
      if (!closed.signal.aborted) socket.destroy(toDriverError(error, MESSAGES));
    }
  }

  /** Sets the login of the connection, whose handshake begins when the socket is connected. */
  #logInWith(login: Login): void {
    const config = this.#ownConfig!;
    this.#login = login;
    if (login.user !== undefined) config.user = login.user;
    config.password = login.password;
    hidePassword(config);
  }

  #configureSocket(): void {
    const { enableKeepAlive, keepAliveInitialDelay } = this.#config;
    this.socket.setNoDelay(true);
    if (enableKeepAlive) this.socket.setKeepAlive(true, keepAliveInitialDelay || KEEPALIVE_MS);
  }
}

function connectionLost(): Error {
  const message = "Connection lost: The server closed the connection.";
  return Object.assign(new Error(message), { fatal: true, code: "PROTOCOL_CONNECTION_LOST" });
}

function writeAfterEnd(): Error {
  return Object.assign(new Error("write after end"), { code: "ERR_STREAM_WRITE_AFTER_END" });
}
