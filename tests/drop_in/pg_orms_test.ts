/**
 * ORMs on PostgreSQL in a real switchover, with the examples of docs/drop_in_orms.md.
 */

import { once } from "node:events";
import { MikroORM } from "npm:@mikro-orm/postgresql@^7.2";
import { PrismaPg } from "npm:@prisma/adapter-pg@7.10.0";
import { drizzle } from "npm:drizzle-orm@^0.45/node-postgres";
import { drizzle as drizzleOnPostgresjs } from "npm:drizzle-orm@^0.45/postgres-js";
import { Kysely, PostgresDialect } from "npm:kysely@^0.29";
import knex31 from "npm:knex@~3.1";
import knex from "npm:knex@^3.3";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { Sequelize } from "npm:sequelize@^6.37";
import { DataSource } from "npm:typeorm@^1.1";
import * as drizzleExample from "../../examples/drop_in_drizzle.ts";
import * as postgresjsExample from "../../examples/drop_in_drizzle_postgresjs.ts";
import * as knexExample from "../../examples/drop_in_knex.ts";
import * as knexClientExample from "../../examples/drop_in_knex_client.ts";
import * as kyselyExample from "../../examples/drop_in_kysely.ts";
import { startPostgres } from "../../lab/postgres.ts";
import * as mikroExample from "../../examples/drop_in_mikro_orm.ts";
import * as prismaExample from "../../examples/drop_in_prisma.ts";
import * as sequelizeExample from "../../examples/drop_in_sequelize.ts";
import * as typeormExample from "../../examples/drop_in_typeorm.ts";
import { PrismaClient } from "../../examples/generated/prisma/client.ts";
import {
  crashOver,
  type ServerPair,
  startPair,
  switchOver,
  type Whereabouts,
  type Work,
  type Works,
} from "../support/drop_in_failover.ts";

const start = () =>
  startPair(async (where) => {
    const server = await startPostgres({
      ...where,
      user: "app",
      password: "s3cret",
      database: "orders",
    });
    const client = new pg.Client({ connectionString: server.url() });
    await client.connect();
    await client.query(
      "CREATE TABLE orders (id serial PRIMARY KEY, customer int, server text DEFAULT host(inet_server_addr()))",
    );
    await client.end();
    return server;
  });

let pair: ServerPair;
Deno.test.beforeAll(async () => {
  pair = await start();
});
Deno.test.afterAll(() => pair.stop());

/** Opens an ORM, as in its example and on its ordinary pool. */
type Orm = Record<keyof Works, (where: Whereabouts) => Work | Promise<Work>>;

/** Options of the ordinary pools. */
const ordinary = ({ url, stream }: Whereabouts) => ({ connectionString: url, max: 4, stream });

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
      const db = drizzle({ client: new pg.Pool(ordinary(where)) });
      return {
        transaction: () => drizzleExample.order(db, 1),
        close: () => db.$client.end(),
      };
    },
  },

  "Drizzle on postgres.js": {
    dropIn({ url, options }) {
      const db = postgresjsExample.openDatabase(url, options);
      return {
        transaction: () => postgresjsExample.order(db, 1),
        close: () => db.$client.end(),
      };
    },
    ordinary({ url, stream }) {
      const { hostname, port } = new URL(url);
      const socket = async () => {
        const connected = stream();
        connected.connect(Number(port), hostname);
        await once(connected, "connect");
        return connected;
      };
      const db = drizzleOnPostgresjs({ client: postgres(url, { max: 4, socket } as object) });
      return {
        transaction: () => postgresjsExample.order(db, 1),
        close: () => db.$client.end(),
      };
    },
  },

  Kysely: {
    dropIn({ url, options }) {
      const db = kyselyExample.openDatabase(url, options);
      return { transaction: () => kyselyExample.order(db, 1), close: () => db.destroy() };
    },
    ordinary(where) {
      const pool = new pg.Pool(ordinary(where));
      const db = new Kysely<kyselyExample.Tables>({ dialect: new PostgresDialect({ pool }) });
      return { transaction: () => kyselyExample.order(db, 1), close: () => db.destroy() };
    },
  },

  Knex: {
    dropIn({ url, options }) {
      const { db, pool } = knexExample.openDatabase(url, options);
      return { transaction: () => knexExample.order(db, 1), close: () => pool.end() };
    },
    ordinary(where) {
      const db = knex({ client: "pg", connection: ordinary(where), pool: { min: 0, max: 4 } });
      return { transaction: () => knexExample.order(db, 1), close: () => db.destroy() };
    },
  },

  "Knex by its client class": {
    dropIn({ url, options }) {
      const db = knexClientExample.openDatabase(url, options);
      return { transaction: () => knexClientExample.order(db, 1), close: () => db.destroy() };
    },
    ordinary(where) {
      const db = knex31({ client: "pg", connection: ordinary(where), pool: { min: 0, max: 4 } });
      return { transaction: () => knexClientExample.order(db, 1), close: () => db.destroy() };
    },
  },

  TypeORM: {
    async dropIn({ url, options }) {
      const db = await typeormExample.openDatabase(url, options);
      return { transaction: () => typeormExample.order(db, 1), close: () => db.destroy() };
    },
    async ordinary({ url, stream }) {
      const db = await new DataSource({
        type: "postgres",
        url,
        poolSize: 4,
        entities: [typeormExample.Orders],
        driver: pg,
        extra: { stream },
      }).initialize();
      return { transaction: () => typeormExample.order(db, 1), close: () => db.destroy() };
    },
  },

  Sequelize: {
    dropIn({ url, options }) {
      const db = sequelizeExample.openDatabase(url, options);
      return { transaction: () => sequelizeExample.order(db, 1), close: () => db.close() };
    },
    ordinary({ url, stream }) {
      const db = new Sequelize(url, {
        dialect: "postgres",
        logging: false,
        pool: { max: 4 },
        dialectModule: pg,
        dialectOptions: { stream },
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
        driverOptions: { ...ordinary(where) },
      });
      return { transaction: () => mikroExample.order(orm, 1), close: () => orm.close() };
    },
  },

  Prisma: {
    dropIn({ url, options }) {
      const db = prismaExample.openDatabase(url, options);
      return { transaction: () => prismaExample.order(db, 1), close: () => db.$disconnect() };
    },
    ordinary(where) {
      const db = new PrismaClient({ adapter: new PrismaPg(ordinary(where)) });
      return { transaction: () => prismaExample.order(db, 1), close: () => db.$disconnect() };
    },
  },
};

for (const [name, orm] of Object.entries(orms)) {
  Deno.test(`${name}: when the record moves, every later transaction runs on the new server; on the ordinary pool none does`, () =>
    switchOver(pair, async (where) => ({
      dropIn: await orm.dropIn(where),
      ordinary: await orm.ordinary(where),
    })));
}

// One ORM for each drop-in that an ORM may use: the pool, the function and the client.
for (const name of ["Drizzle", "Drizzle on postgres.js", "Sequelize"]) {
  Deno.test(`${name}: the old server is killed when the record moves, and only running transactions fail`, async () => {
    const mortal = await start();
    try {
      await crashOver(mortal, orms[name]!.dropIn);
    } finally {
      await mortal.stop();
    }
  });
}
