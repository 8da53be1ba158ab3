/**
 * Makes pools of mariadb with an engine behind them.
 *
 * @module
 */

import type { Engine } from "../../engine.ts";
import { hostKind, warnHostNotTracked } from "../shared/host_kind.ts";
import { type DnsPoolOptions, refusePassword, refuseWithoutEngine } from "../shared/options.ts";
import { type Deliver, MariadbBackend } from "./backend.ts";
import {
  classesOf,
  type CoreConnection,
  type CorePool,
  makingPool,
  type MariadbDriver,
  type Pinned,
} from "./module.ts";
import { checkMariadbOptions, mariadbOptions, optionsOf, ownOptions } from "./options.ts";
import type { CallParam } from "./pool_errors.ts";
import { checkNumbers } from "./pool_settings.ts";

/** A pool of the driver, with the engine behind it. */
export type MadePool = object & { readonly engine: Engine<Pinned> | undefined };

/**
 * Makes a pool. It is the module's own: only the pool below it, which opens and keeps the connections, is replaced, in
 * all its methods that the pool itself calls.
 *
 * @param mariadb The module.
 * @param options The options, or a URI.
 * @param module dnspool's options for all pools of the module.
 */
export function makePool(
  mariadb: MariadbDriver,
  options: unknown,
  module: DnsPoolOptions = {},
): MadePool {
  const classes = classesOf(mariadb);
  const { list, options: given } = optionsOf(options, classes, module.dnsSrv);
  checkMariadbOptions(given);
  checkNumbers(given);
  const { credentials } = ownOptions(module, given);
  refusePassword({ ...given, credentials }, undefined);
  const own = mariadbOptions(given);
  const { socketPath, host: name } = new classes.ConnectionOptions({ ...own });
  if (!list) warnHostNotTracked(socketPath ?? name, "DnsMariadbPool");
  if (socketPath || hostKind(name) === "socket") {
    refuseWithoutEngine({ ...module, ...given }, "socket");
    return withEngine(mariadb.createPool(own), undefined);
  }
  const made: { core?: CorePool; backend?: MariadbBackend } = {};
  const pool = makingPool((core) => {
    made.core = core;
    substitute(core, () => made.backend!);
  }, () => mariadb.createPool(own));
  const backend = made.backend = new MariadbBackend(made.core!, classes, { module, given, list });
  return withEngine(pool, backend.engine);
}

function withEngine(pool: object, engine: Engine<Pinned> | undefined): MadePool {
  return Object.defineProperty(pool, "engine", { get: () => engine }) as MadePool;
}

/** Replaces the methods of the pool below a pool. */
function substitute(core: CorePool, backend: () => MariadbBackend): void {
  const { _handleRelease } = core;
  const methods = {
    _managePoolSize() {},
    getConnection(param: CallParam | Deliver, deliver?: Deliver) {
      if (typeof param === "function") backend().checkout({}, param);
      else backend().checkout(param ?? {}, deliver!);
    },
    release: (connection: CoreConnection) => backend().release(connection),
    _handleRelease(connection: CoreConnection, callback: () => void = () => {}) {
      if (!backend().closed) return _handleRelease.call(core, connection, callback);
      backend().discard(connection);
      callback();
    },
    _destroy: (connection: CoreConnection) => backend().discard(connection),
    end: () => backend().end(),
    activeConnections: () => backend().active,
    idleConnections: () => backend().idle,
    taskQueueSize: () => backend().queued,
    _leakedConnections: () => backend().leaked,
    _searchInfo: () => backend().info,
  };
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(core, name, { value, configurable: true, writable: true });
  }
  Object.defineProperty(core, "closed", { get: () => backend().closed });
}
