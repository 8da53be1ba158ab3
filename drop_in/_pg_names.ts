/**
 * The names that the clients of one module follow.
 *
 * @module
 */

import { canonicalHost } from "../_host.ts";
import type { Adapter } from "../adapters/adapter.ts";
import { Dialer } from "../dialer.ts";
import { type EngineSettings, readEngineOptions } from "../options.ts";
import { FollowedName } from "./_followed_name.ts";
import { type DropInClient, type PgInternalDriver, pinningAdapter } from "./_pg_module.ts";
import { type DnsPoolOptions, dnsPoolOptions, type Given } from "./_pool_options.ts";

/** A name, and how its clients are made. */
interface Entry {
  name: FollowedName<DropInClient>;
  /** The options of the last client: scouts have the same. */
  given: Given;
}

/** Names by what clients connect to; each is there while a client is open or being opened. */
export class PgNames {
  /** What `pg` does, for clients that are open. */
  readonly adapter: Adapter<DropInClient>;
  readonly #Client: PgInternalDriver["Client"];
  readonly #settings: EngineSettings<DropInClient>;
  readonly #entries: Map<string, Entry> = new Map();

  /**
   * @param pg The module.
   * @param options dnspool's options for all its clients.
   */
  constructor({ Client }: PgInternalDriver, options: DnsPoolOptions) {
    this.#Client = Client;
    this.#settings = readEngineOptions<DropInClient>(dnsPoolOptions({ ...options }));
    this.adapter = pinningAdapter(Client, () => ({}));
  }

  /**
   * The name that a client follows: one for all with the same host, port, user and database.
   *
   * @param client The client, not connected yet.
   * @param given Its options.
   */
  of(client: DropInClient, given: Given): FollowedName<DropInClient> {
    const { port, user, database } = client;
    const host = canonicalHost(client.host);
    const key = JSON.stringify([host, port, user, database]);
    let entry = this.#entries.get(key);
    if (!entry) {
      const fresh = { given } as Entry;
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
      const adapter = pinningAdapter(this.#Client, () => fresh.given);
      const dialer = new Dialer(adapter, target, this.#settings);
      const forget = () => this.#entries.delete(key);
      fresh.name = new FollowedName(host, this.#settings, dialer, forget);
      this.#entries.set(key, entry = fresh);
    }
    entry.given = given;
    return entry.name;
  }
}
