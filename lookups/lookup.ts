/**
 * The contract that every lookup keeps: one question, one server, one attempt.
 *
 * @module
 */

/** A DNS server's address. */
export interface NameServer {
  /** IPv4 or IPv6 address, without brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** What is asked. */
export interface Question {
  /** The host name, in lower case and without a trailing dot. */
  readonly name: string;
  /**
   * Whether the name was given with a trailing dot: whoever knows search domains leaves them out. Default `false`.
   */
  readonly absolute?: boolean | undefined;
  /** 4 asks for A records, 6 for AAAA. */
  readonly family: 4 | 6;
  /** The server to ask; without it, whatever the lookup asks by itself. */
  readonly server?: NameServer | undefined;
  /** Ends the lookup: it rejects with `signal.reason` and leaves nothing running. */
  readonly signal: AbortSignal;
  /**
   * Whether the process may end while the lookup waits, because whoever waits for it holds the process up by
   * himself, or nobody waits. Heeded where the runtime lets a lookup choose. Default `false`.
   */
  readonly unref?: boolean | undefined;
}

/** A CNAME record on the way from a name to its addresses. */
export interface Alias {
  /** The name that has the record, in lower case and without a trailing dot. */
  readonly name: string;
  /** The name that it stands for. */
  readonly target: string;
  /** Seconds, from 0. */
  readonly ttl: number;
}

/** What came back. */
export interface Answer {
  /** At least one address, in the server's order, each a valid IP of the family asked for, no duplicates. */
  readonly addresses: readonly string[];
  /** Seconds, the minimum over the CNAME chain; `undefined` where the source cannot tell. */
  readonly ttl: number | undefined;
  /** Who answered, such as `"127.0.0.1:53"`, where known. */
  readonly server?: string | undefined;
  /**
   * The CNAME records that led to the addresses, in order: empty where there is none, `undefined` where the source
   * cannot tell. For people to read: nothing is decided by it.
   */
  readonly chain?: readonly Alias[] | undefined;
}

/**
 * Turns a name into addresses: one question, one server, one attempt. No cache and no retry: those are the
 * resolver's.
 *
 * What a lookup throws is read by its fields, not by its class: `kind` (`"negative"`, `"ambiguous"`,
 * `"transient"` or `"config"`; `"transient"` where it is missing) and `negativeTtl`. `LookupError` has both.
 *
 * @example A lookup of your own
 * ```ts
 * import { getIpWithTtl, type Lookup } from "@dnspool/dnspool";
 * import { assertEquals } from "@std/assert";
 *
 * const table: Lookup = {
 *   name: "table",
 *   lookup: () => Promise.resolve({ addresses: ["127.0.0.2"], ttl: 60 }),
 * };
 * assertEquals(await getIpWithTtl("db.internal", { dnsLookup: table }), ["127.0.0.2", 60]);
 * ```
 */
export interface Lookup {
  /** A short name for messages, such as `"wire"`. */
  readonly name: string;
  /**
   * Asks one question.
   *
   * @param question The name, the family, the server and the signal that ends it.
   * @returns The answer.
   * @throws {LookupError} whose `kind` says what the failure means; or `signal.reason` once aborted.
   */
  lookup(question: Question): Promise<Answer>;
  /** The servers it would ask by itself, where it can tell; empty where it cannot. */
  servers?(): readonly NameServer[];
}

/**
 * A lookup by its name: `"system"` is the runtime's own resolver, `"wire"` sends DNS messages of its own, a URL is
 * asked over HTTPS (RFC 8484).
 */
export type LookupName = "system" | "wire" | `https://${string}` | `http://${string}`;
