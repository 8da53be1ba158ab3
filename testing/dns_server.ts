/**
 * A programmable DNS server, for rehearsing a failover in a test: names are set and changed while it runs, and
 * each can be told to answer late, wrong, truncated, in turns or not at all.
 *
 * It listens on the loopback interface, over UDP and TCP on one port, on Deno, Node and Bun alike.
 *
 * @module
 */

import { now, type Timer, timer } from "../internal/clock.ts";
import {
  checkAddress,
  checkKeys,
  checkName,
  checkNumber,
  checkTtl,
  keyOf,
  type Subject,
  wrongType,
} from "./dns/validate.ts";
import { checkFault, type DnsFault, Faults, repliesTo } from "./dns/faults.ts";
import { type DnsQuery, QueryLog } from "./dns/query_log.ts";
import { readQuery } from "./dns/message.ts";
import { type Random, seededRandom } from "./dns/random.ts";
import { type Client, joinHostPort, Sockets } from "./dns/sockets.ts";
import {
  answerFrom,
  cached,
  type DnsRecords,
  type Step,
  type Stepper,
  type TtlRounding,
  Zone,
} from "./dns/zone.ts";

export type { DnsExtraRecord, DnsFault } from "./dns/faults.ts";
export type { DnsQuery } from "./dns/query_log.ts";
export type {
  DnsAlias,
  DnsRecords,
  DnsRotation,
  DnsSchedule,
  DnsWeights,
  TtlRounding,
} from "./dns/zone.ts";

/** How a {@linkcode DnsServer} is started. */
export interface DnsServerOptions {
  /** The local IP address to listen on, IPv4 or IPv6. Default: `"127.0.0.1"`. */
  readonly host?: string | undefined;
  /** The port, for UDP and TCP, 0 to 65535; 0 is one that is free for both. Default: 0. */
  readonly port?: number | undefined;
  /** The TTL of records that are set without one, whole seconds, 0 to 4294967295. Default: 1. */
  readonly ttl?: number | undefined;
  /** For how long "no such name" and "no such record" may be remembered, whole seconds, 0 to 4294967295. Default: 1. */
  readonly negativeTtl?: number | undefined;
  /** Where the random choices begin, 0 to 4294967295: the same seed and the same queries, the same answers. Default: 1. */
  readonly seed?: number | undefined;
  /**
   * Makes this server a caching resolver in front of another: it has no records of its own, asks the other server
   * (inside the process, past that server's faults) and repeats each answer until its TTL is over, counted from
   * the moment it asked, with the rest of the TTL. Default: none.
   */
  readonly cacheOf?: DnsServer | undefined;
  /**
   * With `cacheOf`, how the rest of a TTL becomes whole seconds. `"floor"` never promises too much. `"ceil"`
   * promises up to a second too much. `"second-arithmetic"` counts on a clock of whole seconds, as unbound and
   * BIND do: the rest falls by one each time that clock ticks, up to a second early. Default: `"floor"`.
   */
  readonly rounding?: TtlRounding | undefined;
}

/**
 * A DNS server whose names and faults a test sets while it runs.
 *
 * Names are compared without regard to case and trailing dot. A name that is not set is answered with NXDOMAIN.
 * Every answer is made from what is set when the query comes in. EDNS sizes are respected: an answer of more than
 * the client can take over UDP (512 bytes without EDNS, never more than 4096) is truncated and comes whole over TCP.
 *
 * @example Rehearse a failover
 * ```ts
 * import { DnsServer } from "@dnspool/dnspool/testing";
 * import { assertEquals } from "@std/assert";
 * import { Resolver } from "node:dns/promises";
 *
 * await using server = await DnsServer.start();
 * const resolver = new Resolver();
 * resolver.setServers([server.address]); // or dnsNameservers: [server.address]
 *
 * server.set("db.internal", ["127.0.0.2"], { ttl: 5 });
 * assertEquals(await resolver.resolve4("db.internal"), ["127.0.0.2"]);
 *
 * server.set("db.internal", ["127.0.0.3"], { ttl: 5 });
 * assertEquals(await resolver.resolve4("db.internal"), ["127.0.0.3"]);
 * assertEquals(server.count("db.internal", "A"), 2);
 * ```
 *
 * @example A server that fails twice and then recovers
 * ```ts
 * import { DnsServer } from "@dnspool/dnspool/testing";
 * import { assertEquals, assertRejects } from "@std/assert";
 * import { Resolver } from "node:dns/promises";
 *
 * await using server = await DnsServer.start();
 * const resolver = new Resolver();
 * resolver.setServers([server.address]);
 *
 * server.set("db.internal", ["127.0.0.2"]);
 * server.fault("db.internal", { rcode: "REFUSED", times: 2 });
 * await assertRejects(() => resolver.resolve4("db.internal"));
 * await assertRejects(() => resolver.resolve4("db.internal"));
 * assertEquals(await resolver.resolve4("db.internal"), ["127.0.0.2"]);
 * ```
 */
export class DnsServer implements AsyncDisposable {
  /** The IP address that the server listens on. */
  readonly host: string;
  /** The port that the server listens on, over UDP and TCP. */
  readonly port: number;
  /** Host and port in one, `"127.0.0.1:5353"` or `"[::1]:5353"`, as `dnsNameservers` takes them. */
  readonly address: string;

  readonly #sockets: Sockets;
  readonly #zone: Zone;
  readonly #ttl: number;
  readonly #random: Random;
  readonly #step: Stepper;
  readonly #cacheOf: DnsServer | undefined;
  readonly #faults = new Faults();
  readonly #delays = new Set<Timer>();
  readonly #log = new QueryLog();
  #closed = false;

  private constructor(host: string, sockets: Sockets, settings: Settings) {
    this.host = host;
    this.port = sockets.port;
    this.address = joinHostPort(host, sockets.port);
    this.#sockets = sockets;
    this.#ttl = settings.ttl;
    this.#random = seededRandom(settings.seed);
    this.#zone = new Zone(settings.negativeTtl, this.#random);
    const upstream = settings.cacheOf;
    this.#cacheOf = upstream;
    this.#step = upstream === undefined
      ? (key, type) => this.#zone.step(key, type)
      : cached((key, type) => upstream.#stepForCache(key, type, this.address), settings.rounding);
    sockets.listener = (message, client) => this.#receive(message, client);
  }

  /**
   * Starts a server. It listens when the promise resolves, and keeps the process alive until it is closed.
   *
   * @param options Where it listens and how it answers.
   * @returns The server; `await using` closes it at the end of the block.
   * @throws {TypeError} when an option is of the wrong type or unknown.
   * @throws {RangeError} when a number is out of range.
   * @throws {Error} when it cannot listen there, with the runtime's own error as `cause`.
   *
   * @example On IPv6
   * ```ts
   * import { DnsServer } from "@dnspool/dnspool/testing";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = await DnsServer.start({ host: "::1" });
   * assertEquals(server.address, `[::1]:${server.port}`);
   * ```
   */
  static async start(options: DnsServerOptions = {}): Promise<DnsServer> {
    const { host, port, settings } = checkOptions(options);
    const at = joinHostPort(host, port);
    const sockets = await Sockets.open(host, port).catch((cause) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`Cannot start a DNS server on "${at}": ${reason}`, { cause });
    });
    return new DnsServer(host, sockets, settings);
  }

  /**
   * Sets what a name holds, in place of all that it held. The next query is answered from it.
   *
   * @param name The host name.
   * @param records IP addresses, or an alias, or addresses that vary; see {@linkcode DnsRecords}.
   * @param options `ttl`: whole seconds, 0 to 4294967295. Default: the server's `ttl`.
   * @throws {TypeError} when the name or a record is not one, or the server is a cache.
   * @throws {RangeError} when a number is out of range.
   *
   * @example An alias, two addresses in turns, and a name that fails over by itself every 30 seconds
   * ```ts
   * import { DnsServer } from "@dnspool/dnspool/testing";
   *
   * await using server = await DnsServer.start();
   * server.set("db.internal", { cname: "node-a.internal" }, { ttl: 5 });
   * server.set("node-a.internal", ["127.0.0.2", "::1"], { ttl: 300 });
   * server.set("readers.internal", { rotate: ["127.0.0.2", "127.0.0.3"], show: 1 });
   * server.set("flapping.internal", { schedule: [["127.0.0.2"], ["127.0.0.3"]], every: 30 });
   * ```
   */
  set(
    name: string,
    records: DnsRecords,
    options: { readonly ttl?: number | undefined } = {},
  ): void {
    const subject = { action: "Cannot set a DNS name", argument: "name" };
    const checked = checkName(subject, name);
    const action = `Cannot set "${checked}"`;
    this.#refuseAsCache(action);
    const { ttl } = checkKeys({ action, argument: "options" }, options, ["ttl"]);
    const seconds = ttl === undefined ? this.#ttl : checkTtl({ action, argument: "ttl" }, ttl);
    this.#zone.set(checked, records, seconds, { action, argument: "records" });
  }

  /**
   * Takes a name away: from now on it is answered with NXDOMAIN. Its faults stay.
   *
   * @param name The host name.
   * @returns Whether it was set.
   * @throws {TypeError} when the name is not one, or the server is a cache.
   */
  delete(name: string): boolean {
    const subject = { action: "Cannot delete a DNS name", argument: "name" };
    const checked = checkName(subject, name);
    this.#refuseAsCache(`Cannot delete "${checked}"`);
    return this.#zone.delete(checked);
  }

  /**
   * Sets what goes wrong with the answers for a name, in place of all that went wrong with them.
   *
   * @param name The name that is asked for, which need not be set; `"*"` is every name without a fault of its own.
   * @param faults A fault; or several, of which the first that fits a query and is not used up meets it.
   * @throws {TypeError} when the name is not one, or a fault has an unknown or contradictory part.
   * @throws {RangeError} when a number is out of range.
   *
   * @example The first two queries get no answer, the third a late one, all others the right one
   * ```ts
   * import { DnsServer } from "@dnspool/dnspool/testing";
   *
   * await using server = await DnsServer.start();
   * server.set("db.internal", ["127.0.0.2"]);
   * server.fault("db.internal", [{ drop: true, times: 2 }, { delay: 0.2, times: 1 }]);
   * ```
   */
  fault(name: string, faults: DnsFault | readonly DnsFault[]): void {
    const key = faultKey("Cannot set a DNS fault", name);
    const action = `Cannot set a fault for "${key}"`;
    const list: readonly unknown[] = Array.isArray(faults) ? faults : [faults];
    this.#faults.set(
      key,
      list.map((fault, index) => {
        const argument = Array.isArray(faults) ? `faults[${index}]` : "faults";
        return checkFault({ action, argument }, fault);
      }),
    );
  }

  /**
   * Ends the faults of a name. A response that is held back by a `delay` still comes late.
   *
   * @param name The name, or `"*"` for the fault that was set under it. Default: every fault there is.
   * @throws {TypeError} when the name is not one.
   */
  heal(name?: string): void {
    this.#faults.heal(name === undefined ? undefined : faultKey("Cannot heal a DNS name", name));
  }

  /** The queries so far, in order of arrival: a snapshot. The log grows until `clearQueries()`. */
  get queries(): readonly DnsQuery[] {
    return this.#log.all();
  }

  /**
   * Counts the queries so far.
   *
   * @param name Only those for this name. Default: all names.
   * @param type Only those for this record type, such as `"A"`. Default: all types.
   * @returns How many there were.
   */
  count(name?: string, type?: string): number {
    return this.#log.count(name, type);
  }

  /** Forgets the queries so far; the counters start again at 0. */
  clearQueries(): void {
    this.#log.clear();
  }

  /**
   * Waits for a query that has yet to come. It is there before its response leaves.
   *
   * @param name Only one for this name. Default: any name.
   * @param type Only one for this record type, such as `"A"`. Default: any type.
   * @returns The query.
   * @throws {Error} when the server is closed first.
   *
   * @example Wait until somebody asks
   * ```ts
   * import { DnsServer } from "@dnspool/dnspool/testing";
   * import { assertEquals } from "@std/assert";
   * import { Resolver } from "node:dns/promises";
   *
   * await using server = await DnsServer.start();
   * server.set("db.internal", ["127.0.0.2"]);
   * const resolver = new Resolver();
   * resolver.setServers([server.address]);
   *
   * const asked = server.nextQuery("db.internal");
   * const answered = resolver.resolve4("db.internal");
   * assertEquals((await asked).type, "A");
   * await answered;
   * ```
   */
  nextQuery(name?: string, type?: string): Promise<DnsQuery> {
    return this.#closed ? Promise.reject(this.#closedError()) : this.#log.next(name, type);
  }

  /**
   * Closes the server at once: its sockets, its connections and the responses it holds back. Closing twice is
   * harmless.
   *
   * @returns When the port is free again.
   */
  close(): Promise<void> {
    this.#closed = true;
    for (const delay of this.#delays) delay.clear();
    this.#delays.clear();
    this.#log.rejectWaiters(this.#closedError());
    return this.#sockets.close();
  }

  /** Closes the server, as {@linkcode DnsServer.close} does. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #receive(message: Uint8Array, client: Client): void {
    if (this.#closed) return;
    const query = readQuery(message);
    if (query === undefined) return;
    if ("refusal" in query) return client.send(query.refusal);
    const { protocol, from } = client;
    const key = keyOf(query.name);
    this.#log.add({ name: key || ".", type: query.type, protocol, at: now(), from });
    const fault = this.#faults.take(key, query.type, protocol);
    const answer = answerFrom(this.#step, query.name, query.type, this.#cacheOf === undefined);
    const replies = repliesTo(query, answer, { protocol, fault, random: this.#random });
    const send = () => replies.forEach((reply) => client.send(reply.message, reply));
    if (!fault?.delay) return send();
    const delay = timer(fault.delay * 1000, () => {
      this.#delays.delete(delay);
      send();
    });
    this.#delays.add(delay);
  }

  #stepForCache(key: string, type: string, from: string): Step {
    this.#log.add({ name: key, type, protocol: "cache", at: now(), from });
    return this.#step(key, type);
  }

  #refuseAsCache(action: string): void {
    if (this.#cacheOf === undefined) return;
    throw new TypeError(
      `${action} on "${this.address}": it is a cache of "${this.#cacheOf.address}", set it there`,
    );
  }

  #closedError(): Error {
    return new Error(`Cannot wait for a query: the DNS server on "${this.address}" is closed`);
  }
}

/** The options of a server, checked, with the defaults filled in. */
interface Settings {
  readonly ttl: number;
  readonly negativeTtl: number;
  readonly seed: number;
  readonly cacheOf: DnsServer | undefined;
  readonly rounding: TtlRounding;
}

function checkOptions(options: unknown): { host: string; port: number; settings: Settings } {
  const action = "Cannot start a DNS server";
  const at = (argument: string): Subject => ({ action, argument });
  const keys = ["host", "port", "ttl", "negativeTtl", "seed", "cacheOf", "rounding"];
  const given = checkKeys(at("options"), options, keys);
  const { host = "127.0.0.1", port = 0, ttl = 1, negativeTtl = 1, seed = 1 } = given;
  const { cacheOf, rounding = "floor" } = given;
  if (cacheOf !== undefined && !(cacheOf instanceof DnsServer)) {
    throw wrongType(at("cacheOf"), "a DnsServer", cacheOf);
  }
  if (rounding !== "floor" && rounding !== "ceil" && rounding !== "second-arithmetic") {
    throw wrongType(at("rounding"), '"floor", "ceil" or "second-arithmetic"', rounding);
  }
  const settings: Settings = {
    ttl: checkTtl(at("ttl"), ttl),
    negativeTtl: checkTtl(at("negativeTtl"), negativeTtl),
    seed: checkNumber(at("seed"), seed, { least: 0, most: 2 ** 32 - 1, whole: true }),
    cacheOf,
    rounding,
  };
  return {
    host: checkAddress(at("host"), host),
    port: checkNumber(at("port"), port, { least: 0, most: 65535, whole: true }),
    settings,
  };
}

function faultKey(action: string, name: unknown): string {
  return name === "*" ? "*" : keyOf(checkName({ action, argument: "name" }, name));
}
