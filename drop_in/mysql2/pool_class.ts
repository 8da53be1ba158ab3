/**
 * A subclass of mysql2's pool, whose work an engine does.
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
  LIMITS,
  type Mysql2Classes,
  optionsOf,
  type Pinned,
  type PooledConnection,
  WORDS,
} from "./module.ts";
import { checkNumbers } from "./pool_settings.ts";
import { hostKind, remarkOnHost } from "../shared/host_kind.ts";
import { driverOptions, type Given, refuseWithoutEngine } from "../shared/options.ts";

/** The subclass. */
export type DnsMysql2PoolClass = new (options: unknown) => CorePool & {
  readonly engine: Engine<Pinned> | undefined;
};

const subclasses: WeakMap<Mysql2Classes["Pool"], DnsMysql2PoolClass> = new WeakMap();

/**
 * The subclass of a module's pool with callbacks; the same one for the same module.
 *
 * @param classes The module's.
 * @returns The class.
 */
export function poolClassOf(classes: Mysql2Classes): DnsMysql2PoolClass {
  let made = subclasses.get(classes.Pool);
  if (!made) subclasses.set(classes.Pool, made = subclass(classes));
  return made;
}

/** What mysql2 itself makes of a pool's options. */
function forMysql2(given: Given): Given {
  const options = Object.entries(driverOptions(given)).filter(([name]) => !LIMITS.includes(name));
  return Object.fromEntries(options);
}

function subclass(classes: Mysql2Classes): DnsMysql2PoolClass {
  // `query`, `execute`, `promise` and all that has nothing to do with where connections come from is the original's.
  return class DnsMysql2Pool extends classes.Pool {
    readonly #backend: Mysql2Backend | undefined;
    #ended: Promise<void> | undefined;

    constructor(options: unknown) {
      const given = optionsOf(options);
      checkMysql2Options(given);
      checkNumbers(given);
      super({ config: new classes.PoolConfig(forMysql2(given)) });
      const { socketPath, host: name } = this.config.connectionConfig;
      const host = socketPath ?? name;
      const kind = socketPath ? "socket" : hostKind(name);
      remarkOnHost(host, "DnsMysql2Pool");
      if (kind === "socket" || kind === "list") {
        refuseWithoutEngine(given, kind);
        this.on("connection", (connection: CoreConnection) => connection.on("error", () => {}));
        return;
      }
      // It would only look after the original's own connections, of which there are none.
      clearTimeout(this._removeIdleTimeoutConnectionsTimer as number);
      this.#backend = new Mysql2Backend(this, classes, given);
    }

    /** The engine behind the pool: `status()` and events. */
    get engine(): Engine<Pinned> | undefined {
      return this.#backend?.engine;
    }

    override getConnection(callback: Callback<PooledConnection>): void {
      if (!this.#backend) return super.getConnection(callback);
      if (!this._closed) return this.#backend.checkout(callback);
      queueMicrotask(() => callback(new Error(WORDS.closed)));
    }

    override releaseConnection(connection: PooledConnection): void {
      if (!this.#backend) return super.releaseConnection(connection);
      this.#backend.giveBack(connection);
    }

    override _removeConnection(connection: PooledConnection): void {
      if (!this.#backend) return super._removeConnection(connection);
      this.#backend.drop(connection);
    }

    override end(callback?: (error?: unknown) => void): void {
      if (!this.#backend) return super.end(callback);
      this._closed = true;
      this.#ended ??= this.#backend.close();
      this.#ended.then(() => callback && queueMicrotask(callback));
    }
  };
}
