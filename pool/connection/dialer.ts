/**
 * Opens a connection to one of the endpoints: chooses the order, tries several at once if the first is silent.
 *
 * @module
 */

import { deadline } from "../../internal/async.ts";
import { awakeTimer, maintenanceTimer, now } from "../../internal/clock.ts";
import { type Endpoint, endpointName } from "../../internal/endpoint.ts";
import { idOf } from "../../internal/object_id.ts";
import { isOf, isTimeout } from "../../internal/thrown.ts";
import { Secrets } from "../../internal/redact.ts";
import type { Adapter, Target } from "../../adapters/adapter.ts";
import { type ConnectAttempt, CredentialsError, DriverUnavailableError } from "../../errors.ts";
import { AddressOrder, type Balance } from "./address_order.ts";
import { closeConnection } from "./close.ts";
import { ConnectErrors } from "./connect_errors.ts";
import { type CredentialsFunction, gaveNothing, LoginSource } from "./credentials.ts";
import { Destination, type DialTarget, GAVE_NOTHING } from "./destination.ts";
import { answers } from "./probes.ts";
import { firstReady } from "./race.ts";
import { matchesRole, type WantedRole, WrongRoleError } from "./server_role.ts";

/** A connection that was opened. */
export interface DialedConnection<C> {
  /** The driver's client. */
  readonly client: C;
  /** The address that the connection is open to; with several hosts, the name of the endpoint. */
  readonly address: string;
  /** The role that its server must have: with `"prefer-standby"` that of a standby, if there was one. */
  readonly role: WantedRole;
  /** Where the connection is open to. */
  readonly endpoint: Endpoint;
}

/**
 * How long an attempt may go on after another one was first. A login that is cut off half-way counts against this
 * client at MySQL's servers (`max_connect_errors`), so it is completed and then closed.
 */
const LOSER_GRACE_MS = 1000;

/** The options of a dialer; durations in milliseconds. */
export interface DialerSettings {
  /** Timeout of a connect, for all addresses together. */
  readonly connectTimeoutMs: number;
  /** Time after which a silent attempt no longer keeps the next one from beginning. */
  readonly connectStaggerMs: number;
  /** How long a probed server may be silent. */
  readonly probeTimeoutMs: number;
  readonly loadBalance: Balance;
  readonly targetSessionAttrs: WantedRole;
  /** Set on each new connection. */
  readonly isolationLevel: string | undefined;
  readonly resetOnReturn: "rollback" | "commit" | "reset" | null;
  /** Gives user and password; `undefined`: the target has them. */
  readonly credentials?: CredentialsFunction | undefined;
}

/** An attempt under way. */
interface Attempt {
  readonly address: string;
  readonly controller: AbortController;
  /** Called at its end if another one was first: its connection is not wanted. */
  onEnded: (() => void) | undefined;
}

/** A connect under way. */
interface Dial {
  /** Ends the connect. */
  readonly signal: AbortSignal;
  /** The failed attempts. */
  readonly attempts: ConnectAttempt[];
  /** Addresses that departed meanwhile: they are skipped. */
  readonly departed: Set<string>;
  readonly running: Set<Attempt>;
}

/** Attempts of one dial for the same role. */
interface Round {
  readonly order: readonly string[];
  readonly role: WantedRole;
  readonly endMs: number;
  /** Called when the attempt has a login. */
  readonly onLogin?: () => void;
}

/** Opens the connections of one engine. */
export class Dialer<C> {
  /** Describes failed connects. */
  readonly errors: ConnectErrors;
  /** Where the connections go to, and with which login. */
  readonly destination: Destination;
  /**
   * Whether a login proves nothing until a statement is answered: a proxy accepts logins while its server is lost. Set when
   * a server ended a session alone.
   */
  doubtsLogins = false;
  readonly #adapter: Adapter<C>;
  readonly #onRefused: ((address: string) => void) | undefined;
  readonly #settings: DialerSettings;
  readonly #order: AddressOrder;
  #dials: Set<Dial> | undefined;
  #closes: Set<Promise<void>> | undefined;
  /** Attempts that go on though another one was first. */
  #losers: Map<Attempt, Promise<void>> | undefined;

  /**
   * @param adapter Opens the connections.
   * @param target What to connect to, without the address.
   * @param settings Order, role, timeouts.
   * @param shared `secrets`: what must not be in a message, by default the password in the URL; `logins`: what gives user
   *   and password, by default `credentials` of the settings; `onRefused` is called for a server that lets no client in.
   */
  constructor(
    adapter: Adapter<C>,
    target: DialTarget,
    settings: DialerSettings,
    shared: {
      readonly secrets?: Secrets;
      readonly logins?: LoginSource | undefined;
      readonly onRefused?: (address: string) => void;
    } = {},
  ) {
    const { secrets = new Secrets([target.password]) } = shared;
    this.errors = new ConnectErrors(adapter, target, secrets);
    this.#onRefused = shared.onRefused;
    this.#adapter = adapter;
    this.#settings = settings;
    this.#order = new AddressOrder(settings.loadBalance);
    const { credentials, connectTimeoutMs } = settings;
    const logins = shared.logins ??
      (credentials && new LoginSource(credentials, { ...target, secrets }));
    this.destination = new Destination(adapter, target, { logins, connectTimeoutMs });
  }

  /**
   * Opens a connection to the first server that is ready: it accepted the login and has the wanted role. The next
   * address is tried when the one before has failed, or was silent for `connectStagger`, or for twice its usual time if
   * that is longer; the earlier attempts go on (after the idea of RFC 8305). The connection is counted until `uncount()`
   * is called for its address.
   *
   * @param addresses The current addresses, in order of preference.
   * @param signal Ends the connect: no socket is left.
   * @returns The client, and the address that it is connected to.
   * @throws {ConnectError} if no address accepts a connection in time; or the signal's reason.
   * @throws {CredentialsError} if there is no login for any host.
   * @throws {DriverUnavailableError} if the driver cannot be loaded.
   */
  async dial(addresses: readonly string[], signal: AbortSignal): Promise<DialedConnection<C>> {
    const endMs = now() + this.#settings.connectTimeoutMs;
    const order = this.#order.of(addresses);
    const { targetSessionAttrs } = this.#settings;
    // With "prefer-standby", a second round takes any server.
    const roles: WantedRole[] = targetSessionAttrs === "prefer-standby"
      ? ["standby", "any"]
      : [targetSessionAttrs];
    const dial: Dial = { signal, attempts: [], departed: new Set(), running: new Set() };
    const dials = this.#dials ??= new Set();
    dials.add(dial);
    try {
      for (const [index, role] of roles.entries()) {
        const nowMs = now();
        const roundEndMs = nowMs + (endMs - nowMs) / (roles.length - index);
        const round = { order, role, endMs: roundEndMs };
        const dialed = order.length === 1
          ? await this.#attempt(dial, order[0]!, round)
          : await this.#race(dial, round);
        if (dialed) return dialed;
      }
    } finally {
      dials.delete(dial);
      if (dials.size === 0) this.#dials = undefined;
    }
    const [first] = dial.attempts;
    const reasons = dial.attempts.map(({ error }) => error);
    throw first && reasons.every((reason) => isOf(reason, CredentialsError))
      ? first.error
      : this.errors.ofAttempts(dial.attempts);
  }

  #race(dial: Dial, round: Round): Promise<DialedConnection<C> | undefined> {
    const { asksForLogin } = this.destination;
    return firstReady(round.order, {
      attempt: (address, onLogin) => this.#attempt(dial, address, { ...round, onLogin }),
      isSkipped: (address) => dial.departed.has(address),
      staggerMs: (address, waiting, hasBegun) => {
        const shareMs = (round.endMs - now()) / (waiting + 1);
        if (asksForLogin && !hasBegun) return shareMs;
        const { connectStaggerMs } = this.#settings;
        return Math.min(shareMs, Math.max(connectStaggerMs, 2 * this.#order.usualMs(address)));
      },
      onSilent: (address, hasBegun) => {
        // Other dials do not wait for it as well. If it answers after all, its connect says so.
        if (hasBegun || !asksForLogin) this.#order.noteFailure(address);
      },
      again: () => {
        const soon = dial.attempts.filter(({ error }) => this.errors.mayPass(error));
        for (const each of soon) dial.attempts.splice(dial.attempts.indexOf(each), 1);
        return soon.map(({ address }) => address);
      },
      onDecided: () => {
        for (const attempt of [...dial.running]) this.#lose(attempt);
        dial.running.clear();
      },
      discard: (dialed) => this.#discard(dialed),
    });
  }

  /** Lets an attempt end by itself, or ends it after a while, because another one was first. */
  #lose(attempt: Attempt): void {
    const over = maintenanceTimer(LOSER_GRACE_MS, () => {
      attempt.controller.abort(new Error("another server was first"));
    });
    const ended = new Promise<void>((resolve) => attempt.onEnded = resolve);
    const losers = this.#losers ??= new Map();
    losers.set(attempt, ended);
    ended.then(() => {
      over.clear();
      losers.delete(attempt);
    });
  }

  /** Ends the attempts at an address that departed; their connects go on with the other addresses. */
  abortAttempts(address: string): void {
    for (const { departed, running } of this.#dials ?? []) {
      departed.add(address);
      for (const attempt of running) {
        if (attempt.address !== address) continue;
        attempt.controller.abort(new Error("the address departed meanwhile"));
      }
    }
  }

  /**
   * Notes that a server failed a connection that was open. Its address is tried after the others for a while; then one
   * connection to it is tried, and only if nothing happens to that, more.
   */
  suspect(address: string): void {
    this.#order.suspect(address);
  }

  /** Returns the usual duration of a connect to an address in milliseconds; 0 if there was none. */
  usualMs(address: string): number {
    return this.#order.usualMs(address);
  }

  /** Counts one connection less: one that `dial()` opened was closed or detached. */
  uncount(address: string): void {
    this.#order.uncount(address);
  }

  /**
   * Finds out whether a server answers at all: a refusal is an answer, silence is not. Engines with the same driver,
   * address and port share one attempt.
   *
   * @param address The server's address.
   * @param signal Ends the probe; the result then says nothing about the server.
   * @returns `false` if there was no answer for `probeTimeout` seconds in which the event loop ran, or the network
   *   reports the server unreachable.
   */
  probe(address: string, signal?: AbortSignal): Promise<boolean> {
    const kind = this.#adapter.probe ? this.#adapter.name : idOf(this.#adapter);
    const endpoint = this.destination.endpointOf(address);
    return answers({
      key: JSON.stringify([kind, endpoint.address, endpoint.port]),
      ask: (signal) => this.#ask(endpoint, signal),
    }, { limitMs: this.#settings.probeTimeoutMs, signal });
  }

  /** Finds out by a login, whose connection is closed, whether a server lets no client in. */
  async refusesClients(address: string, signal: AbortSignal): Promise<boolean> {
    try {
      const limitMs = this.#settings.connectTimeoutMs;
      const client = await this.#connect(address, { limitMs, signal, prepare: async () => {} });
      this.#end(client, address, "close");
      return false;
    } catch (error) {
      return this.errors.refusesClients(error);
    }
  }

  /** Asks a server for any answer; with an adapter that cannot, by a login that is closed gracefully. */
  async #ask(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
    const { address } = endpoint;
    const target = this.destination.targetOf(endpoint, signal);
    if (this.#adapter.probe) return await this.#adapter.probe(address, target);
    const client = await this.#adapter.connect(address, target);
    this.#end(client, address, signal.aborted ? "terminate" : "close");
  }

  /** Ends the attempts that go on, and waits for the connections that are being closed because they are not used. */
  async closed(): Promise<void> {
    const losers = [...this.#losers ?? []];
    for (const [{ controller }] of losers) controller.abort(new Error("the engine was closed"));
    await Promise.all(losers.map(([, ended]) => ended));
    await Promise.all(this.#closes ?? []);
    this.destination.forgetLogins();
  }

  /** Tries one address; if that fails, notes why and returns `undefined`. */
  async #attempt(
    dial: Dial,
    address: string,
    { role, endMs, onLogin }: Round,
  ): Promise<DialedConnection<C> | undefined> {
    dial.signal.throwIfAborted();
    const attempt: Attempt = { address, controller: new AbortController(), onEnded: undefined };
    const beganMs = now();
    dial.running.add(attempt);
    this.#order.count(address);
    try {
      const client = await this.#connect(address, {
        limitMs: endMs - beganMs,
        signal: AbortSignal.any([dial.signal, attempt.controller.signal]),
        prepare: (client) => this.#prepare(client, role),
        onLogin,
      });
      this.#order.noteSuccess(address, role, now() - beganMs);
      const dialed = this.#dialed(client, address, role);
      if (attempt.onEnded === undefined) return dialed;
      this.#discard(dialed);
      return undefined;
    } catch (error) {
      this.uncount(address);
      dial.signal.throwIfAborted();
      // It would be the same for every other address.
      const hasNoLogin = isOf(error, CredentialsError);
      if (isOf(error, DriverUnavailableError)) throw error;
      if (hasNoLogin && !this.destination.namesEndpoints) throw error;
      dial.attempts.push({ address, error });
      if (hasNoLogin) return undefined;
      if (this.errors.refusesClients(error)) this.#onRefused?.(address);
      if (!isOf(error, WrongRoleError)) this.#order.noteFailure(address);
      else this.#order.noteWrongRole(address, role);
      return undefined;
    } finally {
      dial.running.delete(attempt);
      attempt.onEnded?.();
    }
  }

  /** Describes an open connection; its driver may have connected to another address of the same host. */
  #dialed(client: C, address: string, role: WantedRole): DialedConnection<C> {
    const endpoint = this.destination.endpointOf(address);
    const connectedTo = this.#adapter.address?.(client);
    if (connectedTo === undefined || connectedTo === endpoint.address) {
      return { client, address, endpoint, role };
    }
    const other = { ...endpoint, address: connectedTo };
    const name = this.destination.namesEndpoints ? endpointName(other) : connectedTo;
    this.uncount(address);
    this.#order.count(name);
    return { client, address: name, endpoint: other, role };
  }

  /** Checks the server's role, or that it answers, and sets the isolation level. */
  async #prepare(client: C, wanted: WantedRole): Promise<void> {
    const adapter = this.#adapter;
    if (wanted !== "any") {
      const role = await adapter.role!(client);
      if (!matchesRole(role, wanted)) throw new WrongRoleError(role, wanted);
    }
    if (this.doubtsLogins && adapter.ping !== undefined) {
      await adapter.ping(client);
      this.doubtsLogins = false;
    }
    const { isolationLevel, resetOnReturn } = this.#settings;
    if (resetOnReturn === "reset") await adapter.noteSession?.(client);
    if (isolationLevel !== undefined) await adapter.setIsolationLevel!(client, isolationLevel);
  }

  /** Connects and prepares within a limit of its own: a driver may have no timeout, or ignore it. */
  async #connect(
    address: string,
    { limitMs, signal, prepare, onLogin }: {
      readonly limitMs: number;
      readonly signal: AbortSignal;
      readonly prepare: (client: C) => Promise<void>;
      readonly onLogin?: (() => void) | undefined;
    },
  ): Promise<C> {
    let connecting: Promise<C> | undefined;
    let isAsking = false;
    const endpoint = this.destination.endpointOf(address);
    const what = () => isAsking ? GAVE_NOTHING : "no connection";
    const onAsking = (asking: boolean) => {
      isAsking = asking;
      if (!asking) onLogin?.();
    };
    try {
      return await deadline(limitMs, async (signal) => {
        const open = (target: Target) => {
          return connecting = this.#adapter.connect(endpoint.address, target);
        };
        const client = await this.destination.openWithLogin(endpoint, { signal, open, onAsking });
        await prepare(client);
        return client;
      }, { signal, what, start: awakeTimer });
    } catch (error) {
      if (isAsking && isTimeout(error)) throw gaveNothing(endpoint.host, error);
      // A driver that ignores the abort may still open a connection. A server of another role did nothing wrong.
      const how = isOf(error, WrongRoleError) ? "close" : "terminate";
      connecting?.then((client) => this.#end(client, address, how), () => {});
      throw error;
    }
  }

  /** Closes a connection that is not needed, because another one was ready first. */
  #discard({ client, address }: DialedConnection<C>): void {
    this.uncount(address);
    this.#end(client, address, "close");
  }

  #end(client: C, address: string, how: "close" | "terminate"): void {
    const closing = closeConnection({ client, address, info: {} }, { adapter: this.#adapter, how });
    if (closing === undefined) return;
    const closes = this.#closes ??= new Set();
    closes.add(closing);
    closing.then(() => closes.delete(closing));
  }
}
