/**
 * The contract between the pool and an adapter. An adapter opens and operates the connections of one driver; the pool
 * decides to which address, and when.
 *
 * @module
 */

/** What the database URL and `connectArgs` say about the connections of an engine. */
export interface Destination {
  /** Host name in the URL. It is for TLS and for messages; an adapter never connects to it. */
  readonly host: string;
  /** TCP port, 1 to 65535: that of `connectArgs`, or else the URL's, or else `defaultPort`. 0 for a `local` adapter. */
  readonly port: number;
  /** User name in the URL; in a {@linkcode Target} the one of the option `credentials`, if it gives one. */
  readonly user?: string | undefined;
  /**
   * Password in the URL; in a {@linkcode Target} the one that the option `credentials` gave for this attempt. It must not
   * appear in a message.
   */
  readonly password?: string | undefined;
  /** Database name in the URL. */
  readonly database?: string | undefined;
  /** Query parameters of the URL; a parameter that is given several times is an array. */
  readonly params: Readonly<Record<string, string | readonly string[]>>;
  /** The engine's `connectArgs`: driver options that override what the URL says. */
  readonly connectArgs: Readonly<Record<string, unknown>>;
  /** Whether to enable TCP keepalive on the socket, with the first probe after 30 seconds. */
  readonly keepAlive: boolean;
}

/** The destination of one connection attempt: the socket goes to the `ip`, the certificate is checked for `host`. */
export interface Target extends Destination {
  /**
   * Returns the current addresses of the host; they may change during the attempt. Only for a driver that can connect
   * to a name alone: any other adapter connects to the `ip` that it is given.
   */
  addresses(): readonly string[];
  /**
   * Whether user and password come from the option `credentials`, and may be good for this attempt only. The adapter
   * forgets the password after the login, or hides it from who inspects the client, as far as the driver lets it.
   */
  readonly passing?: boolean;
  /**
   * Opens another connection to the same server, such as one that cancels a statement: `open` is called with a target
   * whose login is good now, and once more if the option `credentials` gives another one after a refusal. An adapter keeps
   * this method, and not a target with a password. Default: `open` gets the same target with another signal.
   *
   * @param signal Ends the attempt.
   * @param open Opens the connection.
   * @returns What `open` returned.
   * @throws {CredentialsError} if there is no login.
   * @throws What `open` threw, or the signal's reason.
   */
  again?<T>(signal: AbortSignal, open: (target: Target) => Promise<T>): Promise<T>;
  /** Ends the attempt: `connect` must then reject, preferably with the signal's reason, and leave no socket open. */
  readonly signal: AbortSignal;
}

/** The role of a server, as a new session sees it. */
export interface Role {
  /** Whether the server replicates from another one (a hot standby, a replica). */
  readonly standby: boolean;
  /** Whether the server refuses the writes of a new session. */
  readonly readOnly: boolean;
}

/**
 * What is known about a connection's transaction:
 *
 * - `"idle"`: none is open.
 * - `"open"`: one is open.
 * - `"failed"`: an error has ended its work. Nothing that it did can be committed; what follows is refused, or would be
 *   done outside of it, until a rollback.
 */
export type TransactionStatus = "idle" | "open" | "failed";

/** Why a transaction was not committed. */
export interface NotCommitted {
  /** The error that ended the transaction, if the adapter knows it. */
  readonly cause?: unknown;
}

/** What an error means for its connection, as {@linkcode Adapter.classify} returns it. */
export type Verdict = "disconnect" | "closed" | "read-only" | "stale" | undefined;

/** The values of a statement: one per placeholder, or by name for a driver that has named placeholders. */
export type BindValues = readonly unknown[] | Readonly<Record<string, unknown>>;

/**
 * What a connection has still to do:
 *
 * - `"none"`: nothing. The server has answered all, and the driver has nothing to send.
 * - `"running"`: the rest comes by itself, as the answer to a statement that is running.
 * - `"stuck"`: the rest comes only if the holder goes on: an open cursor, an unfinished COPY, a result that is not read,
 *   a transaction or a reservation of the driver's own that has not ended.
 * - `"ended"`: the holder has closed the connection.
 */
export type Activity = "none" | "running" | "stuck" | "ended";

/** How a statement is cancelled. */
export interface CancelOptions {
  /** Ends the attempt after `probeTimeout`: no socket may remain then, and the connection is terminated. */
  readonly signal: AbortSignal;
  /**
   * Whether the client was terminated before. Its holder then learns nothing of how the statement ends: a server that
   * is told to stop waiting for its replica says that the COMMIT is done, although it may be lost with that server. The
   * session may be ended as a whole.
   */
  readonly terminated: boolean;
}

/** A value of a setting: an array is a list of names, as for `search_path`. */
export type SettingValue = string | number | bigint | boolean | readonly string[];

/** What `engine.begin` is to set for one transaction. */
export interface TransactionSettings {
  /** The isolation level, such as `"serializable"`. */
  readonly isolationLevel?: string | undefined;
  /** Whether the transaction refuses writes. */
  readonly readOnly?: boolean | undefined;
  /** Whether it waits for a snapshot with which it cannot fail (PostgreSQL, serializable and read-only). */
  readonly deferrable?: boolean | undefined;
  /** Settings of the session by name, in the order of the call; empty if there are none. */
  readonly settings: Readonly<Record<string, SettingValue>>;
}

/** A statement and its bind values. */
export type Statement = readonly [text: string, values?: readonly unknown[]];

/** The statements of a transaction with settings, as {@linkcode Adapter.planTransaction} returns them. */
export interface TransactionPlan {
  /** Statements before the transaction begins. */
  readonly before: readonly Statement[];
  /** The statement that begins it, without values. */
  readonly begin: string;
  /** Statements in the transaction, before the caller's. */
  readonly after: readonly Statement[];
  /**
   * Statements that put back what `before` changed in the session, after the end of the transaction, however that was.
   * They are sent if the first statement of `before` was done; if one fails, the connection is closed when it comes back.
   */
  readonly end: readonly Statement[];
}

/** How a driver listens for notifications of its server, as {@linkcode Adapter.notifications} has it. */
export interface Notifications<C> {
  /**
   * Checks a channel's name before anything is sent. Default: any non-empty string is allowed.
   *
   * @param channel The name.
   * @throws {TypeError} if there can be no such channel.
   */
  check?(channel: string): void;
  /**
   * Calls `listener` for each notification, in the server's order. Called once per connection, right after the connect.
   *
   * @param client A client that was just opened, which is used for nothing else.
   * @param listener Takes the channel, as it was passed to `listen`, and the payload, which may be empty.
   */
  onNotify(client: C, listener: (channel: string, payload: string) => void): void;
  /**
   * Begins to listen.
   *
   * @param client The client; no other statement is running on it.
   * @param channel The channel, as `check` allows it: quote it.
   * @returns Fulfilled when the server sends each notification that is committed from now on.
   * @throws The driver's error.
   */
  listen(client: C, channel: string): Promise<void>;
  /**
   * Ends what `listen` began.
   *
   * @param client The client; no other statement is running on it.
   * @param channel The channel.
   * @throws The driver's error.
   */
  unlisten(client: C, channel: string): Promise<void>;
}

/** The state of an encrypted connection. */
export interface TlsState {
  /**
   * What was verified in the server's certificate: `"name"`, its issuer is trusted and it is valid for the host name;
   * `"chain"`, its issuer is trusted; `"nothing"`, any certificate was accepted.
   */
  readonly checked: "name" | "chain" | "nothing";
}

/**
 * Opens and operates the connections of one driver. `C` is the type of the driver's client, which leases hand out.
 *
 * Only `name`, `defaultPort` and `connect` are required. Every other member enables something, as its description
 * says; an engine option that needs a missing member is refused when the engine is made. The pool calls an adapter
 * only with clients that its `connect` returned. Methods that return a promise may reject, and any method may throw:
 * the pool then treats the connection as unusable or logs a warning, and never loses a slot.
 *
 * @example An adapter for a server that sends back each line
 * ```ts
 * import { type Adapter, getDnsEngine } from "@dnspool/dnspool";
 * import { assertEquals } from "@std/assert";
 * import { once } from "node:events";
 * import net from "node:net";
 *
 * const echoAdapter: Adapter<net.Socket> = {
 *   name: "echo",
 *   defaultPort: 7,
 *
 *   async connect(ip, { port, signal }) {
 *     signal.throwIfAborted();
 *     const socket = net.connect({ host: ip, port });
 *     socket.on("error", () => {}); // without a listener, an error ends the process
 *     const onAbort = () => socket.destroy();
 *     signal.addEventListener("abort", onAbort, { once: true });
 *     try {
 *       await once(socket, "connect", { signal });
 *       return socket;
 *     } finally {
 *       signal.removeEventListener("abort", onAbort);
 *     }
 *   },
 *
 *   terminate: (socket, reason) => void socket.destroy(reason),
 *   onClose: (socket, listener) => void socket.once("close", () => listener()),
 * };
 *
 * const server = net.createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
 * await once(server, "listening");
 * const { port } = server.address() as net.AddressInfo;
 *
 * const engine = getDnsEngine(`echo://127.0.0.1:${port}`, { adapter: echoAdapter });
 * const reply = await engine.use(async ({ client }) => {
 *   client.write("hello\n");
 *   const [bytes] = await once(client, "data");
 *   return String(bytes);
 * });
 * assertEquals(reply, "hello\n");
 * await engine.close();
 * server.close();
 * ```
 */
export interface Adapter<C> {
  /** Name of the driver, such as `"pg"`: `engine.driver`, and part of error messages. */
  readonly name: string;
  /** TCP port for a URL without one. */
  readonly defaultPort: number;
  /**
   * Whether connections use no network, as those to a file. Default: `false`. If `true`, the URL must have no host, no
   * DNS query is sent, `connect` gets the URL's database as `ip`, and the default of `poolSize` is 1.
   */
  readonly local?: boolean;
  /**
   * Returns the path of the Unix socket of a host that begins with `/`. Called when the engine is made; `connect` and
   * `probe` then get that path as `ip`. Default: such a host is refused.
   *
   * @param host The path in the URL: of a directory or of the socket, as is usual for the server.
   * @param port The port in the URL, or else `defaultPort`.
   */
  socketPath?(host: string, port: number): string;
  /**
   * Returns whether the data are lost when their connection is closed, as with a database in memory. Called when the
   * engine is made. If it returns `true`, the engine keeps one connection and refuses the options that would close
   * it or open a second one. Default: `false`.
   *
   * @param destination What the URL and `connectArgs` say.
   */
  volatile?(destination: Destination): boolean;
  /**
   * Checks the URL and `connectArgs`. Called when the engine is made, before any connection is opened; without
   * it, mistakes show only when the first connection is opened.
   *
   * @param destination What the URL and `connectArgs` say.
   * @throws {TypeError} if a value is not allowed, or if the driver would ignore it.
   */
  check?(destination: Destination): void;
  /**
   * Loads the driver. Called before the first connection of an engine is opened, at the same time as the DNS query, so
   * that `connect` need not wait for it. A failure is ignored: `connect` is called all the same, and must load the driver
   * itself if that was not done. Default: nothing is loaded ahead of `connect`.
   *
   * @returns Fulfilled when the driver is loaded, with anything.
   */
  load?(): Promise<unknown>;
  /**
   * Opens a connection to `ip`, never to `target.host`, and completes the handshake and the login. Called for each new
   * connection, and without `probe` for a probe. The pool limits the time by `connectTimeout` with `target.signal`; a
   * connection that comes after the end of the attempt is passed to `terminate`.
   *
   * @param ip Address to connect to; the path of a Unix socket, if `socketPath` returned one.
   * @param target Everything else about the connection.
   * @returns The driver's client, ready for statements.
   * @throws {DriverUnavailableError} if the driver cannot be loaded: no other address is tried.
   * @throws What the driver throws, if the attempt fails: the next address is tried. The reason of `target.signal`, if
   *   it is aborted. No socket may remain in either case.
   */
  connect(ip: string, target: Target): Promise<C>;
  /**
   * Finds out whether the server at `ip` answers at all, without waiting for a login. Called while leases are out to an
   * address that left the DNS answer, and for the server of a lease that is out for longer than `leaseProbeAfter`; at
   * most once at a time for all engines with an adapter of this name, the same `ip` and port.
   *
   * A TCP handshake is the kernel's answer: it succeeds although the process of the server hangs. So ask for the first
   * byte, or for the end of the connection, that only the process can send. Without `probe`, the pool calls `connect`
   * and then `close`: a server whose login takes longer than `probeTimeout` then counts as silent.
   *
   * @param ip Address to connect to.
   * @param target Everything else about the connection.
   * @returns Fulfilled at the first answer of the server, whatever it says.
   * @throws The socket's error, if the connection fails: a refusal or a reset is an answer; the codes `ETIMEDOUT`,
   *   `EHOSTUNREACH`, `EHOSTDOWN`, `ENETUNREACH` and `ENETDOWN` are none. The reason of `target.signal`, if it is
   *   aborted. No socket may remain in either case.
   */
  probe?(ip: string, target: Target): Promise<void>;
  /**
   * Returns the address that a new connection is open to, for a driver that can connect to a name alone. It must be
   * one of `target.addresses()`. Called once per connection. Default, also if it returns `undefined`: the `ip` given to
   * `connect`.
   *
   * @param client A client that was just opened.
   */
  address?(client: C): string | undefined;
  /**
   * Closes a connection gracefully: tells the server, then closes the socket. The pool waits for at most 2 seconds and
   * then calls `terminate`. Without it, connections are closed by `terminate`.
   *
   * @param client The client; no statement is running on it, as far as the pool knows.
   */
  close?(client: C): Promise<void>;
  /**
   * Closes the socket at once. Called for a broken connection, for one whose server is gone, and at the end of a wait
   * for `close`. Pending statements must reject. It may be called twice, or after `close`. Without it, the pool calls
   * `close` instead and does not wait for it.
   *
   * @param client The client.
   * @param reason Why the connection is closed. Pending statements reject with it if the driver can do so.
   */
  terminate?(client: C, reason?: Error): void;
  /**
   * Cancels the statement that is running, on the server. Called when the signal or the timeout of `engine.query` or
   * `engine.begin` ends a statement, and after `terminate` for a connection that was in use although its server is
   * alive. Nothing need be done if no statement is running. Without it, the connection is only terminated, and what is
   * running on the server goes on there.
   *
   * @param client A client in use.
   * @param options What ends the attempt, and whether the client is terminated.
   * @returns Fulfilled when the cancel can no longer reach a statement that the connection sends after its present one.
   * @throws If the cancel could not be sent, or may still reach a later statement: the connection is terminated.
   */
  cancel?(client: C, options: CancelOptions): Promise<void>;
  /**
   * Lets the connection keep the process alive. Called when an idle connection is leased. Needed if there is `unref`.
   *
   * @param client The client, which is about to be leased.
   */
  ref?(client: C): void;
  /**
   * Lets the process exit although the connection is open. Called when the connection becomes idle. Without it, a
   * program with idle connections runs until its engine is closed.
   *
   * @param client The client, which is idle now.
   */
  unref?(client: C): void;
  /**
   * Makes one round trip to the server. Called at a checkout, if `poolPrePing` is on; the option needs it. Without the
   * option, called after an error that is `"closed"`, until one was answered: on connections that were opened, and on idle
   * ones before they are handed out.
   *
   * @param client An idle client.
   * @throws If the server does not answer: the connection is replaced. The pool limits the wait to `connectTimeout`.
   */
  ping?(client: C): Promise<void>;
  /**
   * Ends an open transaction, and puts settings back that the next holder does not expect: with MySQL and MariaDB,
   * autocommit. Called at a checkin unless `transactionStatus` returns `"idle"` or `poolResetOnReturn` is
   * off.
   * It must succeed if no transaction is open. Without it, an open transaction stays open at a checkin.
   *
   * @param client The client, which was just released.
   * @param how Whether to roll back or to commit, as `poolResetOnReturn` says.
   * @throws If the transaction may still be open: the connection is closed.
   */
  reset?(client: C, how: "rollback" | "commit"): Promise<void>;
  /**
   * Returns the status of the session's transaction, without a round trip; `undefined` if it is not known, as while the
   * driver has a statement that is not answered. Called at a checkin: if it returns `"idle"`, `reset` is not called.
   * Called by `engine.begin` before it commits, if there is no `commit`: if it returns `"failed"`, the transaction is
   * rolled back and the call rejects. Default: not known.
   *
   * @param client The client.
   */
  transactionStatus?(client: C): TransactionStatus | undefined;
  /**
   * Notes the settings of the session that `reset` puts back. Called once per connection, after the hook `connect`.
   *
   * @param client A client that was just opened.
   */
  keepSettings?(client: C): void;
  /**
   * Begins a transaction. Called by `engine.begin`. Default: `BEGIN` by `query`.
   *
   * @param client A leased client.
   * @param statement The statement that begins it, if `planTransaction` gave one. Default: `BEGIN`.
   */
  begin?(client: C, statement?: string): Promise<void>;
  /**
   * Returns the statements of a transaction with settings. Called by `engine.begin`, before the checkout, if its options
   * have any; they need it. The statements are run by `query`, but for `begin`.
   *
   * @param settings The settings; at least one is given.
   * @throws {TypeError} if the server cannot have one of them for a transaction alone.
   */
  planTransaction?(settings: TransactionSettings): TransactionPlan;
  /**
   * Commits the transaction that `engine.begin` began, and finds out whether the server did it: some servers answer
   * COMMIT without an error although they roll back. Default: `COMMIT` by `query`, which counts as done unless it
   * rejects.
   *
   * @param client A leased client.
   * @returns `undefined` if the transaction was committed. Otherwise why not; no transaction is open then.
   * @throws The driver's error; then the transaction is rolled back.
   */
  commit?(client: C): Promise<NotCommitted | undefined>;
  /**
   * Waits until the driver has taken note of all calls that the holder made, for a driver that begins a statement only
   * in a later microtask. Called at a checkin, before `activity` and `transactionStatus`. Default: nothing is waited for.
   *
   * @param client The client, which was just released.
   * @returns `undefined` if there is nothing to wait for.
   */
  settle?(client: C): Promise<void> | undefined;
  /**
   * Returns what the connection has still to do, without a round trip; `undefined` if that is not known. Called at a
   * checkin, before and after everything else. While it is `"running"`, the connection is not handed out: `reset` or
   * `ping` is called, which must end after what is running. If it is `"stuck"`, now and a turn of the event loop later,
   * or `"ended"`, the connection is terminated at once. Default: not known, and nothing is waited for.
   *
   * @param client The client, which was just released.
   */
  activity?(client: C): Activity | undefined;
  /**
   * Takes note of the state of a new session, which `resetSession` is to put back. Called after the connect if
   * `poolResetOnReturn` is `"reset"`. Default: the server itself knows.
   *
   * @param client A client that was just opened.
   */
  noteSession?(client: C): Promise<void>;
  /**
   * Makes the session like a new one: what statements set, created, prepared, locked or listened to is gone, on the
   * server and in the driver. Called at a checkin if `poolResetOnReturn` is `"reset"`, which needs it, and then also
   * `reset` to end an open transaction. No transaction is open.
   *
   * @param client The client, which was just released.
   * @throws If the session may not be like a new one: the connection is closed.
   */
  resetSession?(client: C): Promise<void>;
  /**
   * Sets the isolation level of the session. Called after the connect and at checkouts and checkins if the option
   * `isolationLevel` asks for it; the option needs it.
   *
   * @param client The client.
   * @param level The level, such as `"serializable"`; `undefined` restores the server's own.
   * @throws {TypeError} if there is no such level.
   */
  setIsolationLevel?(client: C, level: string | undefined): Promise<void>;
  /**
   * Finds out the role of the server, whatever the session or its transaction was set to by its caller: a read-only
   * transaction is no read-only server. Called once per new connection if `targetSessionAttrs` is not `"any"`, which
   * needs it; and at a checkin, without a transaction, if an error or `onRoleChange` said that the role may be another.
   *
   * @param client A client that was just opened, or just released.
   */
  role?(client: C): Promise<Role>;
  /**
   * Calls `listener` each time the server reports by itself that its role may have changed, as a standby that was
   * promoted; also if that happened since `role` was called last. Called once per connection, right after the connect, if
   * `targetSessionAttrs` asked for a role. When the connection comes back, `role` is called. Default: only errors tell.
   *
   * @param client A client that was just opened.
   * @param listener Is told of each report.
   */
  onRoleChange?(client: C, listener: () => void): void;
  /**
   * Returns how the connection is protected, without a round trip; `undefined` if it is not encrypted. Called by
   * `dnspool check`, which reports "unknown" without it.
   *
   * @param client The client.
   */
  tls?(client: C): TlsState | undefined;
  /**
   * Tells what an error means for its connection:
   *
   * - `"disconnect"`: the connection is lost. It is closed, other connections to the same address are closed once they
   *   are idle, and DNS is asked again.
   * - `"closed"`: the server ended this session, perhaps alone, for instance after a timeout or because an administrator
   *   said so: this connection is lost, and others to the same address are pinged before their next use, until a ping was
   *   answered: the server may be about to end, or be a proxy that has lost its own. A connect that failed with it, as
   *   where there are too many connections, may be tried again.
   * - `"read-only"`: the server refuses writes. DNS is asked again, and if `targetSessionAttrs` asks for a server that
   *   takes writes, the connections are closed as for `"disconnect"`.
   * - `"stale"`: the session can no longer run one of its prepared statements. The connection is closed when it comes
   *   back; others are kept.
   * - `undefined`: an ordinary error; the connection is good.
   *
   * Called with each error that a lease is released with, that `onError` reports or that `connect` throws. Default:
   * every error is an ordinary one.
   *
   * @param error Any value: a driver's error, or what user code threw.
   */
  classify?(error: unknown): Verdict;
  /**
   * Tells whether `connect` failed because the server refused user or password. The option `credentials` is then asked
   * again, and `connect` called once more if it gives another login. Default: no error means that.
   *
   * @param error Any value: what `connect` threw.
   */
  refusesLogin?(error: unknown): boolean;
  /**
   * Tells whether `connect` failed because the server lets no client in at all, although it may go on for those
   * that it has, and waits for them to leave: PostgreSQL's smart shutdown. If a second attempt after a second fails so as
   * well, open connections to the address are closed as they come back. Default: no error means that.
   *
   * @param error Any value: what `connect` threw.
   */
  refusesClients?(error: unknown): boolean;
  /**
   * Calls `listener` when the connection ends, once. Called once per connection, right after the connect. Without it,
   * the end of an idle connection is noticed only at its next use.
   *
   * @param client A client that was just opened.
   * @param listener Takes the error that ended the connection, if there is one.
   */
  onClose?(client: C, listener: (error?: unknown) => void): void;
  /**
   * Calls `listener` for each error that the server reports on the connection, also if the statement's caller handles
   * the error. So a read-only server is noticed although an ORM swallows its error, the holder of a connection that the
   * server ended is told what the server said last, and `engine.begin` can tell which error ended a transaction. Errors
   * that only say that an earlier one ended it are left out; a warning that a COMMIT is not confirmed by the replica that
   * it waited for counts as one, so that a cancelled statement is not taken for done, and so does one that the server ends
   * the session. Called once per connection, right after the connect. Without it, only errors that a lease is released
   * with are noticed.
   *
   * @param client A client that was just opened.
   * @param listener Takes the error.
   */
  onError?(client: C, listener: (error: unknown) => void): void;
  /**
   * How notifications are listened for. Called by `engine.listen`, which needs it; `ping` is then called every 10 seconds,
   * so that a server that is silent is noticed. Default: the driver has none.
   */
  readonly notifications?: Notifications<C>;
  /**
   * Runs one statement. Called by `engine.query` and `engine.begin`, which need it.
   *
   * @param client A leased client.
   * @param text The statement, with the driver's own placeholders.
   * @param values The bind values, one per placeholder, or an object of names for a driver that has them; `undefined` if
   *   there are none.
   * @param onDone To be called, if the driver has a callback for it, as soon as a statement has succeeded and the client
   *   can take the next one, which is then sent in this call. Default: that is so when the promise is settled.
   * @returns The rows of the statement's result; an empty array if it has none.
   * @throws The driver's error.
   */
  query?(
    client: C,
    text: string,
    values?: BindValues,
    onDone?: () => void,
  ): Promise<readonly unknown[]>;
}
