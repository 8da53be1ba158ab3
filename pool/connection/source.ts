/**
 * Opens the connections of one pool, and prepares, resets and closes them.
 *
 * @module
 */

import { deadline } from "../../internal/async.ts";
import { ageClock, awakeTimer, now } from "../../internal/clock.ts";
import type { Log } from "../../internal/log.ts";
import { callAdapter, isOf, messageOf } from "../../internal/thrown.ts";
import { ConnectError, CredentialsError, ResolveError } from "../../errors.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import type { AnswerSource } from "../../resolver/answer_source.ts";
import type {
  ConnectionEvents,
  Connections,
  InvalidConnection,
  OpenedConnection,
} from "../contract.ts";
import type { SafeObserver } from "../observer.ts";
import type { Slot } from "../slot.ts";
import { type CheckSettings, ConnectionChecks } from "./checks.ts";
import { callCloseHook, closeConnection, type TerminateOptions } from "./close.ts";
import { awaitsRole } from "./connect_errors.ts";
import type { CurrentAddresses } from "./departures.ts";
import type { DialedConnection, Dialer } from "./dialer.ts";
import { type HookedConnection, noEndOf } from "./hooks.ts";
import { switchFamily } from "./routes.ts";

/** How connections are opened and looked after; durations in milliseconds. */
export interface SourceSettings<C> extends CheckSettings<C> {
  readonly refreshAhead: boolean;
  readonly connectRetry: boolean | "always";
  readonly recycleMs: number;
  /** Maximum duration of a cancel on the server. */
  readonly probeTimeoutMs: number;
  readonly observer: SafeObserver | undefined;
}

/** What the pools of an engine remember of their connects. */
export interface ConnectHistory {
  /** Whether the engine has ever opened a connection. */
  connected: boolean;
  /** What the last connect failed with; `undefined` if it succeeded. */
  lastError: unknown;
}

/** What the pools of an engine share. */
export interface SourceParts<C> {
  readonly answer: AnswerSource;
  readonly addresses: CurrentAddresses;
  readonly dialer: Dialer<C>;
  readonly adapter: Adapter<C>;
  readonly log: Log;
  readonly history: ConnectHistory;
  /** Called when a connection was opened. */
  readonly onOpened: (() => void) | undefined;
}

/**
 * Lifetimes are shortened by up to this share, so that a fleet does not reconnect at once (as HikariCP does).
 */
const MAX_RECYCLE_JITTER = 0.025;

/** What is known of the end of a connection, from the moment it was opened on. */
interface CloseWatch {
  /** Whether the server or the network closed the connection. */
  closed: boolean;
  /** What the server said of it, or else the driver. */
  error: unknown;
  /** Whether the server said it. */
  explained: boolean;
  /** The error that the server reported last. */
  reported: unknown;
  /** What the server reported about its role, if it may have changed. */
  doubt: InvalidConnection | undefined;
  events: ConnectionEvents | undefined;
}

/** The connections of one pool, as the pool knows them. */
export class ConnectionSource<C> implements Connections<C> {
  readonly #answer: AnswerSource;
  readonly #addresses: CurrentAddresses;
  readonly #dialer: Dialer<C>;
  readonly #adapter: Adapter<C>;
  readonly #log: Log;
  readonly #history: ConnectHistory;
  readonly #onOpened: (() => void) | undefined;
  readonly #settings: SourceSettings<C>;
  readonly #checks: ConnectionChecks<C>;
  /** The hook `firstConnect`, under way or done. */
  #firstConnect: Promise<void> | undefined;
  /** Number of connections, connects and pauses between them: while above zero, the answer is kept fresh. */
  #refCount = 0;
  #stopRefresh: (() => void) | undefined;

  /**
   * @param parts What the pools of the engine share.
   * @param settings How connections are opened and looked after.
   */
  constructor(parts: SourceParts<C>, settings: SourceSettings<C>) {
    this.#answer = parts.answer;
    this.#addresses = parts.addresses;
    this.#dialer = parts.dialer;
    this.#adapter = parts.adapter;
    this.#log = parts.log;
    this.#history = parts.history;
    this.#onOpened = parts.onOpened;
    this.#settings = settings;
    this.#checks = new ConnectionChecks(parts, settings);
  }

  get hasConnected(): boolean {
    return this.#history.connected;
  }

  isCurrent(address: string): boolean {
    return this.#addresses.isCurrent(address);
  }

  isTransient(error: unknown): boolean {
    const { connectRetry } = this.#settings;
    if (!connectRetry) return false;
    const always = connectRetry === "always";
    if (isOf(error, ResolveError)) return always && error.kind !== "config";
    return this.#dialer.errors.isTransient(error, always || this.#history.connected);
  }

  awaitsRole(error: unknown): boolean {
    return awaitsRole(error);
  }

  timeoutError(lastError: unknown, waited: number): Error {
    return this.#dialer.errors.timeoutError(lastError, waited);
  }

  keepFresh(): () => void {
    let kept = true;
    this.#retainAnswer();
    return () => {
      if (kept) this.#releaseAnswer();
      kept = false;
    };
  }

  async open(signal: AbortSignal): Promise<OpenedConnection<C>> {
    const { observer } = this.#settings;
    if (!observer) return await this.#open(signal);
    const beganMs = now();
    const end = observer.connecting();
    try {
      const opened = await this.#open(signal);
      end({ seconds: (now() - beganMs) / 1000, address: opened.address });
      return opened;
    } catch (error) {
      end({ seconds: (now() - beganMs) / 1000, error });
      throw error;
    }
  }

  async #open(signal: AbortSignal): Promise<OpenedConnection<C>> {
    const openedAtMs = ageClock();
    const { recycleMs } = this.#settings;
    const expiresAtMs = openedAtMs + recycleMs * (1 - Math.random() * MAX_RECYCLE_JITTER);
    this.#retainAnswer();
    try {
      const connection = { ...await this.#dial(signal), info: {} };
      const closeWatch = await this.#prepare(connection, signal);
      this.#history.connected = true;
      this.#history.lastError = undefined;
      this.#log.info(`Opened a connection to ${connection.address}`);
      this.#onOpened?.();
      const { hooks } = this.#settings;
      const hasNotes = hooks.connect !== undefined || hooks.firstConnect !== undefined;
      return {
        ...connection,
        info: hasNotes ? connection.info : undefined,
        openedAtMs,
        expiresAtMs,
        watch: (events) => {
          closeWatch.events = events;
          const { closed, error, explained, doubt } = closeWatch;
          if (doubt) events.onDoubt(doubt);
          if (closed) events.onClosed(error, explained);
        },
      };
    } catch (error) {
      this.#releaseAnswer();
      this.#history.lastError = error;
      throw error;
    }
  }

  async #dial(signal: AbortSignal): Promise<DialedConnection<C>> {
    let maySwitch = true;
    // A connection that is opened ahead of need may be the first use of the name.
    if (this.#answer.addresses.length === 0) await this.#answer.waitUntilFresh(signal);
    for (;;) {
      const addresses = this.#answer.inOrder?.() ?? this.#answer.addresses;
      try {
        return await this.#dialer.dial(addresses, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (isOf(error, CredentialsError)) throw error;
        const attempts = isOf(error, ConnectError) ? error.attempts : [];
        if (maySwitch && await switchFamily(this.#answer, attempts, signal)) {
          maySwitch = false;
          continue;
        }
        // If all of them departed meanwhile, the failure says nothing about the new ones, which are tried at once.
        const allDeparted = !addresses.some((address) => this.isCurrent(address));
        if (allDeparted && addresses.length > 0) continue;
        this.#answer.refresh();
        throw error;
      }
    }
  }

  /** Calls the hooks of a new connection; terminates it if one fails, or if the server closes it meanwhile. */
  async #prepare(
    connection: HookedConnection<C> & DialedConnection<C>,
    signal: AbortSignal,
  ): Promise<CloseWatch> {
    const { client, address } = connection;
    const closeWatch = this.#watchClose(connection);
    try {
      await this.#callConnectHooks(connection, signal);
      this.#adapter.keepSettings?.(client);
      if (closeWatch.closed) {
        throw this.#dialer.errors.closedDuringConnect(address, closeWatch.error);
      }
      return closeWatch;
    } catch (error) {
      if (closeWatch.closed) this.#answer.refresh();
      this.#dialer.uncount(address);
      closeConnection(connection, { adapter: this.#adapter, how: "terminate" });
      throw error;
    }
  }

  #watchClose({ client, address, role }: DialedConnection<C>): CloseWatch {
    const watch: CloseWatch = {
      closed: false,
      error: undefined,
      explained: false,
      reported: undefined,
      doubt: undefined,
      events: undefined,
    };
    callAdapter(this.#log, () =>
      this.#adapter.onClose?.(client, (error) => {
        watch.closed = true;
        watch.explained = this.#endsSession(watch.reported);
        watch.error = watch.explained ? watch.reported : error;
        watch.events?.onClosed(watch.error, watch.explained);
      }));
    callAdapter(this.#log, () =>
      this.#adapter.onError?.(client, (error) => {
        watch.reported = error;
        watch.events?.onError(error);
      }));
    if (role === "any") return watch;
    callAdapter(this.#log, () =>
      this.#adapter.onRoleChange?.(client, () => {
        const error = new Error(`The server at ${address} no longer has the role "${role}"`);
        watch.doubt = { error, sameServer: true, doubtful: true };
        watch.events?.onDoubt(watch.doubt);
      }));
    return watch;
  }

  /** Returns whether an error that the server reported says why it ends the session. */
  #endsSession(reported: unknown): boolean {
    if (reported === undefined) return false;
    const verdict = callAdapter(this.#log, () => this.#adapter.classify?.(reported));
    return verdict === "disconnect" || verdict === "closed";
  }

  /** Calls `firstConnect` once per pool, before `connect` of any connection. */
  async #callConnectHooks(connection: HookedConnection<C>, signal: AbortSignal): Promise<void> {
    const { hooks } = this.#settings;
    while (hooks.firstConnect) {
      const earlier = this.#firstConnect;
      if (earlier === undefined) {
        const running = this.#callHook("firstConnect", connection, signal);
        this.#firstConnect = running;
        running.catch(() => this.#firstConnect = undefined);
        await running;
        break;
      }
      if (await earlier.then(() => true, () => false)) break;
    }
    if (hooks.connect) await this.#callHook("connect", connection, signal);
  }

  #callHook(
    name: "firstConnect" | "connect",
    connection: HookedConnection<C>,
    signal: AbortSignal,
  ): Promise<void> {
    const { hooks, connectTimeoutMs } = this.#settings;
    const call = () => hooks[name]?.(connection);
    return deadline(connectTimeoutMs, call, { signal, what: noEndOf(name), start: awakeTimer });
  }

  needsCheck(slot: Slot<C>): boolean {
    return this.#checks.needsCheck(slot);
  }

  check(slot: Slot<C>): Promise<InvalidConnection | undefined> | undefined {
    return this.#checks.check(slot);
  }

  reset(slot: Slot<C>): Promise<void> | undefined {
    return this.#checks.reset(slot);
  }

  hasWantedRole(slot: Slot<C>): Promise<boolean> {
    return this.#checks.hasWantedRole(slot);
  }

  onTaken(slot: Slot<C>): void {
    if (this.#adapter.ref !== undefined) this.#setRef("ref", slot);
    if (this.#log.debugEnabled) this.#log.debug(`Checked out a connection to ${slot.address}`);
  }

  onIdle(slot: Slot<C>): void {
    if (this.#adapter.unref !== undefined) this.#setRef("unref", slot);
  }

  /** Lets a connection keep the process alive, or not. */
  #setRef(how: "ref" | "unref", { client }: Slot<C>): void {
    callAdapter(this.#log, () => this.#adapter[how]!(client));
  }

  onOutage(address: string): void {
    this.#dialer.suspect(address);
  }

  classifyError(error: unknown): InvalidConnection | undefined {
    return this.#checks.classifyError(error);
  }

  onExplained({ address }: Slot<C>, error: unknown): void {
    this.#log.warn(`The server ended a connection in use to ${address}: ${messageOf(error)}`);
  }

  detach(slot: Slot<C>): void {
    this.#log.info(`Detached a connection to ${slot.address}`);
    this.#forget(slot);
    callCloseHook("detach", slot, { hooks: this.#settings.hooks, log: this.#log });
  }

  close(
    slot: Slot<C>,
    reason: unknown,
    { cancel = false }: TerminateOptions = {},
  ): Promise<void> | undefined {
    const why = reason === undefined ? "" : `: ${messageOf(reason)}`;
    this.#log.info(`Closing a connection to ${slot.address}${why}`);
    this.#forget(slot);
    return closeConnection(slot, {
      adapter: this.#adapter,
      how: reason === undefined ? "close" : "terminate",
      reason,
      cancelMs: cancel ? this.#settings.probeTimeoutMs : undefined,
      onClose: { hooks: this.#settings.hooks, log: this.#log },
    });
  }

  #forget({ address }: Slot<C>): void {
    this.#dialer.uncount(address);
    this.#releaseAnswer();
  }

  #retainAnswer(): void {
    if (this.#refCount++ > 0 || !this.#settings.refreshAhead) return;
    this.#stopRefresh = this.#answer.keepFresh();
  }

  #releaseAnswer(): void {
    if (--this.#refCount > 0) return;
    this.#stopRefresh?.();
    this.#stopRefresh = undefined;
  }
}
