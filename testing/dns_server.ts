/**
 * A programmable DNS server for rehearsing a failover in a test: the test sets and changes names while it runs, and can
 * make the answers for each name late, wrong, truncated or missing.
 *
 * It listens on the loopback interface, over UDP and TCP on one port, on Deno, Node and Bun.
 *
 * @module
 */

import { mustBe } from "../internal/argument_error.ts";
import { now, type Timer, timer } from "../internal/clock.ts";
import { hostPort } from "../internal/ip.ts";
import { OptionReader } from "../internal/option_reader.ts";
import { messageOf } from "../internal/thrown.ts";
import { type DnsFault, Faults, readFault, repliesTo } from "./dns/faults.ts";
import { readQuery } from "./dns/message.ts";
import { type DnsQuery, QueryLog } from "./dns/query_log.ts";
import { type Random, seededRandom } from "./dns/random.ts";
import { type Client, Sockets } from "./dns/sockets.ts";
import {
  answerFrom,
  cached,
  type DnsRecords,
  nameKey,
  type Step,
  type Stepper,
  type TtlRounding,
  Zone,
} from "./dns/zone.ts";
import { checkAddress, checkName, PORT, TTL } from "./shared/arguments.ts";

export type { DnsExtraRecord, DnsFault } from "./dns/faults.ts";
export type { DnsQuery } from "./dns/query_log.ts";
export type {
  DnsAlias,
  DnsRecords,
  DnsRotation,
  DnsSchedule,
  DnsServices,
  DnsWeights,
  TtlRounding,
} from "./dns/zone.ts";

/** The options of {@linkcode DnsServer.start}. */
export interface DnsServerOptions {
  /** The local IP address to listen on, IPv4 or IPv6. Default: `"127.0.0.1"`. */
  readonly host?: string | undefined;
  /** The port for UDP and TCP, 0 to 65535; 0 chooses one that is free for both. Default: 0. */
  readonly port?: number | undefined;
  /** The TTL of records that are set without one, in whole seconds, 0 to 4294967295. Default: 1. */
  readonly ttl?: number | undefined;
  /** The TTL of "no such name" and "no such record", in whole seconds, 0 to 4294967295. Default: 1. */
  readonly negativeTtl?: number | undefined;
  /** The seed of random choices, 0 to 4294967295: the same seed and queries give the same answers. Default: 1. */
  readonly seed?: number | undefined;
  /**
   * Makes this server a caching resolver for another server. It has no records of its own. It asks the other server
   * within the process, without that server's faults, and repeats each answer with the remaining TTL until the TTL is
   * over. Default: none.
   */
  readonly cacheOf?: DnsServer | undefined;
  /**
   * With `cacheOf`, how the remaining TTL is rounded to whole seconds. `"floor"` never reports too much. `"ceil"`
   * reports up to a second too much. `"second-arithmetic"` uses a clock of whole seconds, as unbound and BIND do: the
   * TTL falls by one at each tick of that clock, and so ends up to a second early. Default: `"floor"`.
   */
  readonly rounding?: TtlRounding | undefined;
}

/**
 * A DNS server whose names and faults a test sets while it runs.
 *
 * Names are compared without regard to letter case and trailing dot. A name that is not set is answered with NXDOMAIN.
 * Each answer is made from the records that are set when the query arrives. EDNS sizes are respected: an answer that is
 * larger than the client accepts over UDP (512 bytes without EDNS, never more than 4096) is truncated, and complete
 * over TCP.
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
  /** Host and port, `"127.0.0.1:5353"` or `"[::1]:5353"`, as `dnsNameservers` takes them. */
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
    this.address = hostPort(host, sockets.port);
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
   * @param options The address to listen on, and defaults of answers.
   * @returns The server; `await using` closes it at the end of the block.
   * @throws {TypeError} if an option is of the wrong type or unknown.
   * @throws {RangeError} if a number is out of range.
   * @throws {Error} if it cannot listen there, with the runtime's own error as `cause`.
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
    const { host, port, settings } = readOptions(options);
    const address = hostPort(host, port);
    const sockets = await Sockets.open(host, port).catch((cause) => {
      throw new Error(`Cannot start a DNS server on "${address}": ${messageOf(cause)}`, { cause });
    });
    return new DnsServer(host, sockets, settings);
  }

  /**
   * Sets the records of a name, in place of all its previous ones. The next query is answered with them.
   *
   * @param name The host name.
   * @param records IP addresses, or an alias, or addresses that vary; see {@linkcode DnsRecords}.
   * @param options `ttl`: whole seconds, 0 to 4294967295. Default: the server's `ttl`.
   * @throws {TypeError} if the name or a record is invalid, or the server is a cache.
   * @throws {RangeError} if a number is out of range.
   *
   * @example An alias, two addresses in rotation, and a name that fails over by itself every 30 seconds
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
    const checked = checkName(name, "name");
    this.#refuseAsCache(`Cannot set "${checked}"`);
    const reader = new OptionReader(options, "DnsServer.set");
    const ttl = reader.number("ttl", this.#ttl, TTL);
    reader.done();
    this.#zone.set(checked, records, ttl);
  }

  /**
   * Deletes a name: from now on it is answered with NXDOMAIN. Its faults stay.
   *
   * @param name The host name.
   * @returns Whether it was set.
   * @throws {TypeError} if the name is invalid, or the server is a cache.
   */
  delete(name: string): boolean {
    const checked = checkName(name, "name");
    this.#refuseAsCache(`Cannot delete "${checked}"`);
    return this.#zone.delete(checked);
  }

  /**
   * Sets the faults in the answers for a name, in place of all its previous faults.
   *
   * @param name The name that is asked for, which need not be set; `"*"` is every name without a fault of its own.
   * @param faults A fault; or several, of which each query meets the first that applies to it and is not used up.
   * @throws {TypeError} if the name is invalid, or a part of a fault is unknown, of the wrong type or excluded by
   *   another.
   * @throws {RangeError} if a number is out of range.
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
    const key = faultKey(name);
    const list = Array.isArray(faults)
      ? faults.map((fault, index) => readFault(fault, `faults[${index}]`))
      : [readFault(faults, "faults")];
    this.#faults.set(key, list);
  }

  /**
   * Removes the faults of a name. A response that a `delay` holds back is still sent.
   *
   * @param name The name, or `"*"` for the faults that were set under it. Default: all faults.
   * @throws {TypeError} if the name is invalid.
   */
  clearFaults(name?: string): void {
    this.#faults.clear(name === undefined ? undefined : faultKey(name));
  }

  /** The queries so far, in order of arrival: a snapshot. The log grows until `clearQueries()`. */
  get queries(): readonly DnsQuery[] {
    return this.#log.all();
  }

  /**
   * Counts the queries so far.
   *
   * @param name Counts queries for this name. Default: all names.
   * @param type Counts queries for this record type, such as `"A"`. Default: all types.
   * @returns The number of queries.
   */
  count(name?: string, type?: string): number {
    return this.#log.count(name, type);
  }

  /** Empties the log of queries; `count()` starts again at 0. */
  clearQueries(): void {
    this.#log.clear();
  }

  /**
   * Waits for the next query. The promise resolves before the response is sent.
   *
   * @param name Waits for a query for this name. Default: any name.
   * @param type Waits for a query for this record type, such as `"A"`. Default: any type.
   * @returns The query.
   * @throws {Error} if the server is closed first.
   *
   * @example Wait for a query
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
   * Closes the server at once: its sockets and connections. Responses that a `delay` holds back are not sent. Closing
   * twice is harmless.
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
    const key = nameKey(query.name);
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

function readOptions(options: unknown): { host: string; port: number; settings: Settings } {
  const reader = new OptionReader(options, "DnsServer.start");
  const result = {
    host: reader.value("host", "127.0.0.1", checkAddress),
    port: reader.number("port", 0, PORT),
    settings: {
      ttl: reader.number("ttl", 1, TTL),
      negativeTtl: reader.number("negativeTtl", 1, TTL),
      seed: reader.number("seed", 1, { min: 0, max: 2 ** 32 - 1, whole: true }),
      cacheOf: reader.value<DnsServer | undefined>("cacheOf", undefined, checkServer),
      rounding: reader.oneOf<TtlRounding>("rounding", "floor", [
        "floor",
        "ceil",
        "second-arithmetic",
      ]),
    },
  };
  reader.done();
  return result;
}

function checkServer(value: unknown, argument: string): DnsServer {
  if (value instanceof DnsServer) return value;
  throw mustBe(argument, "a DnsServer", value);
}

function faultKey(name: unknown): string {
  return name === "*" ? "*" : nameKey(checkName(name, "name"));
}
