/**
 * Connections of a library that pools by itself, each open to one address of a host name: chooses the address of a new
 * connection, and ends connections whose address departed.
 *
 * Where dnspool's own pool would retire a connection, the library's validation does: it asks the connection whether its
 * address departed.
 *
 * @module
 */

import type { TerminateOptions } from "../../pool/connection/close.ts";
import {
  CurrentAddresses,
  DepartureWatch,
  type RetiredConnection,
  RetiredConnections,
} from "../../pool/connection/departures.ts";
import { delay } from "../../internal/async.ts";
import { maintenanceTimer, now, type Timer } from "../../internal/clock.ts";
import type { Endpoint } from "../../internal/endpoint.ts";
import { hostPort } from "../../internal/ip.ts";
import { isOf, isTimeout } from "../../internal/thrown.ts";
import { type ConnectAttempt, ConnectError, ResolveError } from "../../errors.ts";
import { switchFamily } from "../../pool/connection/routes.ts";
import type { Login } from "../../pool/connection/credentials.ts";
import type { Dialer } from "../../pool/connection/dialer.ts";
import type { EngineSettings } from "../../engine/options.ts";
import type { AnswerSource } from "../../resolver/answer_source.ts";

/** A connection of the library. */
export interface TrackedConnection {
  /** Whether a statement is running on it, or a transaction is open. */
  readonly busy: boolean;
  /** The number of its session on the server, once it is known. */
  readonly sessionId?: number | undefined;
  /** Closes it gracefully. */
  close(): void;
  /** Terminates it; statements that are running reject with the reason. */
  terminate(reason: Error, options?: TerminateOptions): void;
}

/** Options of `chooseAddress()`. */
export interface ChooseOptions<C> {
  /** Timeout of the wait for a server. */
  readonly timeoutMs: number;
  /** Whether servers that refuse are tried again until the timeout; servers of another role always are. */
  readonly retryUntilTimeout: boolean;
  /** Closes a probe connection. */
  closeProbe(client: C): Promise<void>;
}

/** Interval in which connections to departed addresses are checked; those not used since the last check are closed. */
const SWEEP_INTERVAL_MS = 5000;
/** Delay before another try to find a server that fits. */
const RETRY_DELAY_MS = 250;

/** Where a connection is opened to. */
export interface ChosenEndpoint extends Endpoint {
  /** The address that the answer has for it; with several hosts, its name. */
  readonly name: string;
  /** The name that a certificate is checked for. */
  readonly tlsHost: string;
}

/** A host name, or several, while connections to it are open or being opened. */
export class TrackedHost<C> {
  readonly #answer: AnswerSource;
  readonly #dialer: Dialer<C>;
  readonly #settings: EngineSettings<C>;
  readonly #current: CurrentAddresses;
  readonly #retired: RetiredConnections;
  readonly #departures: DepartureWatch;
  readonly #onUnused: (suspect: boolean) => void;
  readonly #registrations: Set<Registration> = new Set();
  /** Number of connections for which an address is being chosen. */
  #choosing = 0;
  /** Whether a connection died or could not be opened, and no server has accepted one since. */
  #suspect: boolean;
  #stopWatching: (() => void) | undefined;
  #sweepTimer: Timer | undefined;

  /**
   * @param answer The addresses of the name; with several hosts, or a service, the names of endpoints.
   * @param settings Which address is chosen.
   * @param dialer Opens probe connections, and probes departed servers.
   * @param options `suspect`: whether the last connection to it failed. `onUnused`: called when there is no connection
   *   any more, with the same of now.
   */
  constructor(
    answer: AnswerSource,
    settings: EngineSettings<C>,
    dialer: Dialer<C>,
    { suspect, onUnused }: {
      readonly suspect: boolean;
      readonly onUnused: (suspect: boolean) => void;
    },
  ) {
    this.#suspect = suspect;
    this.#onUnused = onUnused;
    this.#answer = answer;
    this.#settings = settings;
    this.#dialer = dialer;
    this.#current = new CurrentAddresses(
      this.#answer,
      settings.lingerMs,
      (address) => this.#retire(address),
    );
    this.#retired = new RetiredConnections({
      list: (address) => this.#at(address).filter(({ departed }) => departed),
      probe: (address, signal) => dialer.probe(address, signal),
    });
    this.#departures = new DepartureWatch(settings.retireGraceMs, this.#retired);
  }

  /**
   * Chooses the address of a new connection. If there are several addresses, if the server must have a role, or if the
   * last connection died, it opens a probe connection first and chooses the address that accepted it.
   *
   * @param signal Ends the search.
   * @param options The timeout, and how to retry.
   * @returns Where to connect to.
   * @throws {ResolveError} if the name cannot be resolved.
   * @throws {ConnectError} if no address accepts a probe connection.
   */
  async chooseAddress(signal: AbortSignal, options: ChooseOptions<C>): Promise<ChosenEndpoint> {
    this.#choosing++;
    // While an address is chosen, too: of several hosts, those that do not resolve are asked for again.
    this.#stopWatching ??= this.#watch();
    const failures: unknown[] = [];
    try {
      const address = await this.#choose(signal, failures, options);
      this.#choosing--;
      return this.#endpointOf(address); // the caller registers its connection next
    } catch (error) {
      this.#choosing--;
      this.#checkUnused();
      // Of a timeout, the last failure before it is the reason.
      throw isTimeout(error) && error === signal.reason ? failures.pop() ?? error : error;
    }
  }

  async #choose(
    signal: AbortSignal,
    failures: unknown[],
    { timeoutMs, retryUntilTimeout, closeProbe }: ChooseOptions<C>,
  ): Promise<string> {
    const endMs = now() + timeoutMs;
    const always = this.#settings.connectRetry === "always";
    for (;;) {
      if (!this.#answer.isFresh()) {
        try {
          await this.#answer.waitUntilFresh(signal);
        } catch (error) {
          signal.throwIfAborted();
          failures[0] = error;
          const isFinal = !always || isOf(error, ResolveError) && error.kind === "config";
          if (isFinal || now() + RETRY_DELAY_MS >= endMs) throw error;
          await delay(RETRY_DELAY_MS, signal);
          this.#answer.refresh();
          continue;
        }
      }
      const addresses = this.#answer.inOrder?.() ?? this.#answer.addresses;
      const retry = always || retryUntilTimeout && this.#suspect;
      if (addresses.length === 1 && this.#settings.targetSessionAttrs === "any" && !retry) {
        return addresses[0]!;
      }
      try {
        const { client, address } = await this.#dialer.dial(addresses, signal);
        this.#dialer.uncount(address);
        this.#suspect = false;
        closeProbe(client).catch(() => {});
        return address;
      } catch (error) {
        signal.throwIfAborted();
        failures[0] = error;
        const attempts = isOf(error, ConnectError) ? error.attempts : [];
        if (await switchFamily(this.#answer, attempts, signal)) continue;
        // If all of them departed meanwhile, the failure says nothing about the new ones, which are tried at once.
        if (addresses.length > 0 && !addresses.some((one) => this.isCurrent(one))) continue;
        this.#answer.refresh();
        if (!this.#dialer.errors.isTransient(error, retry) || now() + RETRY_DELAY_MS >= endMs) {
          throw error;
        }
        await delay(RETRY_DELAY_MS, signal);
      }
    }
  }

  /**
   * Returns the login of a new connection; `undefined` if the connection's own options have it.
   *
   * @param endpoint Where it is opened to.
   * @param signal Ends the wait.
   * @throws {CredentialsError} if the option `credentials` gives none.
   */
  async login(endpoint: Endpoint, signal: AbortSignal): Promise<Login | undefined> {
    this.#choosing++;
    try {
      const login = await this.#dialer.destination.login(endpoint, signal);
      this.#choosing--;
      return login; // the caller registers its connection next
    } catch (error) {
      this.#choosing--;
      this.#checkUnused();
      throw error;
    }
  }

  /** Forgets a login that the server refused. */
  forgetLogin(refused: Login): void {
    this.#dialer.destination.forgetLogin(refused);
  }

  /** Returns an endpoint that was chosen otherwise, by the name that the answer has for it. */
  endpointAt({ address, port, host }: Endpoint): ChosenEndpoint {
    const known = this.#answer.addresses.map((name) => this.#endpointOf(name));
    const found = known.find((one) => one.address === address && one.port === port);
    return found ??
      { ...this.#dialer.destination.describe({ address, port, host }), address, port, host };
  }

  #endpointOf(name: string): ChosenEndpoint {
    const endpoint = this.#dialer.destination.endpointOf(name);
    return { ...this.#dialer.destination.describe(endpoint), ...endpoint };
  }

  /** Notes that no connection is opened to the address that was chosen for it. */
  abandon(): void {
    this.#checkUnused();
  }

  /** Registers a connection that is being opened to an address. The name is watched while one is registered. */
  register(connection: TrackedConnection, address: string): Registration {
    this.#stopWatching ??= this.#watch();
    const registration = new Registration(connection, address, this);
    this.#registrations.add(registration);
    return registration;
  }

  /** Removes a connection that was closed. */
  unregister(registration: Registration): void {
    if (this.#registrations.delete(registration)) this.#checkUnused();
  }

  /** Returns the servers on which connections have a session with a number. */
  serversOf(sessionId: number): Endpoint[] {
    const all = [...this.#registrations].filter(({ connection }) =>
      connection.sessionId === sessionId
    );
    const names = new Set(all.map(({ address }) => address));
    return distinctServers([...names].map((name) => this.#dialer.destination.endpointOf(name)));
  }

  /**
   * Asks DNS before the answer expires.
   *
   * @param failed A connection attempt that failed: if there is no route to its address, the other family is asked for.
   */
  refresh(failed?: ConnectAttempt): void {
    this.#answer.refresh();
    if (failed) switchFamily(this.#answer, [failed], new AbortController().signal).catch(() => {});
  }

  /**
   * Notes that a connection died or could not be opened: the next ones are preceded by a probe connection.
   *
   * @param failed The attempt, if it could not be opened.
   */
  noteFailure(failed?: ConnectAttempt): void {
    this.#suspect = true;
    this.refresh(failed);
  }

  /** Notes that a server failed a connection that was open: its address is tried after the others for a while. */
  suspect(address: string): void {
    this.#dialer.suspect(address);
  }

  /** Notes that a server accepted a connection. */
  noteSuccess(): void {
    this.#suspect = false;
  }

  /** Returns whether the name has an address, or lets it linger. */
  isCurrent(address: string): boolean {
    return this.#current.isCurrent(address);
  }

  /** Watches the server at a departed address while connections to it are busy. */
  watchServer(address: string): void {
    this.#departures.watch(address);
  }

  #watch(): () => void {
    const unwatch = this.#answer.watch({ onChange: (change) => this.#current.update(change) });
    const stopRefreshing = this.#settings.refreshAhead ? this.#answer.keepFresh() : () => {};
    return () => {
      unwatch();
      stopRefreshing();
      this.#current.clear();
      this.#departures.clear();
      this.#sweepTimer?.clear();
      this.#sweepTimer = undefined;
    };
  }

  #checkUnused(): void {
    if (this.#choosing > 0 || this.#registrations.size > 0) return;
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    this.#onUnused(this.#suspect);
  }

  #at(address: string): Registration[] {
    return [...this.#registrations].filter((registration) => registration.address === address);
  }

  #retire(address: string): void {
    this.#dialer.abortAttempts(address);
    for (const registration of this.#at(address)) {
      registration.retiredAtMs = now();
      registration.usesAtSweep = registration.uses;
      if (registration.opening) registration.connection.terminate(departedEarly(address));
    }
    if (this.#retired.oldestMs(address) !== undefined) this.#departures.watch(address);
    this.#scheduleSweep();
  }

  #scheduleSweep(): void {
    this.#sweepTimer ??= maintenanceTimer(SWEEP_INTERVAL_MS, () => this.#sweep());
  }

  /** Closes connections to departed addresses that the library keeps without using them. */
  #sweep(): void {
    this.#sweepTimer = undefined;
    for (const registration of this.#registrations) {
      const { connection, departed, uses, usesAtSweep } = registration;
      if (!departed) continue;
      this.#scheduleSweep();
      if (!connection.busy && uses === usesAtSweep) connection.close();
      registration.usesAtSweep = registration.uses;
    }
  }
}

/** The part of a host that its registrations use. */
type RegistrationHost = Pick<
  TrackedHost<unknown>,
  "isCurrent" | "noteSuccess" | "refresh" | "suspect" | "unregister" | "watchServer"
>;

/** A connection that is registered with its host. */
export class Registration implements RetiredConnection {
  /** Whether the connection is still being opened. */
  opening = true;
  /** When the address departed last; `Infinity` if it never did. */
  retiredAtMs: number = Infinity;
  /** Number of times the connection was used. */
  uses = 0;
  /** `uses` when the last sweep looked. */
  usesAtSweep = 0;
  readonly #host: RegistrationHost;

  /**
   * @param connection The connection.
   * @param address The address that it is open to.
   * @param host Its host.
   */
  constructor(
    readonly connection: TrackedConnection,
    readonly address: string,
    host: RegistrationHost,
  ) {
    this.#host = host;
  }

  /** Whether a statement is running on the connection, or a transaction is open. */
  get busy(): boolean {
    return this.connection.busy;
  }

  /** Terminates the connection; statements that are running reject with the reason. */
  terminate(reason: Error, options?: TerminateOptions): void {
    this.connection.terminate(reason, options);
  }

  /** Whether the host no longer has the address: by what is known now, whatever timers do. */
  get departed(): boolean {
    return !this.#host.isCurrent(this.address);
  }

  /** Notes that the connection is open. */
  noteOpened(): void {
    this.opening = false;
    this.#host.noteSuccess();
  }

  /** Notes that the connection is being used. If its address departed, the server there is watched. */
  noteUse(): void {
    this.uses++;
    if (this.departed) this.#host.watchServer(this.address);
  }

  /** Notes that the server failed the connection. */
  noteFailure(): void {
    this.#host.suspect(this.address);
  }

  /** Asks DNS before the answer expires. */
  refresh(): void {
    this.#host.refresh();
  }

  /** Removes the connection, which was closed. */
  remove(): void {
    this.#host.unregister(this);
  }
}

/** Leaves out the endpoints of other hosts that are the same server. */
export function distinctServers(endpoints: readonly Endpoint[]): Endpoint[] {
  return [...new Map(endpoints.map((one) => [hostPort(one.address, one.port), one])).values()];
}

function departedEarly(address: string): Error {
  const error = new Error(`Cannot connect to ${address}: the address departed meanwhile`);
  return Object.assign(error, { code: "ECONNRESET" });
}
