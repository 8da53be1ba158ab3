/**
 * A subclass of mysql2's pool with an engine behind it.
 *
 * @module
 */

import type { Engine } from "../../engine.ts";
import { Mysql2Backend } from "./backend.ts";
import {
  type Callback,
  checkMysql2Options,
  type CoreConnection,
  type CorePool,
  LIMIT_NAMES,
  MESSAGES,
  type Mysql2Classes,
  optionsOf,
  type Pinned,
  type PooledConnection,
  readList,
} from "./module.ts";
import { checkNumbers } from "./pool_settings.ts";
import { hostKind, warnHostNotTracked } from "../shared/host_kind.ts";
import { driverOptions, type RawOptions, refuseWithoutEngine } from "../shared/options.ts";

/** The subclass. */
export type DnsMysql2PoolClass = new (options: unknown) => CorePool & {
  readonly engine: Engine<Pinned> | undefined;
};

const subclasses: WeakMap<Mysql2Classes["Pool"], DnsMysql2PoolClass> = new WeakMap();

/** Returns the subclass of a module's pool with callbacks; the same one for the same module. */
export function poolClassOf(classes: Mysql2Classes): DnsMysql2PoolClass {
  let made = subclasses.get(classes.Pool);
  if (!made) subclasses.set(classes.Pool, made = subclass(classes));
  return made;
}

/** Picks the options that mysql2 itself knows. */
function mysql2Options(given: RawOptions): RawOptions {
  const options = Object.entries(driverOptions(given));
  return Object.fromEntries(options.filter(([name]) => !LIMIT_NAMES.includes(name)));
}

function subclass(classes: Mysql2Classes): DnsMysql2PoolClass {
  // `query`, `execute`, `promise` and everything else that does not concern where connections come from is the original's.
  return class DnsMysql2Pool extends classes.Pool {
    readonly #backend: Mysql2Backend | undefined;
    #ended: Promise<void> | undefined;

    constructor(options: unknown) {
      const given = optionsOf(options);
      checkMysql2Options(given);
      checkNumbers(given);
      const { list, options: one } = readList(given);
      super({ config: new classes.PoolConfig(mysql2Options(one)) });
      const { socketPath, host: name } = this.config.connectionConfig;
      if (!list) warnHostNotTracked(socketPath ?? name, "DnsMysql2Pool");
      if (socketPath || hostKind(name) === "socket") {
        refuseWithoutEngine(given, "socket");
        this.on("connection", (connection: CoreConnection) => connection.on("error", () => {}));
        return;
      }
      // The timer closes idle connections of the original pool, which has none.
      clearTimeout(this._removeIdleTimeoutConnectionsTimer as number);
      const backend = this.#backend = new Mysql2Backend(this, classes, given, list);
      Object.assign(this, backend.queues);
    }

    /** The engine behind the pool: `status()` and events. */
    get engine(): Engine<Pinned> | undefined {
      return this.#backend?.engine;
    }

    override getConnection(callback: Callback<PooledConnection>): void {
      if (!this.#backend) return super.getConnection(callback);
      if (!this._closed) return this.#backend.checkout(callback);
      queueMicrotask(() => callback(new Error(MESSAGES.closed)));
    }

    override releaseConnection(connection: PooledConnection): void {
      if (!this.#backend) return super.releaseConnection(connection);
      this.#backend.release(connection);
    }

    override _removeConnection(connection: PooledConnection): void {
      if (!this.#backend) return super._removeConnection(connection);
      this.#backend.remove(connection);
    }

    override end(callback?: (error?: unknown) => void): void {
      if (!this.#backend) return super.end(callback);
      this._closed = true;
      this.#ended ??= this.#backend.close();
      this.#ended.then(() => callback && queueMicrotask(callback));
    }
  };
}
