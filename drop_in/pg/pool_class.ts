/**
 * A subclass of a module's `pg.Pool` with an engine behind it.
 *
 * @module
 */

import type { Engine } from "../../engine.ts";
import { PgBackend } from "./backend.ts";
import { clientClass } from "./client_class.ts";
import {
  checkPgOptions,
  type Deliver,
  type DropInClient,
  MESSAGES,
  type PgInternalDriver,
  type PgPool,
} from "./module.ts";
import { readLibpq, readTarget } from "./target.ts";
import { type HostKind, hostKind, warnHostNotTracked } from "../shared/host_kind.ts";
import { dnsPoolOptions, type RawOptions, refuseWithoutEngine } from "../shared/options.ts";

/** The subclass. */
export type DnsPgPoolClass = new (options?: RawOptions) => PgPool & {
  readonly engine: Engine<DropInClient> | undefined;
};

const pools: WeakSet<object> = new WeakSet();

/** Returns whether a value is a pool of such a class. */
export function isDnsPgPool(value: unknown): boolean {
  return typeof value === "object" && value !== null && pools.has(value);
}

const classes: WeakMap<PgInternalDriver["Pool"], DnsPgPoolClass> = new WeakMap();

/** Returns the subclass of a module's pool; the same one for the same module. */
export function poolClassOf(pg: PgInternalDriver): DnsPgPoolClass {
  let made = classes.get(pg.Pool);
  if (!made) classes.set(pg.Pool, made = subclass(pg));
  return made;
}

function subclass({ Pool }: PgInternalDriver): DnsPgPoolClass {
  // `query` and everything else that does not concern where clients come from is the original's.
  return class DnsPgPool extends Pool {
    readonly #backend: PgBackend | undefined;
    #Client: PgPool["Client"] | undefined;

    constructor(options?: RawOptions) {
      super(options);
      pools.add(this);
      const target = readTarget(this.Client, this.options);
      if (!target.list) {
        warnHostNotTracked(target.host, "DnsPgPool");
        const kind = hostKind(target.host);
        if (kind === "socket") {
          leaveToOriginal(this, kind);
          return;
        }
      }
      const backend = this.#backend = new PgBackend(this, target);
      Object.defineProperty(this, "_clients", { get: () => backend.clients });
      const { Client, options: given } = this;
      // Libraries cancel a statement on a client of this class.
      Object.defineProperty(this, "Client", {
        get: () => this.#Client ??= clientClass(Client, dnsPoolOptions(given), backend),
        set: (value: PgPool["Client"]) => void (this.#Client = value),
      });
    }

    /** The engine behind the pool: `status()` and events. */
    get engine(): Engine<DropInClient> | undefined {
      return this.#backend?.engine;
    }

    override get totalCount(): number {
      return this.#backend?.counts.total ?? super.totalCount;
    }

    override get idleCount(): number {
      return this.#backend?.counts.idle ?? super.idleCount;
    }

    override get waitingCount(): number {
      return this.#backend?.counts.waiting ?? super.waitingCount;
    }

    override get expiredCount(): number {
      return this.#backend?.expired ?? super.expiredCount;
    }

    override connect(callback?: Deliver): Promise<DropInClient> | undefined {
      const backend = this.#backend;
      if (!backend) return super.connect(callback);
      if (this.ending) {
        const error = new Error(MESSAGES.closed);
        return callback ? void callback(error) : this.Promise.reject(error);
      }
      if (callback) return backend.checkout(callback), undefined;
      return new this.Promise((resolve, reject) => {
        backend.checkout((error, client) => error ? reject(error) : resolve(client!));
      });
    }

    override end(callback?: (error?: Error) => void): Promise<void> | undefined {
      const backend = this.#backend;
      if (!backend) return super.end(callback);
      if (this.ending) {
        const error = new Error("Called end on pool more than once");
        return callback ? void callback(error) : this.Promise.reject(error);
      }
      this.ending = true;
      const ended = backend.close().then(() => {
        this.ended = true;
      });
      if (!callback) return new this.Promise((resolve, reject) => ended.then(resolve, reject));
      ended.then(() => queueMicrotask(callback));
    }
  };
}

/** Prepares a pool that is entirely the original's: an `error` without a listener must not end the process here either. */
function leaveToOriginal(pool: PgPool, kind: HostKind): void {
  checkPgOptions(pool.options);
  refuseWithoutEngine({ ...pool.options, ...readLibpq(pool.options).options }, kind);
  pool.on("connect", (client: DropInClient) => client.on("error", () => {}));
  pool.on("error", () => {});
}
