/**
 * Loaded by Node before the tests of a driver or an ORM: tests that import the driver get the drop-in.
 *
 * `DNSPOOL_PEERS` holds JSON: `package`, the directory of the bundled package; `targets`, the modules to replace, each
 * with its `file` and its `kind`; `used`, a file that gets a line for each module that a process replaced.
 */

import { appendFileSync } from "node:fs";
import Module, { createRequire, register } from "node:module";
import process from "node:process";

const { package: directory, targets, used } = JSON.parse(process.env.DNSPOOL_PEERS);
const { dnsPg } = await import(`${directory}/drop_in/pg_pool.js`);
const { dnsPostgres } = await import(`${directory}/drop_in/postgresjs.js`);
const { dnsMysql2 } = await import(`${directory}/drop_in/mysql2_pool.js`);
const { dnsMariadb } = await import(`${directory}/drop_in/mariadb_pool.js`);

const NAME = "db.internal";
const dns = {
  dnsFallback: false,
  dnsLookup: {
    name: "peers",
    lookup: ({ family }) =>
      Promise.resolve({ addresses: family === 4 ? ["127.0.0.1"] : [], ttl: 60 }),
  },
};

/** Gives the name in place of the host that the tests connect to. */
function named(config) {
  if (typeof config === "string") {
    return config.replace(/(@|\/\/)(localhost|127\.0\.0\.1)/, `$1${NAME}`);
  }
  const { host, connectionString, uri, socketPath } = config ?? {};
  if (connectionString) return { ...config, connectionString: named(connectionString) };
  if (uri) return { ...config, uri: named(uri) };
  if (socketPath) return config;
  if (host && host !== "localhost" && host !== "127.0.0.1") return config;
  const copy = Object.create(Object.getPrototypeOf(config ?? {}));
  return Object.defineProperties(copy, {
    ...Object.getOwnPropertyDescriptors(config ?? {}),
    host: { value: NAME, enumerable: true, writable: true, configurable: true },
  });
}

function ofPg(pg) {
  const { Client, Pool } = dnsPg(pg, dns);
  const isLocal = () => pg.defaults.host === "localhost";
  class NamedClient extends Client {
    constructor(config) {
      super(isLocal() ? named(config) : config);
    }
  }
  class NamedPool extends Pool {
    constructor(config) {
      super(isLocal() ? named(config) : config);
    }
  }
  return Object.defineProperties({}, {
    ...Object.getOwnPropertyDescriptors(pg),
    Client: { value: NamedClient, enumerable: true },
    Pool: { value: NamedPool, enumerable: true },
  });
}

function ofPgPool(Pool, file) {
  const pg = createRequire(file)("pg");
  const made = dnsPg({ Client: pg.Client, Pool }, dns).Pool;
  return class extends made {
    constructor(options, Client) {
      super({ ...named(options), ...(Client && { Client }) });
    }
  };
}

function ofMysql2(mysql2) {
  const made = dnsMysql2(mysql2, dns);
  const createPool = (config) => made.createPool(named(config));
  const createConnection = (config) => made.createConnection(named(config));
  return Object.defineProperties({}, {
    ...Object.getOwnPropertyDescriptors(mysql2),
    createPool: { value: createPool, enumerable: true },
    createConnection: { value: createConnection, enumerable: true },
  });
}

function ofPostgresjs(postgres) {
  const made = dnsPostgres(postgres, dns);
  const isGiven = ({ host, hostname, path } = {}) => host || hostname || path;
  const named = (first, second) => {
    if (typeof first === "string") {
      return isGiven(second)
        ? [first, second]
        : [first.replace("//localhost", `//${NAME}`), second];
    }
    return isGiven(first) ? [first, second] : [{ ...first, host: NAME }, second];
  };
  return Object.assign((...args) => made(...named(...args)), postgres);
}

const MAKERS = { pg: ofPg, "pg-pool": ofPgPool, mysql2: ofMysql2, postgresjs: ofPostgresjs };
const made = new Map();

/** Returns the drop-in for a module. */
function substituteOf({ file, kind }) {
  if (!made.has(file)) {
    made.set(file, MAKERS[kind](createRequire(file)(file), file));
    appendFileSync(used, `${kind}\n`);
  }
  return made.get(file);
}

const isTest = (path) => /\/tests?\//.test(path ?? "") && !path.includes("/node_modules/");

// For require().
const load = Module._load;
Module._load = function (request, parent, ...rest) {
  if (isTest(parent?.filename) || targets.some(({ by }) => by && parent?.filename.startsWith(by))) {
    let file;
    try {
      file = Module._resolveFilename(request, parent);
    } catch {
      // The original reports it.
    }
    const target = targets.find((target) => target.file === file);
    if (target) return substituteOf(target);
  }
  return load.call(this, request, parent, ...rest);
};

// For mariadb's own tests, whose modules Vite loads.
globalThis[Symbol.for("dnspool.peers.mariadb")] = (mariadb) => {
  // One of the tests needs a name that does not exist.
  const lookup = (question) =>
    question.name === NAME ? dns.dnsLookup.lookup(question) : Promise.resolve({ addresses: [] });
  const options = { ...dns, dnsLookup: { name: "peers", lookup } };
  const { createPool } = dnsMariadb(mariadb, options);
  appendFileSync(used, "mariadb\n");
  return { createPool: (config) => createPool(named(config)) };
};

// For import.
globalThis[Symbol.for("dnspool.peers")] = (file) =>
  substituteOf(targets.find((target) => target.file === file));

const HOOKS = `
  import { createRequire } from "node:module";
  import { fileURLToPath } from "node:url";
  let targets;
  export const initialize = (given) => void (targets = given);
  export async function resolve(specifier, context, next) {
    const resolved = await next(specifier, context);
    const parent = context.parentURL ?? "";
    if (!resolved.url.startsWith("file:") || !parent.startsWith("file:")) return resolved;
    const isTest = /\\/tests?\\//.test(parent) && !parent.includes("/node_modules/");
    const path = fileURLToPath(resolved.url);
    const target = targets.find(({ file, esm, by }) =>
      (file === path || esm === path) && (isTest || by && fileURLToPath(parent).startsWith(by))
    );
    return target ? { url: "dnspool-peer:" + target.file, format: "module", shortCircuit: true } : resolved;
  }
  export async function load(url, context, next) {
    if (!url.startsWith("dnspool-peer:")) return await next(url, context);
    const file = url.slice("dnspool-peer:".length);
    const names = Object.keys(createRequire(file)(file)).filter((name) => /^[A-Za-z_]\\w*$/.test(name) && name !== "default");
    const source = "const made = globalThis[Symbol.for('dnspool.peers')](" + JSON.stringify(file) + ");" +
      "export default made; export const { " + names.join(", ") + " } = made;";
    return { format: "module", source, shortCircuit: true };
  }
`;
register(`data:text/javascript,${encodeURIComponent(HOOKS)}`, { data: targets });
