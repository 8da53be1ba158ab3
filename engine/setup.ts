/**
 * What an engine is made of, before it is made: plugins have their say, and URL, options and adapter are held against
 * each other, so that what cannot work is an error at once.
 *
 * @module
 */

import { destinationOf } from "./destination.ts";
import { show } from "../internal/argument_error.ts";
import type { Adapter, Destination } from "../adapters/adapter.ts";
import { adapterByUrl } from "../adapters/by_url.ts";
import { type EngineOptions, type EngineSettings, readEngineOptions } from "./options.ts";
import { DatabaseUrl } from "./url.ts";

/** What an engine is made of. */
export interface EngineSetup<C> {
  readonly url: DatabaseUrl;
  readonly adapter: Adapter<C>;
  readonly settings: EngineSettings<C>;
  /** What the adapter is told about the database. */
  readonly destination: Destination;
  /** Plugins that want to see the engine. */
  readonly created: readonly ((engine: unknown) => void)[];
}

/**
 * Reads what an engine is made of.
 *
 * @param url The database URL.
 * @param options The options, as they were given.
 * @returns What the engine is made of.
 * @throws {TypeError} for a URL or an option that cannot be meant.
 * @throws {RangeError} for a number outside its range.
 */
export function setUp<C>(
  url: DatabaseUrl,
  options: EngineOptions<C> | undefined,
): EngineSetup<C> {
  const setup = applyPlugins(url, options);
  const adapter = readEngineOptions<C>(setup.options).adapter ??
    adapterByUrl(setup.url.dialect, setup.url.driver) as Adapter<C>;
  const settings = readEngineOptions<C>(withLocalDefaults(setup.options, adapter));
  checkUrl(setup.url, adapter);
  checkAdapter(adapter, settings);
  checkPoolClass(setup.options, settings);
  const destination = destinationOf(setup.url, adapter, settings);
  adapter.check?.(destination);
  if (adapter.volatile?.(destination)) checkKept(settings);
  return { url: setup.url, adapter, settings, destination, created: setup.created };
}

/**
 * What an option asks for, the adapter must be able to do.
 *
 * @param adapter The adapter.
 * @param method What it needs for that.
 * @param options `for`: the option.
 * @throws {TypeError} where it has no such method.
 */
export function need<C>(
  adapter: Adapter<C>,
  method: keyof Adapter<C>,
  options: { readonly for: string },
): void {
  if (typeof adapter[method] === "function") return;
  throw new TypeError(
    `Cannot use the option "${options.for}": the adapter "${adapter.name}" has no method "${
      String(method)
    }"`,
  );
}

function applyPlugins<C>(url: DatabaseUrl, options: EngineOptions<C> | undefined) {
  const { plugins = [] } = options ?? {};
  if (!Array.isArray(plugins) || plugins.some((plugin) => typeof plugin !== "function")) {
    throw new TypeError(`Cannot use ${show(plugins)} for "plugins": it is a list of functions`);
  }
  const setup = { url, options, created: [] as ((engine: unknown) => void)[] };
  for (const plugin of plugins) {
    const change = plugin({ url: setup.url, options: setup.options ?? {} });
    if (change?.url) setup.url = DatabaseUrl.parse(change.url);
    if (change?.options) setup.options = { ...setup.options, ...change.options };
    if (change?.created) setup.created.push(change.created);
  }
  return setup;
}

function checkUrl<C>(url: DatabaseUrl, { local, name }: Adapter<C>): void {
  if (local) {
    if (url.host === undefined && url.port === undefined) return;
    throw new TypeError(
      `Cannot make an engine for "${url}": ${name} has no host, write ${url.dialect}:///path or ${url.dialect}::memory:`,
    );
  }
  if (url.host === undefined) {
    throw new TypeError(`Cannot make an engine for "${url}": the database URL has no host`);
  }
  for (const name of ["host", "hostname", "hostaddr"]) {
    if (name in url.params) {
      throw new TypeError(
        `Cannot use the URL parameter "${name}": the address comes from DNS, put the host before the port`,
      );
    }
  }
}

/** Limits are for the class that has them; SQLAlchemy refuses them elsewhere as well. */
function checkPoolClass<C>(
  options: EngineOptions<C> | undefined,
  { poolClass }: EngineSettings<C>,
): void {
  if (poolClass === "queue") return;
  for (const name of ["poolSize", "maxOverflow", "minIdle", "minSize"] as const) {
    if (options?.[name] === undefined) continue;
    throw new TypeError(
      `Cannot use the option "${name}" with the pool class "${poolClass}": it is for "queue"`,
    );
  }
}

/** What the options ask for, the adapter must be able to do. */
function checkAdapter<C>(adapter: Adapter<C>, settings: EngineSettings<C>): void {
  if (settings.prePing) need(adapter, "ping", { for: "poolPrePing" });
  if (settings.targetSessionAttrs !== "any") need(adapter, "role", { for: "targetSessionAttrs" });
  if (settings.isolationLevel !== undefined) {
    need(adapter, "setIsolationLevel", { for: "isolationLevel" });
  }
}

/**
 * One connection serves all, in turn, so that transactions do not mix, unless the options say otherwise.
 *
 * @param options The engine's, as they were given.
 * @param adapter Whose connections they are for.
 * @returns The options; with the defaults for a local one, where it is one.
 */
function withLocalDefaults<C>(
  options: EngineOptions<C> | undefined,
  { local }: Adapter<C>,
): EngineOptions<C> | undefined {
  const { poolClass = "queue", poolSize = 1, maxOverflow = 0 } = options ?? {};
  return local && poolClass === "queue" ? { ...options, poolSize, maxOverflow } : options;
}

/**
 * Refuses what would close, or double, the connection that a database in memory lives in.
 *
 * @param settings The engine's.
 * @throws {TypeError} with the option that would do so.
 */
function checkKept<C>(settings: EngineSettings<C>): void {
  const { poolClass, poolSize, maxOverflow, recycleMs, idleTimeoutMs, maxUses } = settings;
  const wrong: readonly (readonly [what: string, is: boolean])[] = [
    ['the pool class "null"', poolClass === "null"],
    ['a "poolSize" other than 1', poolClass === "queue" && poolSize !== 1],
    ['a "maxOverflow" other than 0', poolClass === "queue" && maxOverflow !== 0],
    ['the option "poolRecycle"', recycleMs < Infinity],
    ['the option "idleTimeout"', idleTimeoutMs < Infinity],
    ['the option "maxUses"', maxUses < Infinity],
  ];
  for (const [what, is] of wrong) {
    if (!is) continue;
    throw new TypeError(
      `Cannot use ${what} with a database in memory: its data are in its one connection, and are gone with it`,
    );
  }
}
