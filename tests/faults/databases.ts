/**
 * The databases of the fault matrix: how each is started, and how faults are made inside it.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import mysql from "npm:mysql2@^3.24/promise";
import type { Adapter } from "../../adapters/adapter.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { getDnsEngine } from "../../mod.ts";
import { type MariadbServer, startMariadb } from "../../lab/mariadb.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import type { LabServer, TlsOptions } from "../../lab/server.ts";
import { mariadbTest } from "../support/servers.ts";
import { pause } from "../support/waiting.ts";

type Register = (name: string, body: () => Promise<void>) => void;

/** The address and the certificate of a server. */
export interface Where {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsOptions | undefined;
}

/** A running database. */
export interface Database {
  readonly server: LabServer;
  // deno-lint-ignore no-explicit-any -- whatever the client is, the engine only hands it back
  readonly adapter: Adapter<any>;
  /** A write of one value that takes 30 ms, so that statements are always under way. */
  readonly statement: string;
  /** A statement with one value that fails, because the value is no number. */
  readonly wrong: string;
  /** Returns the URL of a user that is no administrator. */
  url(host: string, port: number): string;
  /** Makes the server refuse that user with "too many clients", until the returned function is called. */
  fill(): Promise<() => Promise<void>>;
  /** Makes the server read-only, or writable again. */
  setReadOnly(on: boolean): Promise<void>;
  /** Makes the server read its certificate again. */
  reloadTls(): Promise<void>;
}

/** A kind of database. */
export interface DatabaseKind {
  readonly name: string;
  /** Registers a test on it. */
  readonly test: Register;
  start(where: Where): Promise<Database>;
}

const ADMIN = { user: "admin", password: "s3cret-admin", database: "faults" };
const WORKER = { user: "worker", password: "s3cret/w:rker" };

/** The password and the written value, which must not be shown. */
export const SECRETS = { password: WORKER.password, value: "b1nd-v@lue" };

/** PostgreSQL, by `npm:pg`. */
export const POSTGRES: DatabaseKind = {
  name: "PostgreSQL",
  test: (name, body) => Deno.test(name, body),
  async start(where) {
    const server = await startPostgres({ ...ADMIN, ...where });
    const ask = (...texts: string[]) => askPostgres(server, texts);
    await ask(
      "CREATE TABLE faults (n text)",
      `CREATE ROLE ${WORKER.user} LOGIN PASSWORD '${WORKER.password}'`,
      `GRANT ALL ON faults TO ${WORKER.user}`,
    );
    return {
      server,
      adapter: pgAdapter(pg),
      statement: "INSERT INTO faults SELECT $1 FROM pg_sleep(0.03)",
      wrong: "SELECT $1::int",
      url: (host, port) =>
        `postgresql://${WORKER.user}:${
          encodeURIComponent(WORKER.password)
        }@${host}:${port}/${ADMIN.database}`,
      async fill() {
        await ask(`ALTER ROLE ${WORKER.user} CONNECTION LIMIT 0`);
        return () => ask(`ALTER ROLE ${WORKER.user} CONNECTION LIMIT -1`);
      },
      setReadOnly: (on) =>
        ask(
          `ALTER SYSTEM ${on ? "SET default_transaction_read_only = on" : "RESET ALL"}`,
          "SELECT pg_reload_conf()",
        ),
      reloadTls: () => ask("SELECT pg_reload_conf()"),
    };
  },
};

async function askPostgres(server: PostgresServer, texts: readonly string[]): Promise<void> {
  const options = "-c default_transaction_read_only=off";
  await using engine = getDnsEngine(server.url(), {
    adapter: pgAdapter(pg),
    connectArgs: { options },
  });
  // ALTER SYSTEM runs in no transaction.
  for (const text of texts) await engine.query(text);
}

/** MariaDB, by `npm:mysql2`. */
export const MARIADB: DatabaseKind = {
  name: "MariaDB",
  test: mariadbTest,
  async start(where) {
    const server = await startMariadb({ ...WORKER, database: ADMIN.database, ...where });
    const ask = async (text: string) => void await askMariadb(server, text);
    await ask("CREATE TABLE faults (n text)");
    return {
      server,
      adapter: mysql2Adapter(mysql),
      statement: "INSERT INTO faults SELECT ? FROM (SELECT SLEEP(0.03)) AS slow",
      wrong: "SELECT * FROM faults WHERE MATCH (nothing) AGAINST (?)",
      url: (host, port) =>
        `mysql://${WORKER.user}:${
          encodeURIComponent(WORKER.password)
        }@${host}:${port}/${ADMIN.database}`,
      fill: () => fillMariadb(server),
      setReadOnly: (on) => ask(`SET GLOBAL read_only = ${on ? "ON" : "OFF"}`),
      reloadTls: () => ask("FLUSH SSL"),
    };
  },
};

/** Limits MariaDB to the minimum number of connections, and takes all of them. */
async function fillMariadb(server: MariadbServer): Promise<() => Promise<void>> {
  // Held until the end: callers may take the connection that is reserved for the administrator meanwhile.
  const admin = await mysql.createConnection(server.adminUrl());
  const taken: mysql.Connection[] = [];
  const end = async () => {
    for (const connection of taken) connection.destroy();
    await admin.query("SET GLOBAL max_connections = 100");
    await admin.end();
  };
  try {
    const others = `SELECT 1 FROM information_schema.processlist WHERE user = '${WORKER.user}'`;
    while ((await rowsOf(admin, others)).length > 0) await pause(10);
    await admin.query("SET GLOBAL max_connections = 10");
    for (let full = false; !full;) {
      try {
        const connection = await mysql.createConnection(server.url());
        connection.on("error", () => {}); // the server may end it first
        taken.push(connection);
      } catch (error) {
        full = true;
        if ((error as { code?: string }).code !== "ER_CON_COUNT_ERROR") throw error;
      }
    }
  } catch (error) {
    await end();
    throw error;
  }
  return end;
}

async function askMariadb(server: MariadbServer, text: string): Promise<unknown[]> {
  const connection = await mysql.createConnection(server.adminUrl());
  try {
    return await rowsOf(connection, text);
  } finally {
    await connection.end();
  }
}

async function rowsOf(connection: mysql.Connection, text: string): Promise<unknown[]> {
  const [rows] = await connection.query(text);
  return Array.isArray(rows) ? rows : [];
}

/** Every kind. */
export const KINDS: readonly DatabaseKind[] = [POSTGRES, MARIADB];
