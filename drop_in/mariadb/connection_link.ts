/**
 * Connects a connection of mariadb to an address of its host's name, and keeps track of whether that address departed.
 *
 * @module
 */

import type { Adapter } from "../../adapters/adapter.ts";
import { ask, dialingStream, isBusy, terminateClient } from "../../adapters/mariadb/connection.ts";
import { IN_TRANSACTION } from "../../adapters/shared/mysql_session.ts";
import { dialSocket, KEEPALIVE_MS } from "../../adapters/shared/socket.ts";
import type { Login } from "../../pool/connection/credentials.ts";
import type { TerminateOptions } from "../../pool/connection/close.ts";
import { MysqlLink } from "../shared/mysql_link.ts";
import type { ChosenEndpoint, TrackedHost } from "../shared/tracked_host.ts";
import {
  clientOf,
  type ConnectionOptions,
  type CoreConnection,
  MESSAGES,
  type Pinned,
} from "./module.ts";
import { concealPassword, makeReusable, securedFor } from "./options.ts";

/** What the links of one module share, and how to reach the server of this one. */
export interface LinkParts {
  /** The adapter of this connection's settings. */
  readonly adapter: Adapter<Pinned>;
  /** Whether there are several hosts, or a service. */
  readonly hasSeveral: boolean;
  /** Maximum duration of a cancel on the server. */
  readonly probeTimeoutMs: number;
  /** Opens another connection to an address, with a login that takes the place of the connection's own. */
  reopen(
    address: string,
    own: { readonly chosen: ChosenEndpoint; readonly login: Login | undefined },
    signal: AbortSignal,
  ): Promise<Pinned>;
}

/** The number of the status from which on a connection is open. */
const CONNECTED = 5;

/** The link between a connection and its tracked host. */
export class ConnectionLink extends MysqlLink<Pinned> {
  readonly #options: ConnectionOptions;
  readonly #hasSeveral: boolean;
  #core: CoreConnection | undefined;
  /** The client with promises, for a cancel: made while the connection has its socket. */
  #client: Pinned | undefined;

  /**
   * Starts to connect the socket.
   *
   * @param host The host.
   * @param options The connection's settings.
   * @param parts What the links of the module share.
   */
  constructor(host: TrackedHost<Pinned>, options: ConnectionOptions, parts: LinkParts) {
    const { connectTimeout, keepAliveDelay } = options;
    super(host, {
      driver: {
        messages: MESSAGES,
        classify: (error) => parts.adapter.classify!(error),
        refusesLogin: (error) => parts.adapter.refusesLogin!(error),
        ask,
        close: (client) => parts.adapter.close!(client),
        terminate: (client) => parts.adapter.terminate!(client),
      },
      connectTimeout,
      probeTimeoutMs: parts.probeTimeoutMs,
      configure(socket) {
        socket.setNoDelay(true);
        // With the option, mariadb does it.
        if (keepAliveDelay === undefined) socket.setKeepAlive(true, KEEPALIVE_MS);
      },
      async reopen(address, own, signal) {
        const client = await parts.reopen(address, own, signal);
        return { client, localPort: client.socket?.localPort };
      },
    });
    this.#options = options;
    this.#hasSeveral = parts.hasSeveral;
  }

  get busy(): boolean {
    const core = this.#core;
    return !core || isBusy(core) !== false || (core.info.status & IN_TRANSACTION) !== 0;
  }

  close(): void {
    this.#client?.end().catch(() => {});
  }

  terminate(reason: Error, { cancel = false }: TerminateOptions = {}): void {
    const { localPort, remoteAddress } = this.socket;
    const core = this.#core;
    const isRunning = cancel && core && isBusy(core) !== false;
    const sessionId = Number(core?.threadId ?? 0);
    if (core) terminateClient({ core, socket: this.socket }, reason);
    else this.socket.destroy(reason);
    if (!isRunning || !sessionId || !this.#client) return;
    const where = { address: remoteAddress!, localPort };
    this.cancel(this.#client, sessionId, where).catch(() => {});
  }

  protected setEndpoint({ tlsHost: host, port }: ChosenEndpoint): void {
    const { opts } = this.#core!;
    // Of the name in this form TLS checks the certificate.
    Object.assign(opts, securedFor(opts, host), this.#hasSeveral && { host, port });
  }

  protected setLogin({ user, password }: Login): void {
    const core = this.#core!;
    if (user !== undefined) core.opts.user = user;
    core.opts.password = password;
    concealPassword(core);
  }

  /** Takes an error that the connection logs. */
  onError(error: unknown): void {
    this.noteError(error);
  }

  /**
   * Attaches the connection that uses the socket.
   *
   * @param core The connection.
   * @param opened Fulfilled when it is open.
   */
  attach(core: CoreConnection, opened: Promise<unknown>): void {
    this.#core = core;
    const { connectTimeout } = this.#options;
    const dial = (signal: AbortSignal) => {
      const { address, port } = this.chosen!;
      return dialSocket(address, { port, keepAlive: true, signal });
    };
    makeReusable(core, dialingStream(dial), connectTimeout);
    this.state.showOn(core, {});
    const { isValid } = core;
    core.isValid = () => this.state.why === undefined && isValid.call(core);
    this.#noteUses(core);
    opened.catch((error) => this.noteFailure(error));
    opened.then(() => {
      if (!(core as { socket?: unknown }).socket) return;
      this.#client = clientOf(core);
      this.state.registration?.noteOpened();
    }, () => {});
  }

  /** Notes each command. The driver replaces the method that takes them with each change of its status. */
  #noteUses(core: CoreConnection): void {
    const target = core as unknown as { addCommand: Method; status: number };
    const noting = (take: Method): Method => (...args) => {
      if (target.status === CONNECTED) this.state.registration?.noteUse();
      return take.apply(core, args);
    };
    let addCommand = noting(target.addCommand);
    Object.defineProperty(core, "addCommand", {
      configurable: true,
      enumerable: true,
      get: () => addCommand,
      set: (next: Method) => void (addCommand = noting(next)),
    });
  }
}

type Method = (...args: unknown[]) => unknown;
