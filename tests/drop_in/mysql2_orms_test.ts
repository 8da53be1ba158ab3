/**
 * ORMs on MariaDB in a real switchover, with the examples of docs/drop_in_orms.md.
 */

import { assertEquals, assertRejects } from "@std/assert";
import { MikroORM as MikroOrmOfMariadb } from "npm:@mikro-orm/mariadb@^7.2";
import { MikroORM } from "npm:@mikro-orm/mysql@^7.2";
import { drizzle } from "npm:drizzle-orm@^0.45/mysql2";
import knex31 from "npm:knex@~3.1";
import knex from "npm:knex@^3.3";
import { Kysely, MysqlDialect, sql } from "npm:kysely@^0.29";
import mysqlOfCallbacks from "npm:mysql2@^3.24";
import mysql from "npm:mysql2@^3.24/promise";
import { Sequelize } from "npm:sequelize@^6.37";
import { DataSource } from "npm:typeorm@^1.1";
import type net from "node:net";
import { dnsMysql2, DnsMysql2Pool } from "../../drop_in/mysql2_pool.ts";
import { clearDnsCache } from "../../resolver.ts";
import * as drizzleExample from "../../examples/drop_in_drizzle_mysql.ts";
import * as knexClientExample from "../../examples/drop_in_knex_client_mysql.ts";
import * as knexExample from "../../examples/drop_in_knex_mysql.ts";
import * as kyselyExample from "../../examples/drop_in_kysely_mysql.ts";
import * as mikroMariadbExample from "../../examples/drop_in_mikro_orm_mariadb.ts";
import * as mikroExample from "../../examples/drop_in_mikro_orm_mysql.ts";
import * as sequelizeExample from "../../examples/drop_in_sequelize_mysql.ts";
import * as typeormExample from "../../examples/drop_in_typeorm_mysql.ts";
import {
  crashOver,
  switchOver,
  type Whereabouts,
  type Work,
  type Works,
} from "../support/drop_in_failover.ts";
import { LOGIN, mariadbPair, startMariadbPair } from "../support/drop_in_mariadb.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { mariadbTest } from "../support/servers.ts";
import { until } from "../support/waiting.ts";

const pair = mariadbPair();

/** Opens an ORM, as in its example and on its ordinary pool. */
type Orm = Record<keyof Works, (where: Whereabouts) => Work | Promise<Work>>;

interface Parts {
  readonly config: { readonly port: number; readonly host: string };
}

/** Returns the function that opens the sockets of ordinary connections. */
const socketOf = ({ stream }: Whereabouts) => ({ config }: Parts): net.Socket =>
  stream().connect(config.port, config.host);

/** Options of the ordinary pools. */
const ordinary = (where: Whereabouts) => ({
  uri: where.url,
  connectionLimit: 4,
  stream: socketOf(where),
});

/** Options of Knex's own pools. */
function ordinaryOfKnex({ url, stream }: Whereabouts) {
  const { hostname: host, port, username: user, password } = new URL(url);
  const connect = () => stream().connect(Number(port), host);
  return {
    client: "mysql2",
    connection: { host, port: Number(port), user, password, database: "orders", stream: connect },
    pool: { min: 0, max: 4 },
  };
}

const orms: Record<string, Orm> = {
  Drizzle: {
    dropIn({ url, options }) {
      const db = drizzleExample.openDatabase(url, options);
      return {
        transaction: () => drizzleExample.order(db, 1),
        close: () => db.$client.end(),
      };
    },
    ordinary(where) {
      const pool = mysql.createPool(ordinary(where));
      const db = drizzle({ client: pool });
      return { transaction: () => drizzleExample.order(db, 1), close: () => pool.end() };
    },
  },

  Kysely: {
    dropIn({ url, options }) {
      const db = kyselyExample.openDatabase(url, options);
      return { transaction: () => kyselyExample.order(db, 1), close: () => db.destroy() };
    },
    ordinary(where) {
      const pool = mysqlOfCallbacks.createPool(ordinary(where));
      const db = new Kysely<kyselyExample.Tables>({ dialect: new MysqlDialect({ pool }) });
      return { transaction: () => kyselyExample.order(db, 1), close: () => db.destroy() };
    },
  },

  Knex: {
    dropIn({ url, options }) {
      const { db, pool } = knexExample.openDatabase(url, options);
      return { transaction: () => knexExample.order(db, 1), close: () => pool.promise().end() };
    },
    ordinary(where) {
      const db = knex(ordinaryOfKnex(where));
      return { transaction: () => knexExample.order(db, 1), close: () => db.destroy() };
    },
  },

  "Knex by its client class": {
    dropIn({ url, options }) {
      const db = knexClientExample.openDatabase(url, options);
      return { transaction: () => knexClientExample.order(db, 1), close: () => db.destroy() };
    },
    ordinary(where) {
      const db = knex31(ordinaryOfKnex(where));
      return { transaction: () => knexClientExample.order(db, 1), close: () => db.destroy() };
    },
  },

  TypeORM: {
    async dropIn({ url, options }) {
      const db = await typeormExample.openDatabase(url, options);
      return { transaction: () => typeormExample.order(db, 1), close: () => db.destroy() };
    },
    async ordinary(where) {
      const db = await new DataSource({
        type: "mariadb",
        url: where.url,
        poolSize: 4,
        entities: [typeormExample.Orders],
        driver: mysqlOfCallbacks,
        extra: { stream: socketOf(where) },
      }).initialize();
      return { transaction: () => typeormExample.order(db, 1), close: () => db.destroy() };
    },
  },

  Sequelize: {
    dropIn({ url, options }) {
      const db = sequelizeExample.openDatabase(url, options);
      return { transaction: () => sequelizeExample.order(db, 1), close: () => db.close() };
    },
    ordinary(where) {
      const db = new Sequelize(where.url, {
        dialect: "mysql",
        logging: false,
        pool: { max: 4 },
        dialectModule: mysqlOfCallbacks,
        dialectOptions: { stream: socketOf(where) },
      });
      sequelizeExample.defineOrders(db);
      return { transaction: () => sequelizeExample.order(db, 1), close: () => db.close() };
    },
  },

  MikroORM: {
    async dropIn({ url, options }) {
      const orm = await mikroExample.openDatabase(url, options);
      return { transaction: () => mikroExample.order(orm, 1), close: () => orm.close() };
    },
    async ordinary(where) {
      const orm = await MikroORM.init({
        clientUrl: where.url,
        entities: [mikroExample.Orders],
        driverOptions: ordinary(where),
      });
      return { transaction: () => mikroExample.order(orm, 1), close: () => orm.close() };
    },
  },
};

orms["MikroORM for MariaDB"] = {
  async dropIn({ url, options }) {
    const orm = await mikroMariadbExample.openDatabase(url, options);
    return { transaction: () => mikroMariadbExample.order(orm, 1), close: () => orm.close() };
  },
  async ordinary(where) {
    const orm = await MikroOrmOfMariadb.init({
      clientUrl: where.url,
      entities: [mikroMariadbExample.Orders],
      driverOptions: ordinary(where),
    });
    return { transaction: () => mikroMariadbExample.order(orm, 1), close: () => orm.close() };
  },
};

/** Kills the old server when the record moves. Starts its own servers, because one is dead afterwards. */
async function crash(open: Orm["dropIn"], options?: { waits: boolean }): Promise<void> {
  const mortal = await startMariadbPair();
  try {
    await crashOver(mortal, open, options);
  } finally {
    await mortal.stop();
  }
}

for (const [name, orm] of Object.entries(orms)) {
  mariadbTest(
    `${name} on MariaDB: when the record moves, every later transaction runs on the new server; on the ordinary pool none does`,
    () =>
      switchOver(pair, async (where) => ({
        dropIn: await orm.dropIn(where),
        ordinary: await orm.ordinary(where),
      })),
  );
}

mariadbTest(
  "TypeORM on MariaDB: the old server is killed when the record moves, and only running transactions fail",
  () => crash(orms.TypeORM!.dropIn),
);

mariadbTest(
  "Sequelize on MariaDB: the old server is killed when the record moves, and transactions that begin after the TTL do not fail",
  () => crash(orms.Sequelize!.dropIn, { waits: false }),
);

mariadbTest(
  "Drizzle on MariaDB: the old server is killed when the record moves, and with poolTimeout only running transactions fail",
  () =>
    crash(({ url, options }) => {
      const given = { uri: url, connectionLimit: 4, poolTimeout: 10, ...options };
      const pool = new DnsMysql2Pool(mysql, given);
      const db = drizzle({ client: pool });
      return { transaction: () => drizzleExample.order(db, 1), close: () => pool.end() };
    }),
);

mariadbTest(
  "Kysely on MariaDB: an aborted statement is cancelled on its server, with the connection functions of mysql2 and of dnsMysql2",
  async () => {
    clearDnsCache();
    const { first: { host, port } } = pair;
    const dns = { dnsLookup: fakeLookup([host], 60), dnsFallback: false };
    const modules = { mysql2: mysqlOfCallbacks, dnsMysql2: dnsMysql2(mysqlOfCallbacks, dns) };
    for (const [name, { createConnection }] of Object.entries(modules)) {
      const pool = new DnsMysql2Pool(mysqlOfCallbacks, {
        ...LOGIN,
        host: "db.internal",
        port,
        ...dns,
      });
      const db = new Kysely<kyselyExample.Tables>({
        dialect: new MysqlDialect({
          pool,
          controlConnection: (config) => createConnection(config as object) as never,
        }),
      });
      const mine = `${name} aborted`;
      const abort = new AbortController();
      const insert = sql`INSERT INTO orders (customer, server) SELECT SLEEP(30), ${mine}`
        .execute(db, { signal: abort.signal, inflightQueryAbortStrategy: "cancel query" })
        .then(() => "done", () => "aborted");
      const running = sql<{ n: number }>`
        SELECT COUNT(*) AS n FROM information_schema.processlist
        WHERE info LIKE ${"INSERT INTO orders (customer, server) SELECT SLEEP%"}`;
      await until(async () => Number((await running.execute(db)).rows[0]!.n) === 1);
      abort.abort();
      assertEquals(await insert, "aborted");
      await until(async () => Number((await running.execute(db)).rows[0]!.n) === 0);
      const { rows } = await sql`SELECT 1 FROM orders WHERE server = ${mine}`.execute(db);
      assertEquals(rows, [], name);
      await db.destroy();
    }
  },
);

Deno.test("TypeORM: replication is refused, because it creates a pool cluster", async () => {
  const place = { host: "db.internal", username: "app", database: "orders" };
  const db = new DataSource({
    type: "mariadb",
    replication: { master: place, slaves: [place] },
    driver: dnsMysql2(mysqlOfCallbacks),
  });
  await assertRejects(() => db.initialize(), TypeError, "make a pool for each name");
});
