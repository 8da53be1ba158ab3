/**
 * The engine as callers see it.
 *
 * @module
 */

import type { BindValues, SettingValue } from "../adapters/adapter.ts";
import type { PoolCounts } from "../errors.ts";
import type { Lease } from "../pool/lease.ts";
import type { AddressChange, AnswerStatus } from "../resolver/answer_source.ts";
import type { DatabaseUrl } from "./url.ts";

/** Options of one checkout. */
export interface ConnectOptions {
  /** Ends the wait: the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
  /** Timeout in seconds, in place of `poolTimeout`: from 0 to 3600, or `Infinity`. */
  timeout?: number;
}

/** Options of one call: of its wait for a connection and of its work on it. */
export interface CallOptions {
  /**
   * Ends the wait, or the work: what is running is cancelled on the server, and the promise is rejected with the
   * signal's reason.
   */
  signal?: AbortSignal;
  /**
   * Timeout in seconds, of the wait for a connection and the work together: above 0, at most 3600, or `Infinity`.
   * Default: `poolTimeout` for the wait, no limit for the work. After it, what is running is cancelled on the server,
   * and the promise is rejected with a `TimeoutError`. If connects failed before it, its `cause` is the last failure.
   */
  timeout?: number;
}

/** Options of a transaction. */
export interface BeginOptions<C> extends CallOptions {
  /**
   * A lease with an open transaction: the call is a savepoint in it, instead of a transaction of its own. Not beside the
   * options below.
   */
  within?: Lease<C>;
  /** Isolation level of this transaction, such as `"serializable"`. Default: the session's. */
  isolationLevel?: string;
  /** Whether this transaction refuses writes. Default: as the session is set. */
  readOnly?: boolean;
  /**
   * Whether this transaction waits at its first statement until it cannot fail; for one that is serializable and read-only
   * (PostgreSQL alone). Default: as the session is set.
   */
  deferrable?: boolean;
  /**
   * Settings of the session for this transaction, by name: `{ role: "tenant", "app.tenant": 42 }`. Values and names are sent
   * so that they cannot become part of a statement; an array is a list of names (`search_path: ["tenant 1", "public"]`).
   * They are gone after the transaction, however it ends. With PostgreSQL they are those of SET LOCAL, and `role` is set last;
   * with MySQL and MariaDB, system variables of the session, and user variables (`"@tenant"`), which are put back to what
   * they were. Default: none.
   */
  settings?: Readonly<Record<string, SettingValue>>;
}

/** Options in which a sibling engine differs. */
export interface ExecutionOptions {
  /** Isolation level of the connection for the time of each lease, such as `"serializable"`. */
  isolationLevel?: string;
  /** Prefix of the log lines of its statements. */
  loggingToken?: string;
}

/** The options of `addEventListener()`, here because not every program has the types of a browser. */
export interface ListenOptions {
  /** Whether the listener is called before listeners without this option. Default `false`. */
  capture?: boolean;
  /** Whether the listener is removed after its first event. Default `false`. */
  once?: boolean;
  /** Whether the listener never calls `preventDefault()`. Default `false`. */
  passive?: boolean;
  /** Removes the listener once it is aborted. */
  signal?: AbortSignal;
}

/** Options of {@linkcode Engine.listen}. */
export interface ChannelOptions {
  /**
   * Called when the channel is listened to again after the connection was lost, or after the name moved: what was sent
   * meanwhile was not heard. So read what is new from a table.
   */
  onGap?(gap: ListenGap): unknown;
  /** Whether the process stays alive for as long as the listener is open. Default `false`. */
  keepProcessAlive?: boolean;
  /** Ends the wait, and later the listener. */
  signal?: AbortSignal;
  /**
   * Timeout in seconds until the channel is listened to for the first time: above 0, at most 3600, or `Infinity`. Default:
   * `poolTimeout`.
   */
  timeout?: number;
}

/** A time in which notifications may have been missed. */
export interface ListenGap {
  /** The channel. */
  readonly channel: string;
  /** The address of the server that is listened to now. */
  readonly address: string;
  /** The address of the server that was listened to before; it may be the same. */
  readonly previousAddress: string;
  /** Seconds from the moment when the engine left the connection, or noticed its loss, to the new LISTEN. */
  readonly seconds: number;
  /** Why the connection was left: an error. */
  readonly reason: unknown;
}

/** A listener on a channel, made by {@linkcode Engine.listen}. */
export interface ChannelListener {
  /** The channel's name. */
  readonly channel: string;
  /** Whether it was closed: by `close()`, by its signal, or with the engine. */
  readonly closed: boolean;
  /**
   * Ends the listener: from now on, no callback is called. A second call waits for the first.
   *
   * @returns Fulfilled when the server no longer sends the channel to this listener. Never rejected.
   */
  close(): Promise<void>;
  /** Ends the listener: `await using listener = await engine.listen(…)`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What `engine.status()` returns. */
export interface EngineStatus extends PoolCounts {
  /** The URL's host. */
  readonly host: string;
  /** Number of open connections, idle or in use. */
  readonly size: number;
  /** Number of connections above `poolSize`. */
  readonly overflow: number;
  /** Number of idle connections that are kept ready. */
  readonly minIdle: number;
  /** Number of connections that the current pool has opened. */
  readonly opened: number;
  /** Number of connections that it has closed. */
  readonly closed: number;
  /** Number of connections that were detached from it. */
  readonly detached: number;
  /** Open connections by address. */
  readonly byAddress: Readonly<Record<string, { readonly idle: number; readonly inUse: number }>>;
  /** The state of the answer. */
  readonly answer: AnswerStatus;
}

/** The events of an engine. */
export interface EngineEventMap {
  /** The host's addresses changed. */
  addresschange: CustomEvent<AddressChange>;
  /**
   * An address departed, or its server shuts down and waits for its clients, while connections to it were in use: they are
   * closed when they come back.
   */
  retire: CustomEvent<{ readonly address: string; readonly inUse: number }>;
  /** Connections in use were terminated: their server no longer answers, or `retireGrace` was over. */
  terminate: CustomEvent<{ readonly address: string; readonly reason: string }>;
  /** A lease has taken `leaseWarnAfter` seconds. */
  longlease: CustomEvent<
    { readonly address: string; readonly seconds: number; readonly takenAt: string | undefined }
  >;
  /** A lease took `leaseTimeout` seconds, and was terminated. */
  leasetimeout: CustomEvent<
    { readonly address: string; readonly seconds: number; readonly takenAt: string | undefined }
  >;
  /** A resolution failed; a stale answer may still be used. */
  lookuperror: CustomEvent<{ readonly error: unknown }>;
  /**
   * The connection of {@linkcode Engine.listen} was lost and could not be opened again at once: sent once per outage,
   * while the engine goes on trying. With `channel`: a callback of a listener on it threw the error.
   */
  listenerror: CustomEvent<{ readonly error: unknown; readonly channel: string | undefined }>;
  /** The engine was closed for good, with all connections. */
  close: CustomEvent<undefined>;
}

/**
 * A pool of connections to the addresses that the host of a database URL has now. {@linkcode getDnsEngine} makes
 * engines.
 *
 * @typeParam C The driver's client.
 */
export interface Engine<C> extends EventTarget {
  /** The database URL; its text hides the password. */
  readonly url: DatabaseUrl;
  /** The driver's name, such as `"pg"`. */
  readonly driver: string;
  /** The current pool: its counters, and `invalidate()`, after which no connection open now is reused. */
  readonly pool: { readonly counts: PoolCounts; invalidate(): void };

  /**
   * Checks out a connection: at once if there is an idle one and a fresh answer. Otherwise it waits for the answer, for
   * a connection to open, or for its turn, first come first served.
   *
   * @param options Signal and timeout of this checkout.
   * @returns The lease. Release it in a `finally`, or take it with `await using`.
   * @throws {PoolTimeoutError} after `poolTimeout` seconds.
   * @throws {ConnectError} if no address accepts a connection.
   * @throws {ResolveError} if there is no answer, and no stale one that may be used.
   * @throws {DriverUnavailableError} if the driver that the URL names cannot be loaded.
   * @throws {PoolClosedError} if the engine is closed.
   */
  connect(options?: ConnectOptions): Promise<Lease<C>>;

  /**
   * Checks out a connection without a wait: an idle one, if the answer is fresh. The checks are those of `connect()`;
   * one that takes time, such as a ping that is due, a hook `checkout` or an isolation level, is left to `connect()`.
   *
   * @returns The lease; `undefined` if something would have to be awaited, other callers wait, or the engine is closed.
   *
   * @example
   * ```ts
   * import { getDnsEngine } from "@dnspool/dnspool";
   * import { fakeAdapter } from "@dnspool/dnspool/testing";
   * import { assert, assertEquals } from "@std/assert";
   *
   * const engine = getDnsEngine("fake://127.0.0.1/orders", { adapter: fakeAdapter() });
   * assertEquals(engine.tryConnect(), undefined); // none is open yet
   * await engine.warm();
   * {
   *   using lease = engine.tryConnect() ?? await engine.connect();
   *   assert(lease.client.open);
   * }
   * await engine.close();
   * ```
   */
  tryConnect(): Lease<C> | undefined;

  /**
   * Runs a function with a connection, and takes the connection back whatever happens.
   *
   * @param fn The function.
   * @param options Signal and timeout of the checkout.
   * @returns What `fn` returned.
   * @throws What `fn` throws; {@linkcode ConnectionLostError} as soon as the connection is lost, whether or not `fn` has
   *   noticed: the server ended it, which says why in `cause`, or the pool terminates it, for instance because its
   *   server departed and is silent.
   */
  use<T>(fn: (lease: Lease<C>) => T | Promise<T>, options?: ConnectOptions): Promise<T>;

  /**
   * Runs a function in a transaction: commits when it returns, rolls back when it throws. It is never run a second
   * time.
   *
   * A call inside a call is a transaction of its own, on another connection; with the option `within`, it is a
   * savepoint in the transaction of that lease.
   *
   * After the signal or the timeout, the statement that is running is cancelled on the server, `fn` has `probeTimeout`
   * seconds to end, and the transaction is rolled back. A COMMIT is never cancelled: if it is under way, it is waited
   * for, for as long.
   *
   * @param fn The function.
   * @param options Signal and timeout of the whole call; `within`, or what is set for this transaction.
   * @returns What `fn` returned, after the commit.
   * @throws What `fn` throws, after the rollback; what the commit throws; {@linkcode TransactionAbortedError} if `fn`
   *   handled an error that had ended the transaction, or ended it itself: nothing was committed; the signal's reason or
   *   a `TimeoutError`, after the rollback; {@linkcode ConnectionLostError} if the connection was lost, or terminated
   *   because the rollback or the commit did not end in time, and then it is not known whether the work was done.
   *   {@linkcode TypeError} before anything is sent, if the adapter's server cannot have a setting for one transaction alone.
   *
   * @example The rows of one tenant (row-level security)
   * ```ts
   * import type { Engine } from "@dnspool/dnspool";
   *
   * export async function ordersOf(engine: Engine<unknown>, tenant: string) {
   *   const settings = { role: "tenants", "app.tenant": tenant };
   *   return await engine.begin(async ({ client }) => {
   *     return await (client as import("npm:pg@^8.23").Client).query("SELECT * FROM orders");
   *   }, { settings, readOnly: true });
   * }
   * ```
   */
  begin<T>(fn: (lease: Lease<C>) => T | Promise<T>, options?: BeginOptions<C>): Promise<T>;

  /**
   * Runs one statement on a connection of its own.
   *
   * @typeParam Row The type of a row; it is not checked.
   * @param text The statement, with the driver's own placeholders.
   * @param values The bind values, one per placeholder. With mysql2 and mariadb and their option `namedPlaceholders`, they
   *   may be an object of names.
   * @param options Signal and timeout of the whole call: of the wait for a connection and of the statement.
   * @returns The rows; also if the signal or the timeout came too late to cancel the statement.
   * @throws What the driver throws, and what {@linkcode use} does; the signal's reason or a `TimeoutError` if the
   *   statement was cancelled on the server, and nothing of it was done; {@linkcode ConnectionLostError} with that as
   *   its `cause` if the cancel did not work within `probeTimeout` seconds, and the connection was terminated: then it is
   *   not known whether the work was done. {@linkcode TypeError} if the adapter has no `query`, or with mysql2 and mariadb if
   *   there are more or fewer values than placeholders.
   *
   * @example Give a statement two seconds
   * ```ts
   * import { getDnsEngine } from "@dnspool/dnspool";
   * import { fakeAdapter } from "@dnspool/dnspool/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const adapter = fakeAdapter({ query: () => new Promise(() => {}) });
   * const engine = getDnsEngine("fake://127.0.0.1/orders", { adapter });
   * const failed = await engine.query("SELECT slow()", [], { timeout: 0.1 }).catch((error) => error);
   * assertEquals(failed.name, "TimeoutError");
   * assertEquals(adapter.clients[0]!.log, ["SELECT slow()", "cancel"]);
   * await engine.close();
   * ```
   */
  query<Row = unknown>(
    text: string,
    values?: BindValues,
    options?: CallOptions,
  ): Promise<readonly Row[]>;

  /**
   * Listens for notifications on a channel (PostgreSQL, LISTEN; with `pg` and `postgres`), for as long as the listener is
   * open. All listeners of the engine and its siblings share one connection, which takes no place in the pool. It is open
   * to an address that the host has now: when the name moves, when the server loses its role, and when the connection is
   * lost, another one is opened, with pauses of at most 5 seconds between failed attempts, and for ever. A server that is
   * silent is noticed within 10 seconds and `connectTimeout`, because it is asked every 10 seconds. Each time, `onGap` tells
   * that notifications may have been missed.
   *
   * The hook `connect` is called for the connection, `firstConnect` is not. What a callback throws, or its promise is
   * rejected with, is logged, sent as the event `listenerror`, and harms no other listener.
   *
   * @param channel The channel's name as it is, not folded to lower case: 1 to 63 bytes, without NUL.
   * @param onNotify Called with the payload of each notification, which may be empty, and the channel; in the server's
   *   order. A promise that it returns is not waited for.
   * @param options `onGap`, and how the listener ends.
   * @returns The listener, when the server has confirmed LISTEN.
   * @throws {TypeError} if the adapter cannot listen, or an argument is not valid; with `targetSessionAttrs` `"standby"` or
   *   `"prefer-standby"`, because a standby has no notifications.
   * @throws {DOMException} named `TimeoutError` after the timeout; its `cause` is what the last connect failed with. Or
   *   the signal's reason.
   * @throws {ConnectError} if no address accepts a connection, and waiting would not help.
   * @throws {PoolClosedError} if the engine is closed, before or meanwhile.
   * @throws The server's error, if it refuses LISTEN.
   *
   * @example
   * ```ts
   * import { getDnsEngine } from "@dnspool/dnspool";
   * import { fakeAdapter } from "@dnspool/dnspool/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const adapter = fakeAdapter();
   * const engine = getDnsEngine("fake://127.0.0.1/orders", { adapter });
   * const heard: string[] = [];
   * const listener = await engine.listen("orders", (payload) => void heard.push(payload), {
   *   onGap: ({ reason }) => void heard.push(`gap: ${reason}`),
   * });
   * adapter.notify("orders", "42");
   * assertEquals(heard, ["42"]);
   * await listener.close();
   * await engine.close();
   * ```
   */
  listen(
    channel: string,
    onNotify: (payload: string, channel: string) => unknown,
    options?: ChannelOptions,
  ): Promise<ChannelListener>;

  /**
   * Returns whether an error says that a connection was lost while work was under way on it: the pool's own error, or
   * the driver's. Then the work may or may not have been done, and only the program can find out.
   *
   * @param error What `query`, `use`, `begin` or the driver's client threw.
   * @returns `false` as well if the work was never begun, for instance because no connection could be opened.
   *
   * @example
   * ```ts
   * import { getDnsEngine } from "@dnspool/dnspool";
   * import { fakeAdapter } from "@dnspool/dnspool/testing";
   * import { assert } from "@std/assert";
   *
   * const engine = getDnsEngine("fake://127.0.0.1/orders", { adapter: fakeAdapter() });
   * const work = engine.use(() => new Promise(() => {}));
   * const failed = work.catch((error) => engine.isDisconnect(error));
   * await engine.use(() => {}); // by now, the first has its connection
   * await engine.close({ drain: 0 });
   * assert(await failed);
   * ```
   */
  isDisconnect(error: unknown): boolean;

  /**
   * Makes a sibling that shares pool, addresses and events, and differs in a few options.
   *
   * @param options The options, in addition to those of this engine.
   * @returns The sibling. Closing it closes this engine as well.
   */
  executionOptions(options: ExecutionOptions): Engine<C>;

  /**
   * Opens connections before they are needed.
   *
   * @param count Number of connections that are to be open at once: from 1 to `poolSize`. Default: `minIdle`, at least
   *   1.
   * @returns Fulfilled when they are open and idle.
   * @throws {RangeError} if the number is outside its range.
   * @throws What `connect` throws.
   */
  warm(count?: number): Promise<void>;

  /** Returns the pool's counters, its addresses and the state of the answer. Costs no I/O. */
  status(): EngineStatus;

  /**
   * Closes the pool and goes on with a new one, like SQLAlchemy's `dispose()`: idle connections are closed now, those
   * in use when they come back, and waiting checkouts are rejected with a `PoolClosedError`.
   *
   * @returns Fulfilled when the idle connections are closed.
   */
  dispose(): Promise<void>;

  /**
   * Closes the engine for good. Waiting and later checkouts are rejected with a `PoolClosedError`; leases are waited
   * for, then terminated: what they are running is cancelled on the server first, for at most `probeTimeout` seconds. A
   * COMMIT that is under way may be done all the same. A second call waits for the first.
   *
   * @param options `drain`: number of seconds to wait for leases, from 0 to 3600, or `Infinity`. Default 10.
   * @returns Fulfilled when every connection is closed.
   */
  close(options?: { drain?: number }): Promise<void>;

  /** Closes the engine for good: `await using engine = getDnsEngine(…)`. */
  [Symbol.asyncDispose](): Promise<void>;

  /** Adds a listener for an event of {@linkcode EngineEventMap}. */
  addEventListener<K extends keyof EngineEventMap>(
    type: K,
    listener: (event: EngineEventMap[K]) => void,
    options?: boolean | ListenOptions,
  ): void;
  /** Adds a listener for any event. */
  addEventListener(
    type: string,
    listener: ((event: Event) => void) | { handleEvent(event: Event): void } | null,
    options?: boolean | ListenOptions,
  ): void;

  /** Removes a listener. */
  removeEventListener(
    type: string,
    listener: unknown,
    options?: boolean | { capture?: boolean },
  ): void;

  /** Calls the listeners of this engine and of its siblings. */
  dispatchEvent(event: Event): boolean;
}
