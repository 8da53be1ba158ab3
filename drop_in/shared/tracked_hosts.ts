/**
 * The hosts that the connections of one module are open to.
 *
 * @module
 */

import { canonicalHost } from "../../internal/host_name.ts";
import { Secrets } from "../../internal/redact.ts";
import type { Adapter } from "../../adapters/adapter.ts";
import { LoginSource } from "../../pool/connection/credentials.ts";
import { Dialer } from "../../pool/connection/dialer.ts";
import { type EngineSettings, readEngineOptions } from "../../engine/options.ts";
import { TrackedHost } from "./tracked_host.ts";
import { checkDnsPoolOptions, type DnsPoolOptions, type RawOptions } from "./options.ts";

/** What a connection is opened to, as its driver reads it. */
export interface ConnectionTarget {
  readonly host: string;
  readonly port: number;
  readonly user?: string | undefined;
  readonly database?: string | undefined;
}

interface Entry<C> {
  host: TrackedHost<C>;
  /** The options of the newest connection, which probe connections use too. */
  given: RawOptions;
}

/** Maximum number of targets without a connection that are remembered because the last connection to them failed. */
const MAX_SUSPECTS = 100;

/** Maximum number of targets whose login is kept for the time that `credentials` said. */
const MAX_LOGINS = 100;

/** Tracked hosts by connection target, each kept while a connection is open or being opened. */
export class TrackedHosts<C> {
  readonly #settings: EngineSettings<C>;
  readonly #createAdapter: (given: () => RawOptions) => Adapter<C>;
  readonly #entries: Map<string, Entry<C>> = new Map();
  /** Targets without a connection, the last of which failed: names only, no options. */
  readonly #suspects: Set<string> = new Set();
  /** What the option `credentials` gave, also while no connection is open. */
  readonly #logins: Map<string, LoginSource> = new Map();

  /**
   * @param options dnspool's options for all connections of the module.
   * @param createAdapter Creates the adapter that opens probe connections; `given` returns the driver's options.
   */
  constructor(
    options: DnsPoolOptions,
    createAdapter: (given: () => RawOptions) => Adapter<C>,
  ) {
    this.#settings = readEngineOptions<C>(checkDnsPoolOptions(options));
    this.#createAdapter = createAdapter;
  }

  /** Maximum duration of a cancel on the server. */
  get probeTimeoutMs(): number {
    return this.#settings.probeTimeoutMs;
  }

  /** Whether connections are to be open to a standby, if there is one. */
  get wantsStandby(): boolean {
    return ["standby", "read-only", "prefer-standby"].includes(this.#settings.targetSessionAttrs);
  }

  /** Number of hosts that are kept. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Returns the host of a connection; the same one for all connections with the same host, port, user and database.
   *
   * @param target What the connection is opened to.
   * @param given The connection's options.
   */
  get(target: ConnectionTarget, given: RawOptions): TrackedHost<C> {
    const { host, port, user, database } = target;
    const key = JSON.stringify([host.toLowerCase(), port, user, database]);
    let entry = this.#entries.get(key);
    if (!entry) this.#entries.set(key, entry = this.#create(target, key));
    entry.given = given;
    return entry.host;
  }

  #create({ host, port, user, database }: ConnectionTarget, key: string): Entry<C> {
    const entry = {} as Entry<C>;
    const target = {
      host: canonicalHost(host),
      port,
      user,
      database,
      params: {},
      connectArgs: {},
      keepAlive: false,
      addresses: () => [],
    };
    const dialer = new Dialer(this.#createAdapter(() => entry.given), target, this.#settings, {
      logins: this.#loginsOf(key, target),
    });
    const suspect = this.#suspects.delete(key);
    const onUnused = (suspect: boolean) => this.#remove(key, entry, suspect);
    entry.host = new TrackedHost(host, this.#settings, dialer, { suspect, onUnused });
    return entry;
  }

  #loginsOf(key: string, target: ConnectionTarget): LoginSource | undefined {
    const { credentials } = this.#settings;
    if (credentials === undefined) return undefined;
    const logins = this.#logins.get(key) ??
      new LoginSource(credentials, { ...target, secrets: new Secrets() });
    // The target that was not used for longest is the first.
    this.#logins.delete(key);
    this.#logins.set(key, logins);
    if (this.#logins.size > MAX_LOGINS) {
      const [oldest] = this.#logins.keys();
      this.#logins.delete(oldest!);
    }
    return logins;
  }

  #remove(key: string, entry: Entry<C>, suspect: boolean): void {
    // A connection may have been opened to a host that was removed meanwhile.
    if (this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    if (!suspect) return;
    this.#suspects.add(key);
    if (this.#suspects.size <= MAX_SUSPECTS) return;
    const [oldest] = this.#suspects;
    this.#suspects.delete(oldest!);
  }
}
