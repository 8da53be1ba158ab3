/**
 * A subclass of a module's `pg.Pool`, whose work an engine does.
 *
 * @module
 */

import type { Engine } from "../../engine.ts";
import { PgBackend } from "./backend.ts";
import {
  checkPgOptions,
  type Deliver,
  type DropInClient,
  type PgInternalDriver,
  type PgPool,
  readParameters,
} from "./module.ts";
import { hostKind, remarkOnHost } from "../shared/host_kind.ts";
import { type Given, refuseWithoutEngine } from "../shared/options.ts";

/** The subclass. */
export type DnsPgPoolClass = new (options?: Given) => PgPool & {
  readonly engine: Engine<DropInClient> | undefined;
};

const pools: WeakSet<object> = new WeakSet();

/** Whether this is a pool of such a class. */
export function isDnsPgPool(value: unknown): boolean {
  return typeof value === "object" && value !== null && pools.has(value);
}

const classes: WeakMap<PgInternalDriver["Pool"], DnsPgPoolClass> = new WeakMap();

/**
 * The subclass of a module's pool; the same one for the same module.
 *
 * @param pg The module.
 * @returns The class.
 */
export function poolClassOf(pg: PgInternalDriver): DnsPgPoolClass {
  let made = classes.get(pg.Pool);
  if (!made) classes.set(pg.Pool, made = subclass(pg));
  return made;
}

function subclass({ Pool }: PgInternalDriver): DnsPgPoolClass {
  // `query` and all that has nothing to do with where clients come from is the original's.
  return class DnsPgPool extends Pool {
    readonly #backend: PgBackend | undefined;

    constructor(options?: Given) {
      super(options);
      pools.add(this);
      const parameters = readParameters(this.Client, this.options);
      const { host } = parameters;
      remarkOnHost(host, "DnsPgPool");
      const kind = hostKind(host);
      if (kind === "socket" || kind === "list") leaveToOriginal(this, kind);
      else this.#backend = new PgBackend(this, parameters);
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
        const error = new Error("Cannot use a pool after calling end on the pool");
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

/** A pool that is the original's own: it follows no DNS, but ends no process either. */
function leaveToOriginal(pool: PgPool, kind: string): void {
  checkPgOptions(pool.options);
  refuseWithoutEngine(pool.options, kind);
  pool.on("connect", (client: DropInClient) => client.on("error", () => {}));
  pool.on("error", () => {});
}
