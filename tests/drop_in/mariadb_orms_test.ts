/**
 * ORMs on the drop-in of mariadb in a real switchover, with the examples of docs/drop_in_orms.md.
 */

import { PrismaMariaDb } from "npm:@prisma/adapter-mariadb@7.10.0";
import * as mariadb from "npm:mariadb@^3.5";
import { Sequelize } from "npm:sequelize@^6.37";
import type net from "node:net";
import { dnsMariadb } from "../../drop_in/mariadb_pool.ts";
import * as prismaExample from "../../examples/drop_in_prisma_mysql.ts";
import * as sequelizeExample from "../../examples/drop_in_sequelize_mysql.ts";
import { PrismaClient } from "../../examples/generated/prisma_mysql/client.ts";
import {
  crashOver,
  switchOver,
  type Whereabouts,
  type Work,
  type Works,
} from "../support/drop_in_failover.ts";
import { mariadbPair, startMariadbPair } from "../support/drop_in_mariadb.ts";
import { mariadbTest } from "../support/servers.ts";

const pair = mariadbPair();

/** Opens an ORM, as in its example and on its ordinary driver. */
type Orm = Record<keyof Works, (where: Whereabouts) => Work | Promise<Work>>;

/** Options of the ordinary driver. */
function ordinary({ url, stream }: Whereabouts) {
  const { hostname: host, port, username: user, password } = new URL(url);
  return {
    host,
    port: Number(port),
    user,
    password,
    database: "orders",
    connectionLimit: 4,
    // On a slow machine the defaults would replace connections, which then follow the name.
    connectTimeout: 10_000,
    minDelayValidation: 60_000,
    stream: (callback: (error?: Error, socket?: net.Socket) => void) => {
      callback(undefined, stream().connect(Number(port), host));
    },
  };
}

const sequelize = (url: string, options: object): Work => {
  const db = new Sequelize(url.replace("mysql:", "mariadb:"), {
    dialect: "mariadb",
    logging: false,
    pool: { max: 4 },
    ...options,
  });
  sequelizeExample.defineOrders(db);
  return { transaction: () => sequelizeExample.order(db, 1), close: () => db.close() };
};

const orms: Record<string, Orm> = {
  Prisma: {
    dropIn({ url, options }) {
      const db = prismaExample.openDatabase(url, options);
      return { transaction: () => prismaExample.order(db, 1), close: () => db.$disconnect() };
    },
    ordinary(where) {
      const db = new PrismaClient({ adapter: new PrismaMariaDb(ordinary(where) as object) });
      return { transaction: () => prismaExample.order(db, 1), close: () => db.$disconnect() };
    },
  },

  Sequelize: {
    dropIn: ({ url, options }) => sequelize(url, { dialectModule: dnsMariadb(mariadb, options) }),
    ordinary: (where) =>
      sequelize(where.url, {
        dialectModule: mariadb,
        dialectOptions: { stream: ordinary(where).stream },
      }),
  },
};

for (const [name, orm] of Object.entries(orms)) {
  mariadbTest(
    `${name} with mariadb: when the record moves, every later transaction runs on the new server; on the ordinary driver none does`,
    () =>
      switchOver(pair, async (where) => ({
        dropIn: await orm.dropIn(where),
        ordinary: await orm.ordinary(where),
      })),
  );
}

mariadbTest(
  "Prisma with mariadb: the old server is killed when the record moves, and only running transactions fail",
  async () => {
    const mortal = await startMariadbPair();
    try {
      await crashOver(mortal, orms.Prisma!.dropIn);
    } finally {
      await mortal.stop();
    }
  },
);
