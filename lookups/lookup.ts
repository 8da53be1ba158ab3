/**
 * The contract of every lookup: one question, one server, one attempt.
 *
 * @module
 */

/** A DNS server's address. */
export interface NameServer {
  /** IPv4 or IPv6 address, without brackets. A link-local one may have a zone: `"fe80::53%eth0"`. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  /** Whether the server is asked over TCP only, as `options use-vc` in `/etc/resolv.conf` says. Default `false`. */
  readonly tcp?: boolean | undefined;
  /** Maximum seconds for one question, as `options timeout:` in `/etc/resolv.conf` says. Default: no such limit. */
  readonly timeout?: number | undefined;
}

/** A question for the addresses of a name. */
export interface Question {
  /** The host name, in lower case and without a trailing dot. */
  readonly name: string;
  /**
   * Whether the name was given with a trailing dot, so that no search domain may be added. Default `false`.
   */
  readonly absolute?: boolean | undefined;
  /**
   * 4 asks for A records, 6 for AAAA, `"srv"` for SRV (RFC 2782). A lookup that cannot ask for SRV records throws an
   * error of the kind `"config"`.
   */
  readonly family: 4 | 6 | "srv";
  /** The server to ask. Default: the one that the lookup chooses. */
  readonly server?: NameServer | undefined;
  /**
   * Whether the hosts file may answer. The resolver has read it before; if it could not, a lookup whose runtime reads
   * the file by itself lets it do that. Default `false`.
   */
  readonly hosts?: boolean | undefined;
  /** Ends the lookup: it rejects with `signal.reason` and leaves nothing running. */
  readonly signal: AbortSignal;
  /**
   * Whether the process may exit while the lookup waits, because its caller keeps the process alive by other means,
   * or because no caller waits. Respected if the runtime supports it. Default `false`.
   */
  readonly unref?: boolean | undefined;
  /**
   * Called with what the lookup waits for, such as `"the server did not answer over TCP"`: the error of a timeout says
   * it. Until the first call that is `"the server did not answer"`.
   */
  readonly onWait?: ((what: string) => void) | undefined;
}

/** A CNAME record in the chain from a name to its addresses. */
export interface Alias {
  /** The name that has the record, in lower case and without a trailing dot. */
  readonly name: string;
  /** The name that it leads to. */
  readonly target: string;
  /** Seconds, from 0. */
  readonly ttl: number;
}

/** The answer to a question. */
export interface Answer {
  /**
   * At least one address, in the server's order, each a valid IP of the family asked for, no duplicates; or SRV records
   * as text, such as `"10 60 5432 db1.internal"`: priority, weight, port and target. Behind that may be all addresses of
   * the target, if the server sent them along; `ttl` is then the minimum of theirs too, and they are not asked for.
   */
  readonly addresses: readonly string[];
  /** Seconds, the minimum over the CNAME chain; `undefined` if the source does not report it. */
  readonly ttl: number | undefined;
  /**
   * Whether the server says that the addresses have expired and that it could not get newer ones (RFC 8914, extended
   * errors 3 and 19). Such an answer is used like one that has expired here. Default `false`.
   */
  readonly stale?: boolean | undefined;
  /** The server that answered, such as `"127.0.0.1:53"`, if known. */
  readonly server?: string | undefined;
  /**
   * The CNAME records that led to the addresses, in order: empty if there are none, `undefined` if the source does not
   * report them. For display only.
   */
  readonly chain?: readonly Alias[] | undefined;
}

/**
 * Resolves a name to addresses: one question, one server, one attempt. It has no cache and no retries: the resolver has
 * both.
 *
 * The resolver reads the fields of a lookup's error, not its class: `kind` (`"negative"`, `"ambiguous"`, `"transient"`
 * or `"config"`; `"transient"` if it is missing) and `negativeTtl`. `LookupError` has both.
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
   * @param question The name, the family, the server and the signal that ends the lookup.
   * @returns The answer.
   * @throws {LookupError} whose `kind` says what the failure means; or `signal.reason` once the signal is aborted.
   */
  lookup(question: Question): Promise<Answer>;
  /**
   * Whether a question is asked again while it is open, after 200 milliseconds and then less and less often, because its
   * messages may be lost: the first answer counts, and the other calls are aborted. With several servers, the next one
   * is asked after 200 milliseconds as well. `"sparingly"`: after 250, 500, 1000, and then every 2000 milliseconds, because
   * a question costs more than a packet. Default `false`: a call is waited for.
   */
  readonly repeats?: boolean | "sparingly" | undefined;
  /** Returns the servers that it asks by default; none if they are unknown. */
  servers?(): readonly NameServer[];
}

/**
 * A lookup by its name: `"system"` is the runtime's own resolver, `"wire"` sends its own DNS messages, and a URL is
 * that of a server for DNS over HTTPS (RFC 8484).
 */
export type LookupName = "system" | "wire" | `https://${string}` | `http://${string}`;
