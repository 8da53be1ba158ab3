/**
 * The messages of all errors for arguments have one of three forms: no source makes such an error by itself, and the
 * public functions are called with wrong arguments of all kinds.
 */

import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import mysql2 from "npm:mysql2@^3.24/promise";
import postgres from "npm:postgres@^3.4";
import { dbPostgresAdapter } from "../../adapters/db_postgres.ts";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { sqliteAdapter } from "../../adapters/sqlite.ts";
import { dnsMysql2, DnsMysql2Pool } from "../../drop_in/mysql2_pool.ts";
import { dnsPg, DnsPgPool } from "../../drop_in/pg_pool.ts";
import { dnsPostgres } from "../../drop_in/postgresjs.ts";
import { dohLookup } from "../../lookups/doh.ts";
import {
  DatabaseUrl,
  type Engine,
  type EngineOptions,
  getDnsEngine,
  getIpWithTtl,
} from "../../mod.ts";
import { openTelemetry } from "../../otel.ts";
import { DnsServer, fakeAdapter, type FakeClient, TcpProxy } from "../../testing/mod.ts";

const ROOT = new URL("../../", import.meta.url);

/** The forms of `internal/argument_error.ts`. */
const FORMS = [
  /^"[^"\n]+" must be [^\n]+, got [^\n]+$/,
  /^"[^"\n]+" must not be given: [^\n]+$/,
  /^"[^\n]*" is not an? [^\n]+(?:, did you mean "[^"\n]+"\?|; there are [^\n]+)$/,
];
/** Words that no message has: JavaScript says string, array and function, and "must be". */
const OLD_WORDS = /\bit is an? \b|\bit is one of\b|\ba (?:text|list of)\b|\bcannot be meant\b/;

function assertForm(message: string, call: string): void {
  assert(FORMS.some((form) => form.test(message)), `${call}: ${message}`);
  assert(!OLD_WORDS.test(message), `${call}: ${message}`);
}

/** Errors that are not about an argument, although JavaScript's class for them is the same. */
const STATE_ERRORS: readonly { file: string; message: string; because: string }[] = [
  {
    file: "pool/pool_lease.ts",
    message: "Cannot use the client of a lease",
    because: "the lease was released before",
  },
  {
    file: "engine/statements.ts",
    message: "Cannot ${action}: the adapter",
    because: "the adapter runs no statements, whatever the arguments are",
  },
  {
    file: "engine/dns_engine.ts",
    message: "Cannot listen: the adapter",
    because: "the adapter hears no notifications, whatever the arguments are",
  },
  {
    file: "engine/dns_engine.ts",
    message: "Cannot listen with",
    because: "the servers of the engine send no notifications",
  },
  {
    file: "adapters/sqlite.ts",
    message: "Cannot run several statements at once",
    because: "the driver would run the first statement only",
  },
  {
    file: "adapters/postgresjs/clients.ts",
    message: "Cannot call ${method}() on a connection of a pool",
    because: "the method of the driver's client is not available",
  },
  {
    file: "drop_in/mysql2_pool.ts",
    message: "Cannot make a pool cluster",
    because: "the driver's function is not available",
  },
  {
    file: "drop_in/mariadb_pool.ts",
    message: "Cannot make a pool cluster",
    because: "the driver's function is not available",
  },
  {
    file: "drop_in/postgresjs/sql.ts",
    message: "NO_SUBSCRIBE",
    because: "the method of the driver is not available",
  },
  {
    file: "testing/dns_server.ts",
    message: '${action} on "${this.address}": it is a cache',
    because: "a cache has no records of its own",
  },
];

/** Returns the sources that the package publishes. */
async function publishedSources(): Promise<string[]> {
  const sources: string[] = [];
  for (const pattern of config.publish.include) {
    const [folder, rest] = pattern.split("**/");
    if (rest !== undefined) sources.push(...await sourcesBelow(folder!));
    else if (pattern.endsWith(".ts")) sources.push(pattern);
  }
  return sources;
}

async function sourcesBelow(folder: string): Promise<string[]> {
  const sources: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
    if (isDirectory) sources.push(...await sourcesBelow(`${folder}${name}/`));
    else if (name.endsWith(".ts")) sources.push(folder + name);
  }
  return sources;
}

Deno.test("only internal/argument_error.ts makes errors for arguments", async () => {
  const sources = await publishedSources();
  assert(sources.length > 50);
  const unused = new Set(STATE_ERRORS);
  for (const file of sources) {
    if (file === "internal/argument_error.ts") continue;
    const source = await Deno.readTextFile(new URL(file, ROOT));
    for (const { index } of source.matchAll(/\b(?:Type|Range)Error\(/g)) {
      const code = source.slice(index, index + 200);
      const state = STATE_ERRORS.find((one) => one.file === file && code.includes(one.message));
      assert(state, `${file} makes an error for an argument by itself: ${code}`);
      unused.delete(state);
    }
  }
  assertEquals([...unused], []);
});

/** Values of every kind: most are wrong for any argument. */
const VALUES: readonly unknown[] = [
  null,
  true,
  -2,
  0.5,
  1e9,
  NaN,
  Infinity,
  7n,
  "",
  "no such thing",
  "app:s3cret@db.internal",
  Symbol("s"),
  [],
  [7],
  {},
  { noSuchThing: 7 },
  new Date(0),
  () => 7,
];

/** Calls a function; returns its error if that is one for an argument. */
async function argumentErrorOf(call: () => unknown): Promise<Error | undefined> {
  try {
    await call();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) return error;
  }
  return undefined;
}

/** Calls a function with each value, and checks the messages of those it refuses. */
async function checkArgument(
  what: string,
  call: (value: never) => unknown,
  values: readonly unknown[] = VALUES,
): Promise<void> {
  let refused = 0;
  for (const value of values) {
    const error = await argumentErrorOf(() => call(value as never));
    if (!error) continue;
    refused++;
    assertForm(error.message, what);
  }
  assert(refused > 0, `${what} refuses nothing`);
}

/** Calls a function with wrong options: another value than an object, an unknown name, each option with each value. */
async function checkOptions(
  what: string,
  call: (options: never) => unknown,
  names?: readonly string[],
): Promise<void> {
  const unknown = await argumentErrorOf(() => call({ qwertyuiop: 7 } as never));
  if (unknown) assertForm(unknown.message, what);
  const known = names ?? unknown?.message.split("; there are ")[1]?.split(", ") ?? [];
  assert(known.length > 0, `${what} has no options`);
  for (const name of known) {
    await checkArgument(`${what}, option ${name}`, (value) => call({ [name]: value } as never));
  }
}

Deno.test("getDnsEngine() refuses URLs and options with messages of the three forms", async () => {
  const make = (url: unknown, options?: object) =>
    getDnsEngine(url as string, { adapter: fakeAdapter(), ...options });
  await checkArgument("url", make);
  const urls = [
    "fake://",
    "fake:///orders",
    "fake://:1/orders",
    "fake://db.internal:x/orders",
    "fake://db.internal:0/orders",
    "fake://app:s3cret",
    "fake://app:12345678",
    "fake://app:s3%zz@db.internal",
    "fake://app:s@cret@db.internal",
    "fake://a,,b/orders",
    "fake://[::1::2]/orders",
    "fake://a..b/orders",
    "fake://%2Fvar%2Frun,b/orders",
    "fake://db.internal/orders?host=10.0.0.1",
    "fake://db.internal/orders?a=%",
  ];
  for (const url of urls) await checkArgument(url, make, [url]);
  const options = (options: object) => make("fake://127.0.0.1/orders", options);
  await checkOptions("getDnsEngine()", options);
  const wrong = [
    7,
    { creator: () => {} },
    { pool: {} },
    { plugins: [7] },
    { plugins: [() => ({ options: { poolSize: -1 } })] },
    { plugins: [() => ({ url: "no URL" })] },
    { hooks: { connect: 7 } },
    { hooks: { noSuchHook: () => {} } },
    { observer: { served: 7 } },
    { connectArgs: { host: "10.0.0.1" } },
    { dnsMinTtl: 7, dnsMaxTtl: 1 },
    { dnsNameservers: ["10.0.0.2:x"] },
    { allowAddress: ["10.0.0.1/8"] },
    { minIdle: 7, poolSize: 1 },
    { poolClass: "null", poolSize: 7 },
    { poolPrePing: true, adapter: { ...fakeAdapter(), ping: undefined } },
  ];
  for (const given of wrong) {
    const options = given as EngineOptions<FakeClient>;
    const call = () => getDnsEngine("fake://h/x", { adapter: fakeAdapter(), ...options });
    const whole = () => getDnsEngine("fake://h/x", options);
    await checkArgument(Deno.inspect(given), typeof given === "object" ? call : whole, [given]);
  }
});

Deno.test("DatabaseUrl refuses strings and parts with messages of the three forms", async () => {
  await checkArgument("DatabaseUrl.parse()", (value) => DatabaseUrl.parse(value));
  const parts = ["dialect", "driver", "user", "password", "host", "port", "database"];
  for (const part of parts) {
    const make = (value: never) => new DatabaseUrl({ dialect: "fake", [part]: value });
    await checkArgument(`new DatabaseUrl(), ${part}`, make, [...VALUES, "\ud800"]);
  }
  const params = (value: never) => new DatabaseUrl({ dialect: "fake", params: { a: value } });
  await checkArgument("new DatabaseUrl(), params", params);
});

Deno.test("getIpWithTtl() refuses hosts and options with messages of the three forms", async () => {
  await checkArgument("getIpWithTtl()", (host) => getIpWithTtl(host));
  await checkOptions("getIpWithTtl()", (options) => getIpWithTtl("127.0.0.1", options));
  await checkArgument("options", (options) => getIpWithTtl("127.0.0.1", options));
});

Deno.test("Engine and Lease refuse arguments with messages of the three forms", async () => {
  type Call = (engine: Engine<FakeClient>, value: never) => unknown;
  const withEngine = (call: Call) => async (value: never) => {
    const engine = getDnsEngine("fake://127.0.0.1", { adapter: fakeAdapter(), poolTimeout: 0 });
    try {
      return await call(engine, value);
    } finally {
      await engine.close({ drain: 0 });
    }
  };
  const calls: Record<string, { call: Call; names?: readonly string[] }> = {
    "connect()": { call: (engine, options) => engine.connect(options) },
    "use()": {
      call: (engine, options) => engine.use(() => {}, options),
      names: ["timeout", "signal"],
    },
    "begin()": {
      call: (engine, options) => engine.begin(() => {}, options),
      names: ["timeout", "signal", "within"],
    },
    "query()": {
      call: (engine, options) => engine.query("SELECT 1", [], options),
      names: ["timeout", "signal"],
    },
    "close()": { call: (engine, options) => engine.close(options) },
    "executionOptions()": { call: (engine, options) => engine.executionOptions(options) },
    "invalidate()": {
      call: (engine, options) => engine.use((lease) => lease.invalidate(undefined, options)),
    },
  };
  for (const [what, { call, names }] of Object.entries(calls)) {
    await checkOptions(what, withEngine(call), names);
    await checkArgument(what, withEngine(call), [null, 7, "x", []]);
  }
  const noFunctions = VALUES.filter((value) => typeof value !== "function");
  await checkArgument("use()", withEngine((engine, fn) => engine.use(fn)), noFunctions);
  await checkArgument("begin()", withEngine((engine, fn) => engine.begin(fn)), noFunctions);
  await checkArgument("warm()", withEngine((engine, count) => engine.warm(count)));
});

Deno.test("adapters refuse drivers, URLs and options with messages of the three forms", async () => {
  const adapters: Record<string, (driver: never) => unknown> = {
    pgAdapter,
    postgresjsAdapter,
    mysql2Adapter,
    mariadbAdapter,
    dbPostgresAdapter,
    sqliteAdapter,
  };
  for (const [name, adapter] of Object.entries(adapters)) {
    await checkArgument(`${name}()`, adapter, [null, 7, "x", {}]);
  }
  const make = (url: never) => getDnsEngine(url);
  await checkArgument("dialect or driver", make, ["oracle://h/x", "postgresql+x://h/x"]);
  const network = ["postgresql+pg", "postgresql+postgresjs", "postgresql+db-postgres", "mysql"];
  for (const scheme of [...network, "mysql+mariadb", "postgresql+bun", "mysql+bun"]) {
    const url = `${scheme}://db.internal/orders`;
    for (
      const query of ["no_such_thing=7", "sslmode=maybe", "sslmode=a&sslmode=b", "sslcert=x"]
    ) {
      await checkArgument(`${url}?${query}`, make, [`${url}?${query}`]);
    }
    const args = (connectArgs: never) => getDnsEngine(url, { connectArgs });
    await checkArgument(`${url} connectArgs`, args, [{ host: "h" }, { ssl: 7 }, { ssl: "x" }]);
  }
  const sqlite = ["sqlite://app@/x", "sqlite://h/x", "sqlite:x?no_such_thing=7"];
  for (const url of sqlite) await checkArgument(url, make, [url]);
  const memory = (options: never) => getDnsEngine("sqlite::memory:", options);
  const lost = [{ poolClass: "null" }, { poolSize: 2 }, { maxOverflow: 1 }, { maxUses: 7 }];
  await checkArgument("sqlite::memory:", memory, lost);
});

Deno.test("drop-ins refuse arguments with messages of the three forms", async () => {
  await checkArgument("dnsPg()", (driver) => dnsPg(driver), [null, 7, {}]);
  await checkArgument("dnsMysql2()", (driver) => dnsMysql2(driver), [null, 7, {}]);
  const options = [
    { dnsNameserver: ["10.0.0.2"] },
    { dnsTimeout: 12_000 },
    { targetSessionAttrs: "write" },
    { loadBalance: 7 },
    { logger: 7 },
    { poolPrePing: "x" },
    { stream: () => {} },
    { maxOverflow: 7 },
    { minIdle: 7 },
  ];
  const pgOptions = [
    ...options,
    { max: -1 },
    { max: "many" },
    { min: 7, max: 1 },
    { idleTimeoutMillis: "x" },
    { connectionTimeoutMillis: -1 },
    { onConnect: "SET x TO 1" },
    { host: "no host" },
  ];
  const host = { host: "db.internal" };
  for (const given of pgOptions) {
    const make = (own: object) => new DnsPgPool(pg, { ...host, ...own });
    await checkArgument(`new DnsPgPool(${JSON.stringify(given)})`, make, [given]);
  }
  const mysql2Options = [
    ...options,
    { connectionLimit: -1 },
    { connectionLimit: "many" },
    { queueLimit: -2 },
    { idleTimeout: "x" },
    { host: "no host" },
  ];
  for (const given of mysql2Options) {
    const make = (own: object) => new DnsMysql2Pool(mysql2, { ...host, ...own } as never);
    await checkArgument(`new DnsMysql2Pool(${JSON.stringify(given)})`, make, [given]);
  }
  const postgresjsOptions = [
    ...options.filter(({ stream }) => stream === undefined),
    { socket: () => {} },
    { max: -1 },
    { max: "many" },
    { idle_timeout: "x" },
    { connect_timeout: -1 },
    { poolTimeout: "x" },
    { host: "no host" },
  ];
  for (const given of postgresjsOptions) {
    const make = (own: object) => dnsPostgres(postgres)({ ...host, ...own } as never);
    await checkArgument(`dnsPostgres(postgres)(${JSON.stringify(given)})`, make, [given]);
  }
  await checkArgument("dnsPg()", (own) => dnsPg(pg, own), options.slice(0, 1));
  await checkArgument("dnsPostgres()", (own) => dnsPostgres(postgres, own), options.slice(0, 1));
  await checkArgument("dnsPostgres()", (driver) => dnsPostgres(driver), [null, 7, {}]);
  await checkArgument("dnsMysql2()", (own) => dnsMysql2(mysql2, own), options.slice(0, 1));
});

Deno.test("lookups and openTelemetry() refuse arguments with messages of the three forms", async () => {
  await checkArgument("dohLookup()", (url) => dohLookup(url));
  await checkArgument("openTelemetry()", (api) => openTelemetry(api));
});

Deno.test("the testing half refuses arguments with messages of the three forms", async () => {
  const start = async (options: never) => await (await DnsServer.start(options)).close();
  const names = ["host", "port", "ttl", "negativeTtl", "seed", "cacheOf", "rounding"];
  await checkOptions("DnsServer.start()", start, names);
  const proxy = async (options: never) => await (await TcpProxy.start(options)).close();
  await checkOptions("TcpProxy.start()", proxy, ["listen", "to"]);
  const dns = await DnsServer.start();
  try {
    const set = (records: never) => dns.set("db.internal", records);
    await checkArgument("DnsServer.set(), records", set);
    await checkArgument("DnsServer.set(), name", (name) => dns.set(name, ["10.0.0.1"]));
    const fault = (fault: never) => dns.fault("db.internal", fault);
    await checkArgument("DnsServer.fault()", fault);
  } finally {
    await dns.close();
  }
});
