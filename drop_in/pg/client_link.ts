/**
 * Connects a `pg.Client` to an address of its host's name, and keeps track of whether that address departed.
 *
 * @module
 */

import type { Adapter } from "../../adapters/adapter.ts";
import { addServerName } from "../../adapters/pg/driver.ts";
import { followReports, reportedRoleOf } from "../../adapters/pg/protocol.ts";
import { maintenanceTimer, type Timer } from "../../internal/clock.ts";
import type { Endpoint } from "../../internal/endpoint.ts";
import { hostPort } from "../../internal/ip.ts";
import { isTimeout } from "../../internal/thrown.ts";
import type { Login } from "../../pool/connection/credentials.ts";
import { closeConnection, type TerminateOptions } from "../../pool/connection/close.ts";
import type { DepartureState } from "../shared/departure_state.ts";
import { type DriverMessages, toDriverError } from "../shared/driver_errors.ts";
import { hostKind } from "../shared/host_kind.ts";
import { type RawOptions, ROLE_TIMEOUT_MS } from "../shared/options.ts";
import type { ChosenEndpoint, TrackedConnection, TrackedHost } from "../shared/tracked_host.ts";
import type { ConnectionTarget, TrackedHosts } from "../shared/tracked_hosts.ts";
import { type DropInClient, MESSAGES as POOL_MESSAGES, setLogin } from "./module.ts";

/** Messages of `pg.Client`, whose only timeout is that of the connect. */
const MESSAGES: DriverMessages = {
  ...POOL_MESSAGES,
  timeout: "timeout expired",
  connectTimeout: "timeout expired",
};

/** What the links of one module share. */
export interface SharedParts {
  readonly hosts: TrackedHosts<DropInClient>;
  /** Inspects and terminates clients that are open. */
  readonly adapter: Adapter<DropInClient>;
  /** Whether a server that refuses may be tried again until the timeout. */
  readonly retry: boolean;
  /** Returns where to connect to; `undefined` if any address of the name will do. */
  preferredServer?(): Endpoint | undefined;
  /** Returns the servers on which clients have a session with a number. Default: those of all that are open. */
  serversOf?(sessionId: number): Endpoint[];
}

/** What belongs to one client. */
export interface ClientParts {
  readonly given: RawOptions;
  /** Several hosts, or a service; and dnspool's options for this client. */
  readonly place: Pick<ConnectionTarget, "list" | "options">;
  readonly timeoutMs: number;
  readonly state: DepartureState;
  /** Calls the original `end`. */
  end(): unknown;
}

/** The part of a client's socket that is used. */
interface DialingStream {
  connect(port: number, host: string): unknown;
  destroy(error?: Error): void;
}

/** The part of the connection below a client that is used. */
interface DialingConnection {
  readonly stream: DialingStream;
  connect(port: number, host: string): unknown;
  once(event: "end", listener: () => void): unknown;
}

/** Given to pg as the host that TLS is for: with an address, it leaves the name to its options. */
const NO_NAME = "0.0.0.0";

/** The link between a client and its tracked host. */
export class ClientLink implements TrackedConnection {
  readonly #client: DropInClient;
  readonly #shared: SharedParts;
  readonly #own: ClientParts;
  readonly #end: AbortController = new AbortController();
  #host: TrackedHost<DropInClient> | undefined;
  #limit: Timer | undefined;
  /** Whether an address is being chosen for the socket. */
  #choosing = false;
  /** Where to connect to, if it is known. */
  #wanted: Endpoint | undefined;
  /** What the option `credentials` gave. */
  #login: Login | undefined;

  /**
   * @param client The client, whose socket is not connected yet.
   * @param shared What the links of the module share.
   * @param own What belongs to the client.
   */
  constructor(client: DropInClient, shared: SharedParts, own: ClientParts) {
    this.#client = client;
    this.#shared = shared;
    this.#own = own;
    const { adapter } = shared;
    client.on("error", (error) => this.#noteFailure(error));
    client.once("connect", () => {
      this.#limit?.clear();
      if (this.#login) setLogin(client, { password: undefined });
      this.#login = undefined;
      own.state.registration?.noteOpened();
    });
    adapter.onError!(client, (error) => {
      own.state.noteError(adapter.classify!(error));
      if (this.#login && adapter.refusesLogin!(error)) this.#host!.forgetLogin(this.#login);
    });
    followReports(client);
    if (shared.hosts.wantsStandby(own.place.options)) {
      adapter.onRoleChange!(client, () => own.state.promoted = reportedRoleOf(client)!.promoted);
    }
    const connection = this.#connection;
    if (own.place.list) {
      const { connect } = connection;
      connection.connect = (port) => connect.call(connection, port, NO_NAME);
    }
    const { stream } = connection;
    const { connect } = stream;
    // The client goes through all its states by itself, whatever is called meanwhile. Only its socket waits.
    stream.connect = (port, host) => {
      stream.connect = connect;
      // A pool sets the address itself.
      if (!own.place.list && hostKind(client.host) !== "name") return stream.connect(port, host);
      this.#dial(stream);
      return stream;
    };
  }

  get busy(): boolean {
    return this.#shared.adapter.transactionStatus!(this.#client) !== "idle";
  }

  get sessionId(): number | undefined {
    return this.#client.processID ?? undefined;
  }

  close(): void {
    this.#own.end();
  }

  terminate(reason: Error, { cancel = false }: TerminateOptions = {}): void {
    const { adapter, hosts } = this.#shared;
    const { host: address } = this.#client;
    closeConnection({ client: this.#client, address, info: {} }, {
      adapter,
      how: "terminate",
      reason,
      cancelMs: cancel ? hosts.probeTimeoutMs : undefined,
    });
  }

  /** Ends a connect for which an address is being chosen: the socket cannot take a message to the server yet. */
  abort(): void {
    if (!this.#choosing) return;
    this.#end.abort();
    this.#connection.stream.destroy();
  }

  /** Makes the next connect go to a server. */
  want(server: Endpoint): void {
    this.#wanted = server;
  }

  /**
   * Returns the server that has a session, if that is another one than the client's.
   *
   * @throws {Error} if several servers have one with that number.
   */
  elsewhere(sessionId: number): Endpoint | undefined {
    const servers = this.#shared.serversOf?.(sessionId) ?? this.#host?.serversOf(sessionId) ?? [];
    if (servers.length > 1) {
      const isOnePort = new Set(servers.map(({ port }) => port)).size === 1;
      const named = servers.map(({ address, port }) =>
        isOnePort ? address : hostPort(address, port)
      )
        .join(" and ");
      throw new Error(`Cannot end what session ${sessionId} runs: ${named} have such a session`);
    }
    const [server] = servers;
    const { host, port } = this.#client;
    return server?.address === host && server.port === port ? undefined : server;
  }

  get #connection(): DialingConnection {
    return this.#client.connection as DialingConnection;
  }

  /** Connects the client's socket to an address that its host's name has now. */
  async #dial(stream: DialingStream): Promise<void> {
    const client = this.#client;
    const { given, state, timeoutMs, place } = this.#own;
    const { host: name, port, user, database } = client;
    const target = { host: name, port, user, database, ...place };
    const host = this.#host = this.#shared.hosts.get(target, given);
    const end = this.#end;
    if (timeoutMs < Infinity) {
      this.#limit = maintenanceTimer(timeoutMs, () => {
        end.abort(new DOMException("The connect timeout is over", "TimeoutError"));
      });
    }
    // The client itself has no such event if it only cancels what another one runs.
    this.#connection.once("end", () => {
      this.#limit?.clear();
      end.abort();
      // After the client's own listener, which reports the error.
      queueMicrotask(() => {
        state.registration?.remove();
        // After a connect that failed, a query would wait forever.
        if (!client._ending) Object.assign(client, { _queryable: false });
      });
    });
    this.#choosing = true;
    try {
      const chosen = await this.#chooseAddress(host);
      const login = this.#login = await host.login(chosen, end.signal);
      if (end.signal.aborted) {
        host.abandon();
        throw end.signal.reason;
      }
      this.#choosing = false;
      state.registration = host.register(this, chosen.name);
      if (login) setLogin(client, login);
      nameEndpoint(client, chosen, { isOneOfSeveral: place.list !== undefined });
      end.signal.addEventListener("abort", () => {
        if (!isTimeout(end.signal.reason)) return;
        this.#connection.stream.destroy(toDriverError(end.signal.reason, MESSAGES));
      });
      stream.connect(chosen.port, chosen.address);
    } catch (error) {
      this.#choosing = false;
      if (end.signal.aborted && !isTimeout(end.signal.reason)) return;
      this.#noteFailure(error);
      stream.destroy(toDriverError(error, MESSAGES));
    }
  }

  /** Notes that the server may be down, unless it answered: a refusal of this client says nothing about others. */
  #noteFailure(error: unknown): void {
    const verdict = this.#shared.adapter.classify!(error);
    const answered = verdict === undefined && typeof error === "object" && error !== null &&
      "severity" in error;
    if (answered) return;
    const { registration } = this.#own.state;
    this.#host?.noteFailure(registration && { address: registration.address, error });
  }

  async #chooseAddress(host: TrackedHost<DropInClient>): Promise<ChosenEndpoint> {
    const wanted = this.#wanted ?? this.#shared.preferredServer?.();
    if (wanted !== undefined) return host.endpointAt(wanted);
    const { timeoutMs } = this.#own;
    return await host.chooseAddress(this.#end.signal, {
      timeoutMs: Math.min(timeoutMs, ROLE_TIMEOUT_MS),
      // Without a timeout, a caller would never learn of the failure.
      retryUntilTimeout: timeoutMs < Infinity && this.#shared.retry,
      closeProbe: (client: DropInClient) => client.end(),
    });
  }
}

/** Shows on a client where it connects to. Of several hosts, everything that reads its parameters gets the one. */
function nameEndpoint(
  client: DropInClient,
  { address, port, host, tlsHost }: ChosenEndpoint,
  { isOneOfSeveral }: { readonly isOneOfSeveral: boolean },
): void {
  client.host = address;
  if (isOneOfSeveral) {
    client.port = port;
    Object.assign(client.connectionParameters ?? {}, { host, port });
  }
  addServerName(client, tlsHost);
}

/** Returns the server that a client is connected to. */
export function serverOf({ host, port, connectionParameters }: DropInClient): Endpoint {
  return { address: host, port, host: connectionParameters?.host ?? host };
}
