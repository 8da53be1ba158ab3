/**
 * Converts the options of `pg.Pool` to the engine's.
 *
 * @module
 */

import type { EngineOptions } from "../../engine/options.ts";
import { outOfRange } from "../../internal/argument_error.ts";
import { checkPgOptions, type DropInClient } from "./module.ts";
import { readLibpq } from "./target.ts";
import {
  defaultTimeoutMs,
  type RawOptions,
  readFunction,
  readNumber,
  toSeconds,
} from "../shared/options.ts";

/** Settings of a pool. */
export interface PgPoolSettings {
  /** Options of the engine. */
  readonly engine: EngineOptions<DropInClient>;
  /** Timeout of a checkout; `Infinity` for none. */
  readonly timeoutMs: number;
  /** Maximum age of a client. */
  readonly lifetimeMs: number;
  /** Whether idle clients allow the process to exit. */
  readonly mayExitOnIdle: boolean;
  /** Called with each new client before it is announced and handed out. */
  readonly onConnect: ((client: DropInClient) => unknown) | undefined;
  /** Called with each new client when it is handed out; may reject it. */
  readonly verify:
    | ((client: DropInClient, done: (error?: unknown) => void) => void)
    | undefined;
}

/** Defaults of `pg.Pool`. */
const DEFAULTS = { max: 10, idleTimeoutMillis: 10_000 };

/**
 * Reads the options of a pool.
 *
 * @param given The options as `pg.Pool` keeps them.
 * @returns The settings.
 * @throws {TypeError} if an option cannot be used here, or has a value of the wrong kind.
 * @throws {RangeError} if a number is outside its range.
 */
export function readPoolSettings(given: RawOptions): PgPoolSettings {
  checkPgOptions(given);
  const { options, connectTimeoutMs = Infinity } = readLibpq(given);
  const max = readMax(given);
  const min = readNumber(given, "min", "clients") ?? 0;
  if (min > max) throw outOfRange("min", `at most "max", which is ${max}`, min);
  const idleMs = given.idleTimeoutMillis === undefined
    ? DEFAULTS.idleTimeoutMillis
    : readNumber(given, "idleTimeoutMillis", "milliseconds");
  const lifetime = readNumber(given, "maxLifetimeSeconds", "seconds");
  const lifetimeMs = lifetime ? lifetime * 1000 : Infinity;
  const timeoutMs = readNumber(given, "connectionTimeoutMillis", "milliseconds") ||
    defaultTimeoutMs({ ...options });
  const { poolTimeout } = toSeconds(timeoutMs);
  const attemptMs = readNumber(given, "connectionTimeoutMillis", "milliseconds") ||
    Math.min(connectTimeoutMs, timeoutMs);
  return {
    timeoutMs,
    lifetimeMs,
    mayExitOnIdle: Boolean(given.allowExitOnIdle),
    onConnect: readFunction(given, "onConnect"),
    verify: readFunction(given, "verify"),
    engine: {
      poolUseLifo: true,
      poolResetOnReturn: null,
      connectConcurrency: Infinity,
      // Without a timeout, a caller would never learn of the failure.
      connectRetry: timeoutMs < Infinity,
      ...readLog(given),
      ...options,
      poolSize: max,
      maxOverflow: 0,
      minSize: min,
      maxUses: readNumber(given, "maxUses", "uses") || Infinity,
      idleTimeout: idleMs ? idleMs / 1000 : Infinity,
      poolRecycle: lifetimeMs / 1000,
      poolTimeout,
      ...(attemptMs < Infinity && { connectTimeout: toSeconds(attemptMs).connectTimeout }),
    },
  };
}

/** Reads the maximum number of clients. */
export function readMax(given: RawOptions): number {
  return readNumber(given, "max", "clients") || DEFAULTS.max;
}

/** Sends the engine's log lines to the `log` function of `pg.Pool`. */
function readLog(given: RawOptions): Pick<EngineOptions, "echoPool" | "logger"> {
  const log = readFunction<(message: string) => void>(given, "log");
  if (!log) return {};
  const write = (message: string) => log(message);
  return { echoPool: "debug", logger: { debug: write, info: write, warn: write } };
}
