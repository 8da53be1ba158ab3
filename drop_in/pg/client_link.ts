/**
 * Connects a `pg.Client` to an address of its host's name, and keeps track of whether that address departed.
 *
 * @module
 */

import type { Adapter } from "../../adapters/adapter.ts";
import { type TlsOptions, withServerName } from "../../adapters/shared/tls.ts";
import { closeConnection, type TerminateOptions } from "../../pool/connection/close.ts";
import { deadline } from "../../internal/async.ts";
import type { DepartureState } from "../shared/departure_state.ts";
import { type DriverMessages, toDriverError } from "../shared/driver_errors.ts";
import { type RawOptions, ROLE_TIMEOUT_MS } from "../shared/options.ts";
import type { TrackedConnection, TrackedHost } from "../shared/tracked_host.ts";
import type { TrackedHosts } from "../shared/tracked_hosts.ts";
import { type DropInClient, MESSAGES as POOL_MESSAGES } from "./module.ts";

/** Messages of `pg.Client`, whose only timeout is that of the connect. */
const MESSAGES: DriverMessages = { ...POOL_MESSAGES, timeout: POOL_MESSAGES.connectTimeout };

/** What the links of one module share. */
export interface SharedParts {
  readonly hosts: TrackedHosts<DropInClient>;
  /** Inspects and terminates clients that are open. */
  readonly adapter: Adapter<DropInClient>;
  /** Whether a server that refuses may be tried again until the timeout. */
  readonly retry: boolean;
}

/** What belongs to one client. */
export interface ClientParts {
  readonly given: RawOptions;
  readonly timeoutMs: number;
  readonly state: DepartureState;
  /** Calls the original `connect`. */
  connect(): Promise<unknown>;
  /** Calls the original `end`. */
  end(): unknown;
}

/** Internal properties of `pg.Client`. */
interface ClientInternals {
  connection: { ssl?: TlsOptions | boolean };
}

/** The link between a client and its tracked host. */
export class ClientLink implements TrackedConnection {
  readonly #client: DropInClient;
  readonly #shared: SharedParts;
  readonly #own: ClientParts;
  readonly #abort = new AbortController();
  #host: TrackedHost<DropInClient> | undefined;
  /** Whether the server ended this client alone. */
  #endedAlone = false;

  /**
   * @param client The client.
   * @param shared What the links of the module share.
   * @param own What belongs to the client.
   */
  constructor(client: DropInClient, shared: SharedParts, own: ClientParts) {
    this.#client = client;
    this.#shared = shared;
    this.#own = own;
    const { adapter } = shared;
    client.on("error", (error) => this.#noteFailure(error));
    adapter.onError!(client, (error) => {
      const verdict = adapter.classify!(error);
      own.state.noteError(verdict);
      if (verdict === "closed") this.#endedAlone = true;
    });
  }

  get busy(): boolean {
    return this.#shared.adapter.transactionStatus!(this.#client) !== "idle";
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

  /** Ends a `connect()` that is still choosing an address. */
  abort(): void {
    this.#abort.abort(new Error("Connection terminated"));
  }

  /** Connects the client to an address that its host's name has now. */
  async connect(): Promise<void> {
    const client = this.#client;
    const { given, state, connect } = this.#own;
    const { host: name } = client;
    const host = this.#host = this.#shared.hosts.get(client, given);
    try {
      const address = await this.#chooseAddress(host);
      const registration = state.registration = host.register(this, address);
      client.once("end", () => registration.remove());
      client.host = address;
      nameForTls(client as unknown as ClientInternals, name);
      await connect();
      registration.noteOpened();
    } catch (error) {
      this.#noteFailure(error);
      state.registration?.remove();
      throw toDriverError(error, MESSAGES);
    }
  }

  /** Notes that the server may be down, unless it answered: a refusal of this client says nothing about others. */
  #noteFailure(error: unknown): void {
    const verdict = this.#shared.adapter.classify!(error);
    const answered = verdict === undefined && typeof error === "object" && error !== null &&
      "severity" in error;
    if (this.#endedAlone || verdict === "closed" || answered) return;
    this.#host?.noteFailure();
  }

  async #chooseAddress(host: TrackedHost<DropInClient>): Promise<string> {
    const { timeoutMs } = this.#own;
    const options = {
      timeoutMs: Math.min(timeoutMs, ROLE_TIMEOUT_MS),
      // Without a timeout, a caller would never learn of the failure.
      retryUntilTimeout: timeoutMs < Infinity && this.#shared.retry,
      closeProbe: (client: DropInClient) => client.end(),
    };
    return await deadline(
      timeoutMs,
      (signal) => host.chooseAddress(signal, options),
      { signal: this.#abort.signal, what: "no connection" },
    );
  }
}

/** Makes TLS check the certificate for the name: the client's host is an address. */
function nameForTls({ connection }: ClientInternals, host: string): void {
  if (connection.ssl) {
    connection.ssl = withServerName(host, connection.ssl === true ? {} : connection.ssl);
  }
}
