/**
 * `pg.Pool`'s options, in the engine's terms.
 *
 * @module
 */

import type { EngineOptions } from "../../engine/options.ts";
import { show } from "../../internal/argument_error.ts";
import { checkPgOptions, type DropInClient } from "./module.ts";
import { asWait, dnsPoolOptions, type Given, numberAmong } from "../shared/options.ts";

/** What a pool does. */
export interface PgPoolSettings {
  /** How the engine does it. */
  readonly engine: EngineOptions<DropInClient>;
  /** How long a caller waits; `Infinity`: for ever. */
  readonly timeoutMs: number;
  /** How old a client gets. */
  readonly lifetimeMs: number;
  /** Whether idle clients let the process end. */
  readonly mayExitOnIdle: boolean;
  /** Called with each new client, before anybody has it. */
  readonly onConnect: ((client: DropInClient) => unknown) | undefined;
  /** Called with each new client when it is handed out. */
  readonly verify:
    | ((client: DropInClient, done: (error?: unknown) => void) => void)
    | undefined;
}

/** `pg.Pool`'s defaults. */
const DEFAULTS = { max: 10, idleTimeoutMillis: 10_000 };
/** Where a role is wanted, somebody has to wait for it: for so long at most, unless it is said how long. */
const ROLE_TIMEOUT_MS = 30_000;

/**
 * Reads the options of a pool.
 *
 * @param given As `pg.Pool` keeps them.
 * @returns The settings.
 * @throws {TypeError} for an option that makes no sense here, or is no number.
 * @throws {RangeError} for a number out of bounds.
 */
export function readPoolSettings(given: Given): PgPoolSettings {
  checkPgOptions(given);
  const ms = { min: 0, unit: "milliseconds" };
  const clients = { min: 0, unit: "clients" };
  const max = numberAmong(given, "max", clients) || DEFAULTS.max;
  const min = numberAmong(given, "min", clients) ?? 0;
  if (min > max) {
    throw new RangeError(`Cannot use ${min} for "min": it is at most "max", which is ${max}`);
  }
  const idleMs = given.idleTimeoutMillis === undefined
    ? DEFAULTS.idleTimeoutMillis
    : numberAmong(given, "idleTimeoutMillis", ms);
  const lifetime = numberAmong(given, "maxLifetimeSeconds", { min: 0, unit: "seconds" });
  const lifetimeMs = lifetime ? lifetime * 1000 : Infinity;
  const wantsRole = given.targetSessionAttrs !== undefined && given.targetSessionAttrs !== "any";
  const timeoutMs = numberAmong(given, "connectionTimeoutMillis", ms) ||
    (wantsRole ? ROLE_TIMEOUT_MS : Infinity);
  const { wait, attempt } = asWait(timeoutMs);
  return {
    timeoutMs,
    lifetimeMs,
    mayExitOnIdle: Boolean(given.allowExitOnIdle),
    onConnect: readFunction(given, "onConnect"),
    verify: readFunction(given, "verify"),
    engine: {
      poolUseLifo: true,
      poolResetOnReturn: null,
      // A wait without an end would never tell of the failure.
      connectRetry: timeoutMs < Infinity,
      ...readLog(given),
      ...dnsPoolOptions(given),
      poolSize: max,
      maxOverflow: 0,
      minSize: min,
      maxUses: numberAmong(given, "maxUses", { min: 0, unit: "uses" }) || Infinity,
      idleTimeout: idleMs ? idleMs / 1000 : Infinity,
      poolRecycle: lifetimeMs / 1000,
      poolTimeout: wait,
      ...(timeoutMs < Infinity && { connectTimeout: attempt }),
    },
  };
}

/** Where `pg.Pool`'s `log` goes, the engine's lines go. */
function readLog(given: Given): Pick<EngineOptions, "echoPool" | "logger"> {
  const log = readFunction<(message: string) => void>(given, "log");
  if (!log) return {};
  const write = (message: string) => log(message);
  return { echoPool: "debug", logger: { debug: write, info: write, warn: write } };
}

// deno-lint-ignore no-explicit-any -- what it is called with is said where it is called
function readFunction<F extends (...args: any[]) => unknown>(
  given: Given,
  name: string,
): F | undefined {
  const value = given[name];
  if (!value) return undefined;
  if (typeof value === "function") return value as F;
  throw new TypeError(`Cannot use ${show(value)} for "${name}": it is a function`);
}
