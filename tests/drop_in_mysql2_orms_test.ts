/**
 * ORMs on MariaDB in a real switchover, by the examples that their pages show.
 */

import { drizzle } from "npm:drizzle-orm@^0.45/mysql2";
import knex31 from "npm:knex@~3.1";
import knex from "npm:knex@^3.3";
import { Kysely, MysqlDialect } from "npm:kysely@^0.29";
import mysqlOfCallbacks from "npm:mysql2@^3.24";
import mysql from "npm:mysql2@^3.24/promise";
import type net from "node:net";
import { DnsMysql2Pool } from "../drop_in/mysql2_pool.ts";
import * as drizzleExample from "../examples/drop_in_drizzle_mysql.ts";
import * as knexClientExample from "../examples/drop_in_knex_client_mysql.ts";
import * as knexExample from "../examples/drop_in_knex_mysql.ts";
import * as kyselyExample from "../examples/drop_in_kysely_mysql.ts";
import {
  crashOver,
  switchOver,
  type Whereabouts,
  type Work,
  type Works,
} from "./_drop_in_failover.ts";
import { mariadbPair, startMariadbPair } from "./_drop_in_mariadb.ts";
import { mariadbTest } from "./_servers.ts";

const pair = mariadbPair();

/** An ORM, by its example and on its ordinary pool. */
type Orm = Record<keyof Works, (where: Whereabouts) => Work | Promise<Work>>;

interface Parts {
  readonly config: { readonly port: number; readonly host: string };
}

/** What the ordinary pools are made with. */
const ordinary = ({ url, stream }: Whereabouts) => ({
  uri: url,
  connectionLimit: 4,
  stream: ({ config }: Parts): net.Socket => stream().connect(config.port, config.host),
});

/** What Knex's own pools are made with. */
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
};

for (const [name, orm] of Object.entries(orms)) {
  mariadbTest(
    `${name} on MariaDB: the record moves, and every later transaction is on the new server; on the ordinary pool none is`,
    () =>
      switchOver(pair, async (where) => ({
        dropIn: await orm.dropIn(where),
        ordinary: await orm.ordinary(where),
      })),
  );
}

mariadbTest(
  "Drizzle on MariaDB: the old server is killed as the record moves, and with poolTimeout only what was in flight fails",
  async () => {
    const mortal = await startMariadbPair();
    try {
      await crashOver(mortal, ({ url, options }) => {
        const given = { uri: url, connectionLimit: 4, poolTimeout: 10, ...options };
        const pool = new DnsMysql2Pool(mysql, given);
        const db = drizzle({ client: pool });
        return { transaction: () => drizzleExample.order(db, 1), close: () => pool.end() };
      });
    } finally {
      await mortal.stop();
    }
  },
);
