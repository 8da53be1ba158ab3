/**
 * A subclass of a module's `pg.Client` that connects to an address of its host's name and knows when that address
 * departed: for libraries that pool clients by themselves.
 *
 * @module
 */

import { checkHost } from "../../internal/host_name.ts";
import { type DepartureFlags, DepartureState } from "../shared/departure_state.ts";
import { hostKind, warnHostNotTracked } from "../shared/host_kind.ts";
import {
  copyOptions,
  type DnsPoolOptions,
  type RawOptions,
  readNumber,
} from "../shared/options.ts";
import { TrackedHosts } from "../shared/tracked_hosts.ts";
import { ClientLink, type SharedParts } from "./client_link.ts";
import {
  checkPgOptions,
  type DropInClient,
  KEEPALIVE,
  type PgInternalDriver,
  pinningAdapter,
} from "./module.ts";

const FLAGS: DepartureFlags = {
  knex: { property: "__knex__disposed", value: (reason) => reason },
  sequelize: { property: "_invalid", value: () => true },
};

/**
 * Creates the subclass.
 *
 * @param pg The module.
 * @param options dnspool's options for all clients of the class.
 */
export function clientClass(
  pg: PgInternalDriver,
  options: DnsPoolOptions,
): PgInternalDriver["Client"] {
  const shared: SharedParts = {
    hosts: new TrackedHosts(options, (given) => pinningAdapter(pg.Client, given)),
    adapter: pinningAdapter(pg.Client, () => ({})),
    retry: options.connectRetry !== false,
  };

  return class DnsPgClient extends pg.Client {
    readonly #state = new DepartureState();
    /** `undefined` if DNS is not followed for the host. */
    readonly #link: ClientLink | undefined;

    constructor(config?: unknown) {
      const given = readConfig(config);
      super({ ...KEEPALIVE, ...given });
      const timeoutMs = readNumber(given, "connectionTimeoutMillis", "milliseconds") || Infinity;
      const state = this.#state;
      state.showOn(this, FLAGS);
      // Without a listener, the event `error` of a client ends the process.
      this.on("error", () => {});
      warnHostNotTracked(this.host, "dnsPg");
      if (hostKind(this.host) !== "name") return;
      checkHost(this.host);
      const connect = () => super.connect();
      const end = () => super.end();
      this.#link = new ClientLink(this, shared, { given, timeoutMs, state, connect, end });
    }

    override connect(callback?: (error: unknown, client?: DropInClient) => void): Promise<this> {
      // deno-lint-ignore no-explicit-any -- the original takes a callback as well
      if (!this.#link) return (super.connect as any).call(this, callback);
      const connecting = this.#link.connect().then(() => this);
      if (!callback) return connecting;
      connecting.then(
        () => queueMicrotask(() => callback(null, this)),
        (error) => queueMicrotask(() => callback(error)),
      );
      return undefined as unknown as Promise<this>;
    }

    // deno-lint-ignore no-explicit-any -- passes on the arguments
    override query(...args: any[]): Promise<{ rows: unknown[] }> {
      // deno-lint-ignore no-explicit-any -- passes on the arguments
      const result = (super.query as any).apply(this, args);
      this.#state.registration?.noteUse();
      return result;
    }

    // deno-lint-ignore no-explicit-any -- the original takes a callback as well
    override end(...args: any[]): Promise<void> {
      this.#link?.abort();
      // deno-lint-ignore no-explicit-any -- passes on the arguments
      return (super.end as any).apply(this, args);
    }
  };
}

function readConfig(config: unknown): Record<string, unknown> {
  const given = typeof config === "string" ? { connectionString: config } : config ?? {};
  checkPgOptions(given as RawOptions);
  return copyOptions(given as RawOptions);
}
