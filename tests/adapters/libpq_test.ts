import { assertEquals, assertThrows } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import mysql from "npm:mysql2@^3.24/promise";
import { dnsMysql2, DnsMysql2Pool } from "../../drop_in/mysql2_pool.ts";
import { dnsPg, DnsPgPool } from "../../drop_in/pg_pool.ts";
import { type EngineOptions, getDnsEngine } from "../../mod.ts";

/** Parameters of libpq, each with a value that it can have there. */
const PARAMETERS: Readonly<Record<string, string>> = {
  application_name: "billing",
  channel_binding: "require",
  client_encoding: "UTF8",
  connect_timeout: "5",
  dbname: "orders",
  fallback_application_name: "billing",
  gssencmode: "require",
  hostaddr: "10.0.0.2",
  keepalives: "0",
  keepalives_count: "3",
  keepalives_idle: "30",
  keepalives_interval: "10",
  krbsrvname: "postgres",
  load_balance_hosts: "random",
  options: "-c search_path=billing",
  passfile: "/nowhere",
  replication: "database",
  require_auth: "scram-sha-256",
  requirepeer: "postgres",
  requiressl: "1",
  service: "orders",
  ssl_max_protocol_version: "TLSv1.3",
  ssl_min_protocol_version: "TLSv1.3",
  sslcert: "/nowhere",
  sslcertmode: "require",
  sslcompression: "0",
  sslcrl: "/nowhere",
  sslkey: "/nowhere",
  sslmode: "require",
  sslnegotiation: "direct",
  sslpassword: "secret",
  sslrootcert: "/nowhere",
  sslsni: "0",
  target_session_attrs: "read-write",
  tcp_user_timeout: "1000",
};

const TLS = ["sslmode", "sslcert", "sslkey", "sslrootcert"];
const SESSION = ["application_name", "fallback_application_name", "options"];
const OF_PG = [...SESSION, "client_encoding", "replication", "sslnegotiation"];

/** A place where a parameter can be given, and the parameters that are obeyed there. */
interface Place {
  readonly give: (name: string, value: string) => unknown;
  readonly obeyed: readonly string[];
}

const engineWith = (url: string) => (name: string, value: string) =>
  getDnsEngine(`${url}?${name}=${value}`);
const engineArgs = (url: string) => (name: string, value: string) =>
  getDnsEngine(url, { connectArgs: { [name]: value } });
const engineOption = (url: string) => (name: string, value: string) =>
  getDnsEngine(url, { [name]: value } as EngineOptions);

/** Options of the engine that a PostgreSQL URL may have. */
const OF_ENGINE = ["target_session_attrs", "load_balance_hosts", "connect_timeout"];

function engine(driver: string, inUrl: readonly string[], inArgs: readonly string[]) {
  const url = `${driver}://app@db.internal/orders`;
  return {
    [`URL of ${driver}`]: { give: engineWith(url), obeyed: inUrl },
    [`connectArgs of ${driver}`]: { give: engineArgs(url), obeyed: inArgs },
    [`options of ${driver}`]: { give: engineOption(url), obeyed: [] },
  };
}

const uri = (scheme: string, name: string, value: string) =>
  `${scheme}://app@db.internal/orders?${name}=${value}`;

const PLACES: Readonly<Record<string, Place>> = {
  ...engine("postgresql+pg", [
    ...OF_ENGINE,
    ...SESSION,
    ...TLS,
    "client_encoding",
    "sslnegotiation",
  ], OF_PG),
  ...engine("postgresql+postgresjs", [...OF_ENGINE, ...SESSION, ...TLS, "sslnegotiation"], [
    "sslnegotiation",
  ]),
  ...engine("postgresql+db-postgres", [...OF_ENGINE, ...SESSION, "sslrootcert"], ["options"]),
  ...engine("mysql+mysql2", TLS, []),
  ...engine("mysql+mariadb", TLS, []),
  "connection string of DnsPgPool": {
    give: (...parameter) => new DnsPgPool(pg, { connectionString: uri("postgres", ...parameter) }),
    obeyed: [...OF_ENGINE, ...OF_PG, ...TLS],
  },
  "options of DnsPgPool": {
    give: (name, value) => new DnsPgPool(pg, { host: "db.internal", [name]: value }),
    obeyed: [...OF_ENGINE, ...OF_PG],
  },
  "connection string of a client of dnsPg": {
    give: (...parameter) => new (dnsPg(pg).Client)(uri("postgres", ...parameter)),
    obeyed: [...OF_ENGINE, ...OF_PG, ...TLS],
  },
  "options of a client of dnsPg": {
    give: (name, value) => new (dnsPg(pg).Client)({ host: "db.internal", [name]: value }),
    obeyed: [...OF_ENGINE, ...OF_PG],
  },
  "URI of DnsMysql2Pool": {
    give: (...parameter) => new DnsMysql2Pool(mysql, uri("mysql", ...parameter)),
    obeyed: [],
  },
  "options of DnsMysql2Pool": {
    give: (name, value) => new DnsMysql2Pool(mysql, { host: "db.internal", [name]: value }),
    obeyed: [],
  },
  "URI of a connection of dnsMysql2": {
    give: (...parameter) => dnsMysql2(mysql).createConnection(uri("mysql", ...parameter)),
    obeyed: [],
  },
  "options of a connection of dnsMysql2": {
    give: (name, value) => {
      const options = { host: "db.internal", [name]: value };
      return dnsMysql2(mysql).createConnection(options);
    },
    obeyed: [],
  },
};

for (const [place, { give, obeyed }] of Object.entries(PLACES)) {
  Deno.test(`refuseLibpq(): each parameter of libpq in the ${place} is obeyed, or refused by name`, () => {
    for (const [name, value] of Object.entries(PARAMETERS)) {
      if (obeyed.includes(name)) continue;
      assertThrows(() => give(name, value), TypeError, name);
    }
  });
}

Deno.test("refuseLibpq(): a refusal says what to use instead", () => {
  const refused = (make: () => unknown) => assertThrows(make, TypeError).message;
  const url = "postgresql://app@db.internal/orders";
  assertEquals(
    refused(() => getDnsEngine(url, { connectArgs: { target_session_attrs: "read-write" } })),
    '"connectArgs.target_session_attrs" must not be given: use the option "targetSessionAttrs"',
  );
  assertEquals(
    refused(() => getDnsEngine(url, { connectArgs: { sslmode: "require" } })),
    '"connectArgs.sslmode" must not be given: put sslmode, sslrootcert, sslcert and sslkey into the database URL, or give "connectArgs.ssl"',
  );
  assertEquals(
    refused(() => new DnsPgPool(pg, { connectionString: `${url}?keepalives=0` })),
    '"keepalives in the connection string" must not be given: use the option "keepAlive"',
  );
  assertEquals(
    refused(() => new DnsMysql2Pool(mysql, "mysql://app@db.internal/orders?sslmode=require")),
    '"sslmode in the connection string" must not be given: give "ssl"',
  );
});

Deno.test("refuseLibpq(): sslmode beside the ssl that a library made of it is allowed", async () => {
  await new DnsPgPool(pg, { host: "db.internal", ssl: {}, ...{ sslmode: "require" } }).end();
});
