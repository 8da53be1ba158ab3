/**
 * A subclass of a module's `pg.Client` that connects to an address of its host's name and knows when that address
 * departed: for libraries that pool clients by themselves.
 *
 * @module
 */

import type { Endpoint } from "../../internal/endpoint.ts";
import { checkHost } from "../../internal/host_name.ts";
import { type DepartureFlags, DepartureState } from "../shared/departure_state.ts";
import { hostKind, warnHostNotTracked } from "../shared/host_kind.ts";
import {
  copyOptions,
  type DnsPoolOptions,
  type RawOptions,
  readNumber,
  refusePassword,
  refuseWithoutEngine,
} from "../shared/options.ts";
import { TrackedHosts } from "../shared/tracked_hosts.ts";
import { ClientLink, serverOf, type SharedParts } from "./client_link.ts";
import {
  checkPgOptions,
  type DropInClient,
  KEEPALIVE,
  NO_CONNECTION,
  type PgInternalDriver,
} from "./module.ts";
import { pinningAdapter } from "./pinning_adapter.ts";
import { statementArguments, targetSession } from "./statement.ts";
import { forHost, readLibpq, readList } from "./target.ts";

const FLAGS: DepartureFlags = {
  knex: { property: "__knex__disposed", value: (reason) => reason },
  sequelize: { property: "_invalid", value: () => true },
};

/** What a pool knows of its clients, for a client class that goes to the same servers. */
export type Neighbors = Required<Pick<SharedParts, "preferredServer" | "serversOf">>;

/**
 * Creates the subclass.
 *
 * @param Base The class.
 * @param options dnspool's options for all clients of the class.
 * @param neighbors What the pool knows that the class belongs to.
 */
export function clientClass(
  Base: PgInternalDriver["Client"],
  options: DnsPoolOptions,
  neighbors?: Neighbors,
): PgInternalDriver["Client"] {
  const hasCredentials = () => options.credentials !== undefined;
  const shared: SharedParts = {
    ...(neighbors && {
      preferredServer: () => neighbors.preferredServer(),
      serversOf: (sessionId) => neighbors.serversOf(sessionId),
    }),
    hosts: new TrackedHosts(
      options,
      (given, hasSeveral) => pinningAdapter(Base, given, { hasSeveral, hasCredentials }),
    ),
    adapter: pinningAdapter(Base, () => ({})),
    retry: options.connectRetry !== false,
  };

  return class DnsPgClient extends Base {
    /** Clients that a pool opened for an address are clients of this class too, to those who look. */
    static override [Symbol.hasInstance](value: unknown): boolean {
      return value instanceof Base;
    }

    readonly #given: Record<string, unknown>;
    readonly #state = new DepartureState();
    /** `undefined` if DNS is not followed for the host. */
    readonly #link: ClientLink | undefined;

    constructor(config?: unknown) {
      const given = readConfig(config);
      let list = readList(given, options.dnsSrv);
      const one = list ? forHost(given, list.hosts[0]!) : given;
      refusePassword({ ...one, credentials: options.credentials }, one.connectionString);
      super({ ...KEEPALIVE, ...one });
      this.#given = given;
      const libpq = readLibpq(given, options);
      const timeoutMs = readNumber(given, "connectionTimeoutMillis", "milliseconds") ||
        libpq.connectTimeoutMs || Infinity;
      const state = this.#state;
      state.showOn(this, FLAGS);
      // Without a listener, the event `error` of a client ends the process.
      this.on("error", () => {});
      if (given.connection === NO_CONNECTION) return;
      if (!list) {
        const kind = hostKind(this.host);
        warnHostNotTracked(this.host, "dnsPg");
        if (kind === "socket" && libpq.asksForRole) refuseWithoutEngine({ ...libpq.options }, kind);
        if (kind === "name") checkHost(this.host);
        else if (kind === "socket" || !libpq.asksForRole) return;
        else list = { hosts: [{ host: this.host, port: this.port }], srv: false };
      }
      // The link limits the whole, from the resolution on.
      Object.assign(this, { _connectionTimeoutMillis: 0 });
      const end = () => super.end();
      const place = { list, options: libpq.options };
      this.#link = new ClientLink(this, shared, { given, place, timeoutMs, state, end });
    }

    override connect(callback?: (error: unknown, client?: DropInClient) => void): Promise<this> {
      // deno-lint-ignore no-explicit-any -- the original takes a callback as well
      const connecting = (super.connect as any).call(this, callback) as Promise<this>;
      return callback || !this.#link ? connecting : this.#untilEnded(connecting);
    }

    /** Rejects a connect that the client's end leaves open. That alone is no unhandled rejection. */
    #untilEnded(connecting: Promise<this>): Promise<this> {
      const { _Promise = Promise } = this as { _Promise?: PromiseConstructor };
      const result: Promise<this> = new _Promise((resolve, reject) => {
        connecting.then(resolve, reject);
        this.once("end", () => {
          if (!this._ending) return;
          result.catch(() => {});
          reject(new Error("Connection terminated"));
        });
      });
      return result;
    }

    // deno-lint-ignore no-explicit-any -- passes on the arguments
    override query(...args: any[]): Promise<{ rows: unknown[] }> {
      const session = this.#link && targetSession(args);
      if (session !== undefined) {
        const server = this.#link!.elsewhere(session);
        if (server !== undefined) return this.#queryOn(server, args);
      }
      // deno-lint-ignore no-explicit-any -- passes on the arguments
      const result = (super.query as any).apply(this, args);
      this.#state.registration?.noteUse();
      return result;
    }

    /** Runs a statement on the server that it is meant for: the same number is another session's on another server. */
    #queryOn(server: Endpoint, args: unknown[]): Promise<{ rows: unknown[] }> {
      const { statement, callback } = statementArguments(args);
      const run = async () => {
        const other = new DnsPgClient(this.#given);
        other.#link!.want(server);
        try {
          await other.connect();
          // deno-lint-ignore no-explicit-any -- passes on the arguments
          return await (other.query as any)(...statement);
        } finally {
          other.end().catch(() => {});
        }
      };
      const running = run();
      if (!callback) return running;
      running.then((result) => callback(null, result), callback);
      return undefined as unknown as typeof running;
    }

    /** Cancels what another client runs; its server is that of the client. */
    cancel(client: DropInClient, query: unknown): void {
      this.#link?.want(serverOf(client));
      // deno-lint-ignore no-explicit-any -- the types of pg leave it out
      (Base.prototype as any).cancel.call(this, client, query);
    }

    // deno-lint-ignore no-explicit-any -- the original takes a callback as well
    override end(...args: any[]): Promise<void> {
      // In pipeline mode, the client ends once its queries are answered.
      const { pipeline, _queryQueue } = this as { pipeline?: boolean; _queryQueue?: unknown[] };
      if (!pipeline || !_queryQueue?.length) this.#link?.abort();
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
