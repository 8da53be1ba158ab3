/**
 * Connects a connection of mysql2 to an address of its host's name, and keeps track of whether that address departed.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { Mysql2Client } from "../../adapters/mysql2.ts";
import { ask, coreOf } from "../../adapters/mysql2/connection.ts";
import { PacketObserver } from "../../adapters/mysql2/packets.ts";
import { hidePassword } from "../../adapters/shared/params.ts";
import { KEEPALIVE_MS } from "../../adapters/shared/socket.ts";
import type { Login } from "../../pool/connection/credentials.ts";
import type { TerminateOptions } from "../../pool/connection/close.ts";
import type { DepartureFlags } from "../shared/departure_state.ts";
import { type LinkDriver, MysqlLink } from "../shared/mysql_link.ts";
import type { ChosenEndpoint, TrackedHost } from "../shared/tracked_host.ts";
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
export interface LinkParts extends Pick<LinkDriver<Mysql2Client>, "classify" | "refusesLogin"> {
  /** Maximum duration of a cancel on the server. */
  readonly probeTimeoutMs: number;
  /** Whether there are several hosts, or a service. */
  readonly hasSeveral: boolean;
  /** Opens another connection to an address, with a login that takes the place of the connection's own. */
  reopen(
    address: string,
    own: { readonly chosen: ChosenEndpoint; readonly login: Login | undefined },
    signal: AbortSignal,
  ): Promise<Mysql2Client>;
}

/** The link between a connection and its tracked host. */
export class ConnectionLink extends MysqlLink<Mysql2Client> {
  readonly #config: ConnectionConfig;
  readonly #hasSeveral: boolean;
  #connection: CoreConnection | undefined;
  /** The settings of the connection itself, which it reads when the server has greeted it. */
  #ownConfig: ConnectionConfig | undefined;
  #packets: PacketObserver | undefined;

  /**
   * Starts to connect the socket.
   *
   * @param host The host.
   * @param config The connection's settings.
   * @param parts What the links of the module share.
   */
  constructor(host: TrackedHost<Mysql2Client>, config: ConnectionConfig, parts: LinkParts) {
    const { connectTimeout, enableKeepAlive, keepAliveInitialDelay } = config;
    const { classify, refusesLogin, probeTimeoutMs } = parts;
    super(host, {
      driver: {
        messages: MESSAGES,
        classify,
        refusesLogin,
        ask,
        close: async (client) => void await client.end(),
        terminate: (client) => coreOf(client).stream.destroy(),
      },
      connectTimeout,
      probeTimeoutMs,
      configure(socket) {
        socket.setNoDelay(true);
        if (enableKeepAlive) socket.setKeepAlive(true, keepAliveInitialDelay || KEEPALIVE_MS);
      },
      async reopen(address, own, signal) {
        const client = await parts.reopen(address, own, signal);
        return { client, localPort: coreOf(client).stream.localPort };
      },
    });
    this.#config = config;
    this.#hasSeveral = parts.hasSeveral;
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
    const connection = this.#connection;
    const isRunning = cancel && this.#packets?.busy !== false;
    connection?.stream.destroy(reason);
    this.socket.destroy(reason);
    if (!isRunning || !connection?.threadId) return;
    const where = { address: remoteAddress!, localPort };
    this.cancel(connection.promise(), connection.threadId, where).catch(() => {});
  }

  protected setEndpoint({ tlsHost, port }: ChosenEndpoint): void {
    // Of the name in this form TLS checks the certificate.
    if (this.#hasSeveral) Object.assign(this.#ownConfig!, { host: tlsHost, port });
  }

  protected setLogin({ user, password }: Login): void {
    const config = this.#ownConfig!;
    if (user !== undefined) config.user = user;
    config.password = password;
    hidePassword(config);
  }

  /** Attaches the connection that uses the socket. */
  attach(connection: CoreConnection): void {
    this.#connection = connection;
    makeReusable(connection.config, {
      address: () => this.chosen?.address,
      connectTimeout: this.#config.connectTimeout,
    });
    this.state.showOn(connection, FLAGS);
    // Without a listener, the event `error` of a connection ends the process.
    connection.on("error", (error) => this.noteFailure(error));
    this.#tellOfConnect(connection);
    const { addCommand } = connection;
    connection.addCommand = (command) => {
      this.state.registration?.noteUse();
      return addCommand.call(connection, command);
    };
    const onOpen = () => {
      this.#packets = new PacketObserver(connection);
      this.#packets.onError((error) => this.noteError(error));
      this.state.registration?.noteOpened();
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
}

function connectionLost(): Error {
  const message = "Connection lost: The server closed the connection.";
  return Object.assign(new Error(message), { fatal: true, code: "PROTOCOL_CONNECTION_LOST" });
}
