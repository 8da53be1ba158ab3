/**
 * A subclass of a module's `pg.Client` that dials an address of its host's name, and knows when that address
 * departed: for libraries that pool clients by themselves.
 *
 * @module
 */

import { deadline } from "../../internal/async.ts";
import { checkHost } from "../../internal/host_name.ts";
import { type TlsOptions, withServerName } from "../../adapters/shared/tls.ts";
import { inDriversWords } from "../shared/driver_errors.ts";
import type { FollowedName, Follower, Member } from "../shared/tracked_host.ts";
import { FollowedNames } from "../shared/tracked_hosts.ts";
import {
  checkPgOptions,
  type DropInClient,
  KEEPALIVE,
  type PgInternalDriver,
  pinningAdapter,
} from "./module.ts";
import { hostKind, remarkOnHost } from "../shared/host_kind.ts";
import { copyOptions, type DnsPoolOptions, type Given, numberAmong } from "../shared/options.ts";

/** Where a role is wanted, it is waited for so long, unless `connectionTimeoutMillis` says how long. */
const ROLE_TIMEOUT_MS = 30_000;

const CONNECT_TIMEOUT = "Connection terminated due to connection timeout";
const WORDS = { timeout: CONNECT_TIMEOUT, connectTimeout: CONNECT_TIMEOUT, closed: "" };

/** What is behind a name in `pg`'s own client. */
interface ClientInternals extends DropInClient {
  connection: {
    stream: { destroy(error?: Error): void };
    ssl?: TlsOptions | boolean;
  };
}

/**
 * Makes the subclass.
 *
 * @param pg The module.
 * @param options dnspool's options for all its clients.
 * @returns The class.
 */
export function clientClass(
  pg: PgInternalDriver,
  options: DnsPoolOptions,
): PgInternalDriver["Client"] {
  const { Client } = pg;
  const names = new FollowedNames(options, (given) => pinningAdapter(Client, given));
  // What `pg` does, for clients that are open.
  const adapter = pinningAdapter(Client, () => ({}));

  return class DnsPgClient extends pg.Client {
    readonly #given: Given;
    readonly #follows: boolean;
    readonly #timeoutMs: number;
    #name: FollowedName<DropInClient> | undefined;
    #member: Member | undefined;
    #uses = 0;
    readonly #end = new AbortController();
    /** What the library itself, or the server, has against it. */
    #invalid: unknown;
    #disposed: unknown;
    #readOnly = false;

    constructor(config?: unknown) {
      const given = readConfig(config);
      super({ ...KEEPALIVE, ...given });
      this.#given = given;
      const ms = { min: 0, unit: "milliseconds" };
      this.#timeoutMs = numberAmong(given, "connectionTimeoutMillis", ms) || Infinity;
      remarkOnHost(this.host, "dnsPg");
      this.#follows = hostKind(this.host) === "name";
      if (this.#follows) checkHost(this.host);
      // Without a listener, the `error` of a client ends the process.
      this.on("error", () => this.#name?.suspect());
      if (this.#follows) adapter.onError!(this, (error) => this.#hear(error));
    }

    /** Whether a pool had better let go of it: its address departed, or the server is read-only. */
    get departed(): boolean {
      return this.#why !== undefined;
    }

    /** What Sequelize looks at. */
    get _invalid(): unknown {
      return this.#invalid || this.departed || undefined;
    }

    set _invalid(value: unknown) {
      this.#invalid = value;
    }

    /** What Knex looks at. */
    get __knex__disposed(): unknown {
      return this.#disposed || this.#why;
    }

    set __knex__disposed(value: unknown) {
      this.#disposed = value;
    }

    override connect(callback?: (error: unknown, client?: DropInClient) => void): Promise<this> {
      // deno-lint-ignore no-explicit-any -- the original takes a callback as well
      if (!this.#follows) return (super.connect as any).call(this, callback);
      const connecting = this.#connect();
      if (!callback) return connecting;
      const answer = (call: () => void) => queueMicrotask(call);
      connecting.then(
        () => answer(() => callback(null, this)),
        (error) => answer(() => callback(error)),
      );
      return undefined as unknown as Promise<this>;
    }

    // deno-lint-ignore no-explicit-any -- as it is called
    override query(...args: any[]): Promise<{ rows: unknown[] }> {
      this.#uses++;
      // deno-lint-ignore no-explicit-any -- as it is called
      const result = (super.query as any).apply(this, args);
      this.#member?.use();
      return result;
    }

    // deno-lint-ignore no-explicit-any -- the original takes a callback as well
    override end(...args: any[]): Promise<void> {
      this.#end.abort(new Error("Connection terminated"));
      // deno-lint-ignore no-explicit-any -- as it is called
      return (super.end as any).apply(this, args);
    }

    get #why(): string | undefined {
      if (this.#readOnly) return "the server is read-only";
      const { departed, address } = this.#member ?? {};
      return departed ? `the address ${address} departed` : undefined;
    }

    async #connect(): Promise<this> {
      const name = names.of(this, this.#given);
      const { host } = this;
      this.#name = name;
      try {
        const address = await this.#choose(name);
        const member = this.#member = name.join(this.#follower(), address);
        this.once("end", () => member.leave());
        this.host = address;
        nameForTls(this as unknown as ClientInternals, host);
        await super.connect();
        member.open();
        return this;
      } catch (error) {
        name.suspect();
        this.#member?.leave();
        throw inDriversWords(error, WORDS);
      }
    }

    async #choose(name: FollowedName<DropInClient>): Promise<string> {
      const timeoutMs = this.#timeoutMs;
      const choosing = {
        limitMs: Math.min(timeoutMs, ROLE_TIMEOUT_MS),
        // A wait without an end would never tell of the failure.
        patient: timeoutMs < Infinity && options.connectRetry !== false,
        dismiss: (scout: DropInClient) => scout.end(),
      };
      return await deadline(
        timeoutMs,
        (signal) => name.choose(signal, choosing),
        { signal: this.#end.signal, what: "no connection" },
      );
    }

    #follower(): Follower {
      const uses = () => this.#uses;
      const busy = () => adapter.inTransaction!(this) !== false;
      return {
        get uses() {
          return uses();
        },
        get busy() {
          return busy();
        },
        end: () => void super.end(),
        terminate: (reason) => adapter.terminate!(this, reason),
      };
    }

    /** Whoever handles it, or does not. */
    #hear(error: unknown): void {
      const verdict = adapter.classify!(error);
      if (verdict === undefined || !this.#member) return;
      if (verdict === "read-only") this.#readOnly = true;
      this.#name?.refresh();
    }
  };
}

function readConfig(config: unknown): Record<string, unknown> {
  const given = typeof config === "string" ? { connectionString: config } : config ?? {};
  checkPgOptions(given as Given);
  return copyOptions(given as Given);
}

/** The socket goes to an address, the certificate is for the name. */
function nameForTls({ connection }: ClientInternals, host: string): void {
  if (connection.ssl) {
    connection.ssl = withServerName(host, connection.ssl === true ? {} : connection.ssl);
  }
}
