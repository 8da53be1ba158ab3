/**
 * Reads what an engine is made of: applies plugins, and checks URL, options and adapter against each other, so that
 * what cannot work is an error at once.
 *
 * @module
 */

import type { Adapter, Destination } from "../adapters/adapter.ts";
import { adapterByUrl } from "../adapters/by_url.ts";
import { mustBe, mustNotBeGiven, oneOf } from "../internal/argument_error.ts";
import type { Secrets } from "../internal/redact.ts";
import { destinationOf, type EngineHost, hostsOf, isService, withSecrets } from "./destination.ts";
import {
  type EngineOptions,
  type EngineSettings,
  readAdapter,
  readEngineOptions,
} from "./options.ts";
import { DatabaseUrl } from "./url.ts";
import { readUrlOptions } from "./url_options.ts";

/** What an engine is made of. */
export interface EngineSetup<C> {
  readonly url: DatabaseUrl;
  readonly adapter: Adapter<C>;
  readonly settings: EngineSettings<C>;
  /** Callbacks of plugins for the finished engine. */
  readonly created: readonly ((engine: unknown) => void)[];
}

/** Where the connections of an engine go to. */
export interface EnginePlace {
  /** The hosts, in the order of preference. */
  readonly hosts: readonly EngineHost[];
  /** What the adapter is told about the database on the first host. */
  readonly destination: Destination;
  /** What must be in no log line and no message. */
  readonly secrets: Secrets;
}

/** The callbacks of most engines. */
const NONE_CREATED: EngineSetup<never>["created"] = Object.freeze([]);

/**
 * Reads what an engine is made of.
 *
 * @param url The database URL.
 * @param options The caller's options.
 * @throws {TypeError} if the URL or an option is not valid.
 * @throws {RangeError} if a number is outside its range.
 */
export function setUp<C>(
  url: DatabaseUrl,
  options: EngineOptions<C> | undefined,
): EngineSetup<C> {
  const setup = applyPlugins(url, options);
  // The adapter comes first, because some defaults depend on it.
  const adapter = readAdapter<C>(setup.options) ??
    adapterByUrl(setup.url.dialect, setup.url.driver) as Adapter<C>;
  const given = readUrlOptions(setup.url, setup.options);
  const settings = readEngineOptions<C>(withLocalDefaults(given, adapter));
  checkUrl(setup.url, adapter);
  checkCredentials(setup.url, adapter, settings);
  checkMethods(adapter, settings);
  checkPoolClass(setup.options, settings);
  isService(setup.url, settings);
  const { hosts, destination } = placeOf({ url: setup.url, adapter, settings });
  for (const { host, port } of hosts) adapter.check?.({ ...destination, host, port });
  if (adapter.volatile?.(destination)) checkInMemory(setup.options, settings);
  const created = setup.created.length === 0 ? NONE_CREATED : setup.created;
  return { url: setup.url, adapter, settings, created };
}

/** Returns where the connections go to. Not part of the setup: a program may have thousands of engines without any. */
export function placeOf<C>(
  { url, adapter, settings }: Pick<EngineSetup<C>, "url" | "adapter" | "settings">,
): EnginePlace {
  const hosts = hostsOf(url, adapter, settings);
  return { hosts, ...withSecrets(destinationOf(url, hosts[0]!, settings)) };
}

/**
 * Checks that the adapter has a method that an option needs.
 *
 * @param adapter The adapter.
 * @param method The method.
 * @param options `for`: the option.
 * @throws {TypeError} if the adapter has no such method.
 */
export function requireMethod<C>(
  adapter: Adapter<C>,
  method: keyof Adapter<C>,
  options: { readonly for: string },
): void {
  if (typeof adapter[method] === "function") return;
  throw mustNotBeGiven(
    options.for,
    `the adapter "${adapter.name}" has no method "${String(method)}"`,
  );
}

function applyPlugins<C>(url: DatabaseUrl, options: EngineOptions<C> | undefined) {
  const { plugins = [] } = options ?? {};
  if (!Array.isArray(plugins)) throw mustBe("plugins", "an array of functions", plugins);
  const wrong = plugins.findIndex((plugin) => typeof plugin !== "function");
  if (wrong !== -1) throw mustBe(`plugins[${wrong}]`, "a function", plugins[wrong]);
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
    const part = url.hosts.length > 0 ? "host" : url.port !== undefined ? "port" : undefined;
    if (part === undefined) return;
    throw mustNotBeGiven(
      `${part} of the database URL`,
      `${name} has no host, write ${url.dialect}:///path or ${url.dialect}::memory:`,
    );
  }
  if (url.hosts.length === 0) throw mustBe("database URL", "a URL with a host", String(url));
  for (const name of ["host", "hostname", "hostaddr"]) {
    if (name in url.params) {
      throw mustNotBeGiven(
        `parameter ${name} of the database URL`,
        "the address comes from DNS, put the host before the port",
      );
    }
  }
}

/** Arguments of the drivers that would take the place of what `credentials` gives. */
const LOGIN_ARGS = ["user", "username", "password", "pass", "password1", "passwordSha1"];

/** Checks that a function for user and password can be used, and that nothing else gives them. */
function checkCredentials<C>(
  { password }: DatabaseUrl,
  { local, name }: Adapter<C>,
  { credentials, connectArgs }: EngineSettings<C>,
): void {
  if (credentials === undefined) return;
  if (local) throw mustNotBeGiven("credentials", `${name} has no login`);
  const given = 'the option "credentials" gives it';
  if (password !== undefined) throw mustNotBeGiven("password of the database URL", given);
  const arg = LOGIN_ARGS.find((name) => connectArgs[name] !== undefined);
  if (arg !== undefined) throw mustNotBeGiven(`connectArgs.${arg}`, given);
}

/** Checks that limits are given only with the pool class that has them, as SQLAlchemy does. */
function checkPoolClass<C>(
  options: EngineOptions<C> | undefined,
  { poolClass, leaseTimeoutMs }: EngineSettings<C>,
): void {
  if (poolClass === "queue") return;
  if (poolClass === "static" && leaseTimeoutMs < Infinity) {
    const reason = 'leases of the pool class "static" share their connection, which has no holder';
    throw mustNotBeGiven("leaseTimeout", reason);
  }
  for (const name of ["poolSize", "maxOverflow", "minIdle", "minSize"] as const) {
    if (options?.[name] === undefined) continue;
    throw mustNotBeGiven(name, `it is for the pool class "queue", not for "${poolClass}"`);
  }
}

/** Checks that the adapter has the methods that the options need. */
function checkMethods<C>(adapter: Adapter<C>, settings: EngineSettings<C>): void {
  if (settings.prePing) requireMethod(adapter, "ping", { for: "poolPrePing" });
  if (settings.targetSessionAttrs !== "any") {
    requireMethod(adapter, "role", { for: "targetSessionAttrs" });
  }
  if (settings.resetOnReturn === "reset") {
    requireMethod(adapter, "resetSession", { for: "poolResetOnReturn" });
  }
  if (settings.isolationLevel !== undefined) {
    requireMethod(adapter, "setIsolationLevel", { for: "isolationLevel" });
  }
}

/**
 * Returns the options with the defaults of a local adapter, if it is one: a single connection that all callers use in
 * turn, so that transactions do not mix.
 */
function withLocalDefaults<C>(
  options: EngineOptions<C> | undefined,
  { local }: Adapter<C>,
): EngineOptions<C> | undefined {
  const { poolClass = "queue", poolSize = 1, maxOverflow = 0 } = options ?? {};
  return local && poolClass === "queue" ? { ...options, poolSize, maxOverflow } : options;
}

/** Refuses options that would close the connection in which a database in memory lives, or open a second one. */
function checkInMemory<C>(
  options: EngineOptions<C> | undefined,
  settings: EngineSettings<C>,
): void {
  const inMemory = "for a database in memory, whose data are in its one connection";
  const { poolClass } = settings;
  if (poolClass === "null") {
    const others = oneOf(["queue", "static", "assertion"]);
    throw mustBe("poolClass", `${others} ${inMemory}`, poolClass);
  }
  for (const [name, only] of [["poolSize", 1], ["maxOverflow", 0]] as const) {
    const value = options?.[name] ?? only;
    if (poolClass === "queue" && value !== only) throw mustBe(name, `${only} ${inMemory}`, value);
  }
  const { recycleMs, idleTimeoutMs, maxUses, leaseTimeoutMs } = settings;
  const limits = {
    poolRecycle: recycleMs,
    idleTimeout: idleTimeoutMs,
    maxUses,
    leaseTimeout: leaseTimeoutMs,
  };
  for (const [name, value] of Object.entries(limits)) {
    if (value === Infinity) continue;
    throw mustNotBeGiven(
      name,
      "the data of a database in memory would be lost with its connection",
    );
  }
}
