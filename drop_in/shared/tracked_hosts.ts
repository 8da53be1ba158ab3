/**
 * The names that the connections of one module follow.
 *
 * @module
 */

import { canonicalHost } from "../../internal/host_name.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import { Dialer } from "../../pool/connection/dialer.ts";
import { type EngineSettings, readEngineOptions } from "../../engine/options.ts";
import { FollowedName } from "./tracked_host.ts";
import { checkDnsPoolOptions, type DnsPoolOptions, type Given } from "./options.ts";

/** Where a connection goes to, as its driver reads it. */
export interface Whereto {
  readonly host: string;
  readonly port: number;
  readonly user?: string | undefined;
  readonly database?: string | undefined;
}

/** A name, and how its connections are made. */
interface Entry<C> {
  name: FollowedName<C>;
  /** The options of the last connection: scouts have the same. */
  given: Given;
}

/** Names by what connections go to; each is there while a connection is open or being opened. */
export class FollowedNames<C> {
  readonly #settings: EngineSettings<C>;
  readonly #adapter: (given: () => Given) => Adapter<C>;
  readonly #entries: Map<string, Entry<C>> = new Map();

  /**
   * @param options dnspool's options for all its connections.
   * @param adapter Opens scouts, with the driver's options of the moment.
   */
  constructor(options: DnsPoolOptions, adapter: (given: () => Given) => Adapter<C>) {
    this.#settings = readEngineOptions<C>(checkDnsPoolOptions(options));
    this.#adapter = adapter;
  }

  /**
   * The name that a connection follows: one for all with the same host, port, user and database.
   *
   * @param where Where the connection goes to.
   * @param given Its options.
   */
  of({ host: said, port, user, database }: Whereto, given: Given): FollowedName<C> {
    const host = canonicalHost(said);
    const key = JSON.stringify([said.toLowerCase(), port, user, database]);
    let entry = this.#entries.get(key);
    if (!entry) {
      const made = { given } as Entry<C>;
      const target = {
        host,
        port,
        user,
        database,
        params: {},
        connectArgs: {},
        keepAlive: false,
        addresses: () => [],
      };
      const dialer = new Dialer(this.#adapter(() => made.given), target, this.#settings);
      const forget = () => this.#entries.delete(key);
      made.name = new FollowedName(said, this.#settings, dialer, forget);
      this.#entries.set(key, entry = made);
    }
    entry.given = given;
    return entry.name;
  }
}
