/**
 * Finds the adapter for the `dialect+driver` of a database URL. The driver itself is imported at the first connect.
 *
 * @module
 */

import { DriverUnavailableError } from "../errors.ts";
import { mustBe, oneOf } from "../internal/argument_error.ts";
import type { Adapter } from "./adapter.ts";
import { bunSqlAdapter } from "./bun_sql.ts";
import {
  type DbPostgresClient,
  type DbPostgresModule,
  lazyDbPostgresAdapter,
} from "./db_postgres.ts";
import { lazyMariadbAdapter, type MariadbClient, type MariadbModule } from "./mariadb.ts";
import { lazyMysql2Adapter, type Mysql2Client, type Mysql2Module } from "./mysql2.ts";
import { lazyPgAdapter, type PgClient, type PgModule } from "./pg.ts";
import {
  lazyPostgresjsAdapter,
  type PostgresjsFunction,
  type PostgresjsSql,
} from "./postgresjs.ts";
import { loadDriver } from "./shared/load_driver.ts";
import { sqliteAdapter } from "./sqlite.ts";

const loadPg = () => loadFromNpm<PgModule<PgClient>>("pg", "pg");
const loadPostgresjs = () =>
  loadFromNpm<PostgresjsFunction<PostgresjsSql>>("postgresjs", "postgres");
const loadMysql2 = () => loadFromNpm<Mysql2Module<Mysql2Client>>("mysql2", "mysql2");
const loadMariadb = () => loadFromNpm<MariadbModule<MariadbClient>>("mariadb", "mariadb");

const mysql2 = () => lazyMysql2Adapter(loadMysql2) as Adapter<unknown>;
const mariadb = () => lazyMariadbAdapter(loadMariadb) as Adapter<unknown>;
const bun = () => bunSqlAdapter("mysql") as Adapter<unknown>;

/** The drivers of each dialect; the first one is the default. */
const DIALECTS: Readonly<Record<string, Readonly<Record<string, () => Adapter<unknown>>>>> = {
  postgresql: {
    pg: () => lazyPgAdapter(loadPg) as Adapter<unknown>,
    postgresjs: () => lazyPostgresjsAdapter(loadPostgresjs) as Adapter<unknown>,
    "db-postgres": () => lazyDbPostgresAdapter(loadDbPostgres) as Adapter<unknown>,
    bun: () => bunSqlAdapter("postgresql") as Adapter<unknown>,
  },
  mysql: { mysql2, mariadb, bun },
  mariadb: { mariadb, mysql2, bun },
  sqlite: { sqlite: () => sqliteAdapter() as Adapter<unknown> },
};

/**
 * Returns the adapter that a URL names.
 *
 * @param dialect The dialect, such as `"postgresql"`.
 * @param driver The driver, such as `"pg"`. Default: the dialect's first one.
 * @returns The adapter; its driver is not imported yet.
 * @throws {TypeError} for an unknown dialect or driver, with the known ones.
 */
export function adapterByUrl(dialect: string, driver: string | undefined): Adapter<unknown> {
  const drivers = find(DIALECTS, "dialect", dialect);
  const name = driver ?? Object.keys(drivers)[0]!;
  return find(drivers, "driver", name, ` for ${dialect}`)();
}

function find<T>(
  members: Readonly<Record<string, T>>,
  part: "dialect" | "driver",
  name: string,
  condition = "",
): T {
  if (Object.hasOwn(members, name)) return members[name]!;
  const known = oneOf(Object.keys(members));
  const allowed = `${known}${condition}, unless the option "adapter" is given`;
  throw mustBe(`${part} of the database URL`, allowed, name);
}

/** Imports a driver from npm: by its bare name (Node, Bun, a Deno import map), or else as `npm:` (Deno). */
function loadFromNpm<M>(driver: string, packageName: string): Promise<M> {
  return loadDriver(driver, {
    specifiers: [packageName, `npm:${packageName}`],
    notFound: `it is not installed here, run "npm install ${packageName}", ` +
      `"bun add ${packageName}" or "deno add npm:${packageName}"`,
  });
}

/** Imports `@db/postgres` by its bare name, if an import map has it, or else from JSR. */
function loadDbPostgres(): Promise<DbPostgresModule<DbPostgresClient>> {
  const driver = "db-postgres";
  if (!("Deno" in globalThis)) {
    throw new DriverUnavailableError(
      `Cannot load the driver "${driver}": @db/postgres runs on Deno only, and this is another runtime; use the driver "pg" or "postgresjs"`,
      { driver },
    );
  }
  return loadDriver(driver, {
    specifiers: ["@db/postgres", "jsr:@db/postgres@^0.19"],
    notFound: 'it is not installed here, run "deno add jsr:@db/postgres"',
  });
}
