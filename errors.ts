/**
 * The error classes of dnspool, each with a stable `code`.
 *
 * An argument that is not valid is a `TypeError` or a `RangeError`, thrown at once; whatever fails later is one of
 * these. No message, field or `cause` made here holds a password.
 *
 * @module
 */

/** The codes. They do not change between releases; messages may. */
export type ErrorCode =
  | "LOOKUP_FAILED"
  | "RESOLVE_FAILED"
  | "CONNECT_FAILED"
  | "CREDENTIALS_FAILED"
  | "DRIVER_UNAVAILABLE"
  | "POOL_TIMEOUT"
  | "POOL_CLOSED"
  | "CONNECTION_IN_USE"
  | "CONNECTION_LOST"
  | "LEASE_TIMEOUT"
  | "TRANSACTION_ABORTED"
  | "DISCONNECTED";

/**
 * The base class of all errors of dnspool: a `code` to compare, and often a `cause`.
 *
 * @example Recognize an error of dnspool
 * ```ts
 * import { DnsPoolError, getDnsEngine } from "@dnspool/dnspool";
 * import { assert } from "@std/assert";
 *
 * const engine = getDnsEngine("postgresql://app@127.0.0.1:1/db", { connectTimeout: 1 });
 * await engine.close();
 * const error = await engine.connect().catch((error) => error);
 * assert(error instanceof DnsPoolError);
 * assert(error.code === "POOL_CLOSED");
 * ```
 */
export class DnsPoolError extends Error {
  /** The stable code of this kind of error. */
  readonly code: ErrorCode;

  /**
   * Makes the error.
   *
   * @param code The stable code.
   * @param message What was tried, and after a colon the state in which it was tried.
   * @param options The `cause`, if there is one.
   */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = this.constructor.name;
  }
}

/**
 * What a failed lookup means.
 *
 * - `"negative"`: the server said that there is no such name or no such record (NXDOMAIN, NODATA; RFC 2308).
 * - `"ambiguous"`: "not found", which the runtime says for that and for an outage (Deno).
 * - `"transient"`: SERVFAIL, REFUSED, FORMERR, a timeout, a network error, an unusable response (RFC 9520).
 * - `"config"`: a missing permission, or a name or server that cannot be asked. Not tried again.
 */
export type LookupErrorKind = "negative" | "ambiguous" | "transient" | "config";

/** The fields of a {@linkcode LookupError}. */
export interface LookupErrorOptions extends ErrorOptions {
  /** What the failure means. */
  kind: LookupErrorKind;
  /** Seconds for which a negative answer may be cached (SOA minimum, RFC 2308 section 5), if known. */
  negativeTtl?: number | undefined;
  /** The name of the DNS response code, or the runtime's error code, such as `"SERVFAIL"` or `"ETIMEOUT"`. */
  reason?: string | undefined;
}

/** One query to one server did not bring an answer. */
export class LookupError extends DnsPoolError {
  /** What the failure means; it decides what the resolver does next. */
  readonly kind: LookupErrorKind;
  /** Seconds for which a negative answer may be cached, if known. */
  readonly negativeTtl: number | undefined;
  /** The name of the DNS response code, or the runtime's error code, if known. */
  readonly reason: string | undefined;

  /**
   * Makes the error.
   *
   * @param message The query, the server, and the response.
   * @param options The kind of the failure, and the other fields.
   */
  constructor(message: string, options: LookupErrorOptions) {
    super("LOOKUP_FAILED", message, options);
    this.kind = options.kind;
    this.negativeTtl = options.negativeTtl;
    this.reason = options.reason;
  }
}

/** A name could not be resolved: every attempt failed, and no stale answer may be used. `cause` is the last failure. */
export class ResolveError extends DnsPoolError {
  /** The name. */
  readonly host: string;
  /** What the last failure meant. */
  readonly kind: LookupErrorKind;

  /**
   * Makes the error.
   *
   * @param message The name, and the last failure.
   * @param options The name, the kind of the last failure, and the failure itself as `cause`.
   */
  constructor(
    message: string,
    options: ErrorOptions & { host: string; kind: LookupErrorKind },
  ) {
    super("RESOLVE_FAILED", message, options);
    this.host = options.host;
    this.kind = options.kind;
  }
}

/** A failed connection attempt. */
export interface ConnectAttempt {
  /** The address. */
  readonly address: string;
  /** Why it failed: the driver's own error, or the error for a server of another role. */
  readonly error: unknown;
}

/** No connection could be opened. `cause` is the driver's own error, `attempts` has one element per address. */
export class ConnectError extends DnsPoolError {
  /** The host name of the URL. */
  readonly host: string;
  /** The failed attempts, in order. */
  readonly attempts: readonly ConnectAttempt[];

  /**
   * Makes the error.
   *
   * @param message The host, the addresses, and their errors.
   * @param options The host, the attempts, and the last driver error as `cause`.
   */
  constructor(
    message: string,
    options: ErrorOptions & { host: string; attempts: readonly ConnectAttempt[] },
  ) {
    super("CONNECT_FAILED", message, options);
    this.host = options.host;
    this.attempts = options.attempts;
  }
}

/**
 * The function of the option `credentials` failed, or gave nothing that can be used. `cause` is what it threw, whose
 * message is not repeated here: it may hold a secret.
 *
 * @example Tell a missing token from a database that is down
 * ```ts
 * import { CredentialsError, getDnsEngine } from "@dnspool/dnspool";
 * import { fakeAdapter } from "@dnspool/dnspool/testing";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const engine = getDnsEngine("fake://app@127.0.0.1/orders", {
 *   adapter: fakeAdapter(),
 *   credentials: () => Promise.reject(new Error("the token service is down")),
 * });
 * const error = await engine.connect().catch((error) => error);
 * assert(error instanceof CredentialsError);
 * assertEquals([error.code, error.host], ["CREDENTIALS_FAILED", "127.0.0.1"]);
 * await engine.close();
 * ```
 */
export class CredentialsError extends DnsPoolError {
  /** The host name of the server that the credentials were for. */
  readonly host: string;

  /**
   * Makes the error.
   *
   * @param message The host, and what failed.
   * @param options The host, and what the function threw as `cause`.
   */
  constructor(message: string, options: ErrorOptions & { host: string }) {
    super("CREDENTIALS_FAILED", message, options);
    this.host = options.host;
  }
}

/** The driver that the URL names is not installed, or does not run on this runtime. */
export class DriverUnavailableError extends DnsPoolError {
  /** The driver's name in the URL, such as `"pg"`. */
  readonly driver: string;

  /**
   * Makes the error.
   *
   * @param message The driver, and the command that installs it.
   * @param options The driver, and the import's own error as `cause`.
   */
  constructor(message: string, options: ErrorOptions & { driver: string }) {
    super("DRIVER_UNAVAILABLE", message, options);
    this.driver = options.driver;
  }
}

/** The counters of a pool. */
export interface PoolCounts {
  /** Maximum number of connections that the pool keeps when they come back. */
  readonly poolSize: number;
  /** Maximum number of connections above `poolSize`. */
  readonly maxOverflow: number;
  /** Number of connections in use. */
  readonly inUse: number;
  /** Number of connections in use whose address departed: they do not count against the limit. */
  readonly retired: number;
  /** Number of idle connections. */
  readonly idle: number;
  /** Number of connections that are being opened. */
  readonly connecting: number;
  /** Number of waiting checkouts. */
  readonly waiting: number;
}

/** A checkout waited until its timeout. `cause` is the last error of a connect, if there was one. */
export class PoolTimeoutError extends DnsPoolError {
  /** The pool's counters at the timeout. */
  readonly counts: PoolCounts;
  /** Number of seconds that the checkout waited. */
  readonly waited: number;

  /**
   * Makes the error.
   *
   * @param message The pool, the seconds and the counters.
   * @param options The counters, the seconds waited, and the last connect error as `cause`.
   */
  constructor(
    message: string,
    options: ErrorOptions & { counts: PoolCounts; waited: number },
  ) {
    super("POOL_TIMEOUT", message, options);
    this.counts = options.counts;
    this.waited = options.waited;
  }
}

/** A second connection was checked out of a pool of the class `"assertion"` while the first is in use. */
export class ConnectionInUseError extends DnsPoolError {
  /** The stack trace of the first checkout; `undefined` while its connection is being opened. */
  readonly takenAt: string | undefined;

  /**
   * Makes the error.
   *
   * @param message The pool, and the stack trace of the first checkout.
   * @param options The stack trace.
   */
  constructor(message: string, options: { takenAt: string | undefined }) {
    super("CONNECTION_IN_USE", message);
    this.takenAt = options.takenAt;
  }
}

/** The pool or engine is closed. */
export class PoolClosedError extends DnsPoolError {
  /**
   * Makes the error.
   *
   * @param message What was tried, and the name of the pool.
   */
  constructor(message: string) {
    super("POOL_CLOSED", message);
  }
}

/**
 * The connection was lost while work was under way on it. The work may or may not have been done: the program has to
 * find out before it sends the work again.
 */
export class ConnectionLostError extends DnsPoolError {
  /** The address of the connection. */
  readonly address: string;

  /**
   * Makes the error.
   *
   * @param message The connection, and why it was lost.
   * @param options The address, and the reason as `cause`.
   */
  constructor(message: string, options: ErrorOptions & { address: string }) {
    super("CONNECTION_LOST", message, options);
    this.address = options.address;
  }
}

/**
 * A lease took longer than `leaseTimeout`: its connection was terminated, and what it was running was cancelled on the
 * server. The work may or may not have been done.
 */
export class LeaseTimeoutError extends ConnectionLostError {
  /** The stable code of this kind of error. */
  override readonly code: ErrorCode = "LEASE_TIMEOUT";
  /** The stack trace of the checkout. */
  readonly takenAt: string | undefined;
  /** Number of seconds that the lease took. */
  readonly seconds: number;

  /**
   * Makes the error.
   *
   * @param message The connection, the seconds, and the stack trace of the checkout.
   * @param options The address, the seconds and the stack trace.
   */
  constructor(
    message: string,
    options: ErrorOptions & { address: string; seconds: number; takenAt: string | undefined },
  ) {
    super(message, options);
    this.seconds = options.seconds;
    this.takenAt = options.takenAt;
  }
}

/**
 * A transaction was not committed although its function returned, or a savepoint was not released: an error that the
 * function handled had ended the work, or the function ended the transaction itself. `cause` is the server's error, if
 * it is known.
 */
export class TransactionAbortedError extends DnsPoolError {
  /**
   * Makes the error.
   *
   * @param message What was not done, and why.
   * @param options The server's error as `cause`, if it is known.
   */
  constructor(message: string, options?: ErrorOptions) {
    super("TRANSACTION_ABORTED", message, options);
  }
}

/**
 * Thrown by a hook to refuse a connection: the checkout invalidates it and tries another one, once.
 */
export class DisconnectionError extends DnsPoolError {
  /**
   * Makes the error.
   *
   * @param message What is wrong with the connection.
   * @param options The `cause`, if there is one.
   */
  constructor(message: string, options?: ErrorOptions) {
    super("DISCONNECTED", message, options);
  }
}
