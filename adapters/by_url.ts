/**
 * From `dialect+driver` in a URL to the adapter; the driver itself is imported at the first connect.
 *
 * @module
 */

import { loadDriver } from "./shared/load_driver.ts";
import { DriverUnavailableError } from "../errors.ts";
import type { Adapter } from "./adapter.ts";
import { lazyMariadbAdapter, type MariadbClient, type MariadbModule } from "./mariadb.ts";
import { lazyMysql2Adapter, type Mysql2Client, type Mysql2Module } from "./mysql2.ts";
import {
  type DbPostgresClient,
  type DbPostgresModule,
  lazyDbPostgresAdapter,
} from "./db_postgres.ts";
import { lazyPgAdapter, type PgClient, type PgModule } from "./pg.ts";
import {
  lazyPostgresjsAdapter,
  type PostgresjsFunction,
  type PostgresjsSql,
} from "./postgresjs.ts";
import { sqliteAdapter } from "./sqlite.ts";

const loadMysql2 = () => fromNpm<Mysql2Module<Mysql2Client>>("mysql2", "mysql2");
const mysql2 = () => lazyMysql2Adapter(loadMysql2) as Adapter<unknown>;
const loadMariadb = () => fromNpm<MariadbModule<MariadbClient>>("mariadb", "mariadb");
const mariadb = () => lazyMariadbAdapter(loadMariadb) as Adapter<unknown>;

/** Dialects, each with its drivers; the first is the default. */
const DIALECTS: Readonly<Record<string, Readonly<Record<string, () => Adapter<unknown>>>>> = {
  postgresql: {
    pg: () => lazyPgAdapter(() => fromNpm<PgModule<PgClient>>("pg", "pg")) as Adapter<unknown>,
    postgresjs: () =>
      lazyPostgresjsAdapter(() =>
        fromNpm<PostgresjsFunction<PostgresjsSql>>("postgresjs", "postgres")
      ) as Adapter<unknown>,
    "db-postgres": () => lazyDbPostgresAdapter(loadDbPostgres) as Adapter<unknown>,
  },
  mysql: { mysql2, mariadb },
  mariadb: { mariadb, mysql2 },
  sqlite: { sqlite: () => sqliteAdapter() as Adapter<unknown> },
};

/**
 * The adapter that a URL names.
 *
 * @param dialect Such as `"postgresql"`.
 * @param driver Such as `"pg"`; the dialect's default where it is missing.
 * @returns The adapter; nothing is imported yet.
 * @throws {TypeError} for a dialect or a driver that is not known, with those that are.
 */
export function adapterByUrl(dialect: string, driver: string | undefined): Adapter<unknown> {
  if (!Object.hasOwn(DIALECTS, dialect)) {
    const known = Object.keys(DIALECTS).join(", ");
    throw new TypeError(
      `Cannot use the dialect "${dialect}" of the database URL: it is one of ${known}, or give the option "adapter"`,
    );
  }
  const drivers = DIALECTS[dialect]!;
  const name = driver ?? Object.keys(drivers)[0]!;
  if (!Object.hasOwn(drivers, name)) {
    const known = Object.keys(drivers).join(", ");
    throw new TypeError(
      `Cannot use the driver "${name}" of the database URL: for ${dialect} it is one of ${known}, or give the option "adapter"`,
    );
  }
  return drivers[name]!();
}

/** A driver from npm: under its bare name (Node, Bun, a Deno import map), else as `npm:` (Deno). */
function fromNpm<M>(driver: string, packageName: string): Promise<M> {
  return loadDriver(driver, {
    specifiers: [packageName, `npm:${packageName}`],
    otherwise: `it is not installed here, run "npm install ${packageName}", ` +
      `"bun add ${packageName}" or "deno add npm:${packageName}"`,
  });
}

/** From JSR, under its bare name where an import map has it. */
function loadDbPostgres(): Promise<DbPostgresModule<DbPostgresClient>> {
  const driver = "db-postgres";
  if (!("Deno" in globalThis)) {
    throw new DriverUnavailableError(
      `Cannot load the driver "${driver}": @db/postgres is for Deno alone, and this is another runtime; use the driver "pg" or "postgresjs"`,
      { driver },
    );
  }
  return loadDriver(driver, {
    specifiers: ["@db/postgres", "jsr:@db/postgres@^0.19"],
    otherwise: 'it is not installed here, run "deno add jsr:@db/postgres"',
  });
}
