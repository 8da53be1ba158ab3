/**
 * Every error class of dnspool, each with a stable `code`.
 *
 * Arguments that cannot be meant are a `TypeError` or a `RangeError`, thrown at once; everything that goes
 * wrong later is one of these. No message, field or `cause` made here ever holds a password.
 *
 * @module
 */

/** The stable codes. They do not change between releases; messages may. */
export type ErrorCode =
  | "LOOKUP_FAILED"
  | "RESOLVE_FAILED"
  | "CONNECT_FAILED"
  | "DRIVER_UNAVAILABLE"
  | "POOL_TIMEOUT"
  | "POOL_CLOSED"
  | "CONNECTION_IN_USE"
  | "CONNECTION_LOST"
  | "DISCONNECTED";

/**
 * What all errors of dnspool have in common: a `code` to compare, and often a `cause`.
 *
 * @example Tell dnspool's errors from others
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
   * @param message What was tried, and after a colon the state it was tried in.
   * @param options The `cause`, where there is one.
   */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/**
 * What a failed lookup means.
 *
 * - `"negative"`: the server said that there is no such name or no such record (NXDOMAIN, NODATA; RFC 2308).
 * - `"ambiguous"`: the runtime says "not found" for that and for an outage alike (Deno).
 * - `"transient"`: SERVFAIL, REFUSED, FORMERR, time-out, network, an unusable response (RFC 9520).
 * - `"config"`: a missing permission, a name or server that cannot be asked. Never tried again.
 */
export type LookupErrorKind = "negative" | "ambiguous" | "transient" | "config";

/** The facts of a {@linkcode LookupError}. */
export interface LookupErrorOptions extends ErrorOptions {
  /** What the failure means. */
  kind: LookupErrorKind;
  /** Seconds for which a negative answer may be remembered (SOA minimum, RFC 2308 section 5), where known. */
  negativeTtl?: number | undefined;
  /** The DNS response code in words, or the runtime's own error code, such as `"SERVFAIL"` or `"ETIMEOUT"`. */
  reason?: string | undefined;
}

/** One question to one server did not bring an answer. */
export class LookupError extends DnsPoolError {
  /** What the failure means; the resolver decides by it. */
  readonly kind: LookupErrorKind;
  /** Seconds for which a negative answer may be remembered, where known. */
  readonly negativeTtl: number | undefined;
  /** The response code in words, or the runtime's error code, where known. */
  readonly reason: string | undefined;

  /**
   * Makes the error.
   *
   * @param message What was asked of whom, and what came back.
   * @param options The kind of failure and its facts.
   */
  constructor(message: string, options: LookupErrorOptions) {
    super("LOOKUP_FAILED", message, options);
    this.kind = options.kind;
    this.negativeTtl = options.negativeTtl;
    this.reason = options.reason;
  }
}

/** A name could not be resolved: every try failed, and no stale answer may be used. `cause` is the last failure. */
export class ResolveError extends DnsPoolError {
  /** The name that was asked for. */
  readonly host: string;
  /** What the last failure meant. */
  readonly kind: LookupErrorKind;

  /**
   * Makes the error.
   *
   * @param message What was asked, how often, and what came back last.
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

/** One address that was dialled in vain. */
export interface ConnectAttempt {
  /** The address that was dialled. */
  readonly address: string;
  /** What it said: the driver's own error, or the role it turned out to have. */
  readonly error: unknown;
}

/** No connection could be opened. `cause` is the driver's own error, `attempts` lists each address tried. */
export class ConnectError extends DnsPoolError {
  /** The host name of the URL. */
  readonly host: string;
  /** Each address that was dialled, in order, and what it said. */
  readonly attempts: readonly ConnectAttempt[];

  /**
   * Makes the error.
   *
   * @param message What was dialled, and what was said.
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

/** The driver that the URL names is not installed, or this runtime cannot have it. */
export class DriverUnavailableError extends DnsPoolError {
  /** The driver's name in the URL, such as `"pg"`. */
  readonly driver: string;

  /**
   * Makes the error.
   *
   * @param message Which driver is missing, and the command that installs it.
   * @param options The driver, and the import's own error as `cause`.
   */
  constructor(message: string, options: ErrorOptions & { driver: string }) {
    super("DRIVER_UNAVAILABLE", message, options);
    this.driver = options.driver;
  }
}

/** The pool's counters at one moment; also the fields of a {@linkcode PoolTimeoutError}. */
export interface PoolCounts {
  /** Connections that the pool keeps when they come back. */
  readonly poolSize: number;
  /** Connections that the pool opens above `poolSize`. */
  readonly maxOverflow: number;
  /** Connections handed out now. */
  readonly inUse: number;
  /** Those of them whose address departed: they do not count against the limit. */
  readonly retired: number;
  /** Connections ready to be handed out. */
  readonly idle: number;
  /** Connections being opened now. */
  readonly connecting: number;
  /** Checkouts that wait. */
  readonly waiting: number;
}

/** A checkout waited as long as it may. `cause` is the last error of a connect, where there was one. */
export class PoolTimeoutError extends DnsPoolError {
  /** The pool's counters when the time was up. */
  readonly counts: PoolCounts;
  /** How long the checkout waited, in seconds. */
  readonly waited: number;

  /**
   * Makes the error.
   *
   * @param message The pool, the seconds, the counters.
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

/** A pool of the class `"assertion"` was asked for a second connection while the first is out. */
export class ConnectionInUseError extends DnsPoolError {
  /** Where the first was taken, as a stack trace; `undefined` while it is still being opened. */
  readonly takenAt: string | undefined;

  /**
   * Makes the error.
   *
   * @param message Which pool was asked, and where the first connection was taken.
   * @param options The stack trace.
   */
  constructor(message: string, options: { takenAt: string | undefined }) {
    super("CONNECTION_IN_USE", message);
    this.takenAt = options.takenAt;
  }
}

/** The pool or engine was closed; it hands out nothing any more. */
export class PoolClosedError extends DnsPoolError {
  /**
   * Makes the error.
   *
   * @param message What was asked of which closed pool.
   */
  constructor(message: string) {
    super("POOL_CLOSED", message);
  }
}

/**
 * The connection was lost while work was under way on it. The work may or may not have been done: whoever
 * sent it has to find out before sending it again.
 */
export class ConnectionLostError extends DnsPoolError {
  /** The address that the connection was open to. */
  readonly address: string;

  /**
   * Makes the error.
   *
   * @param message Which connection was lost, why, and that the work may have been done.
   * @param options The address, and the reason as `cause`.
   */
  constructor(message: string, options: ErrorOptions & { address: string }) {
    super("CONNECTION_LOST", message, options);
    this.address = options.address;
  }
}

/**
 * For hooks to throw: "this connection is no good, take another one". A checkout that meets it invalidates
 * the connection and tries again, twice at the most.
 */
export class DisconnectionError extends DnsPoolError {
  /**
   * Makes the error.
   *
   * @param message What is wrong with the connection.
   * @param options The `cause`, where there is one.
   */
  constructor(message: string, options?: ErrorOptions) {
    super("DISCONNECTED", message, options);
  }
}
