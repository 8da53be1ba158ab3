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
import { answerFor } from "../../engine/answer.ts";
import { type EngineSettings, readEngineOptions } from "../../engine/options.ts";
import type { HostList } from "./host_list.ts";
import { TrackedHost } from "./tracked_host.ts";
import { checkDnsPoolOptions, type DnsPoolOptions, type RawOptions } from "./options.ts";

/** What a connection is opened to, as its driver reads it. */
export interface ConnectionTarget {
  readonly host: string;
  readonly port: number;
  readonly user?: string | undefined;
  readonly database?: string | undefined;
  /** Several hosts, or a service, in place of host and port. */
  readonly list?: HostList | undefined;
  /** dnspool's options for this connection. Default: those of the module. */
  readonly options?: DnsPoolOptions | undefined;
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
  readonly #options: DnsPoolOptions;
  readonly #createAdapter: (given: () => RawOptions, hasSeveral: boolean) => Adapter<C>;
  readonly #entries: Map<string, Entry<C>> = new Map();
  /** Targets without a connection, the last of which failed: names only, no options. */
  readonly #suspects: Set<string> = new Set();
  /** What the option `credentials` gave, also while no connection is open. */
  readonly #logins: Map<string, LoginSource> = new Map();

  /**
   * @param options dnspool's options for all connections of the module.
   * @param createAdapter Creates the adapter that opens probe connections; `given` returns the driver's options,
   *   `hasSeveral` says whether they name several hosts, or a service.
   */
  constructor(
    options: DnsPoolOptions,
    createAdapter: (given: () => RawOptions, hasSeveral: boolean) => Adapter<C>,
  ) {
    this.#options = options;
    this.#settings = readEngineOptions<C>(checkDnsPoolOptions(options));
    this.#createAdapter = createAdapter;
  }

  /** Maximum duration of a cancel on the server. */
  get probeTimeoutMs(): number {
    return this.#settings.probeTimeoutMs;
  }

  /** Returns whether a connection is to be open to a standby, if there is one. */
  wantsStandby(options: DnsPoolOptions = this.#options): boolean {
    return ["standby", "read-only", "prefer-standby"].includes(options.targetSessionAttrs ?? "any");
  }

  /** Number of hosts that are kept. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Returns the host of a connection; the same one for all connections with the same host, port, user and database. A
   * list of hosts, and a service, count as one.
   *
   * @param target What the connection is opened to.
   * @param given The connection's options.
   */
  get(target: ConnectionTarget, given: RawOptions): TrackedHost<C> {
    const { host, port, user, database, list, options } = target;
    const place = list ? [list.srv, list.hosts] : [host.toLowerCase(), port];
    const wanted = [options?.targetSessionAttrs, options?.loadBalance];
    const key = JSON.stringify([...place, user, database, ...wanted]);
    let entry = this.#entries.get(key);
    if (!entry) this.#entries.set(key, entry = this.#create(target, key));
    entry.given = given;
    return entry.host;
  }

  #create(target: ConnectionTarget, key: string): Entry<C> {
    const { host, port, user, database, list, options } = target;
    const entry = {} as Entry<C>;
    const settings = options ? readEngineOptions<C>(options) : this.#settings;
    const all = list?.hosts ?? [{ host, port }];
    const hosts = all.map(({ host: name, port = 0 }) => ({
      name,
      host: canonicalHost(name),
      port,
    }));
    const srv = list?.srv === true;
    const answer = answerFor(hosts, { dns: settings.dns, local: false, srv });
    const display = hosts.map(({ host }) => host).join(",");
    const dialTarget = {
      host: display,
      port: hosts[0]!.port,
      user,
      database,
      params: {},
      connectArgs: {},
      keepAlive: false,
      addresses: () => [],
      namesEndpoints: srv || hosts.length > 1,
      ...(srv && settings.srvTlsName === "service" && { tlsHost: display }),
    };
    const adapter = this.#createAdapter(() => entry.given, list !== undefined);
    const dialer = new Dialer(adapter, dialTarget, settings, {
      logins: this.#loginsOf(key, dialTarget),
    });
    const suspect = this.#suspects.delete(key);
    const onUnused = (suspect: boolean) => this.#remove(key, entry, suspect);
    entry.host = new TrackedHost(answer, settings, dialer, { suspect, onUnused });
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
