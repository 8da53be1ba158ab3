// MikroORM on a pool that follows DNS.
import { DnsPgPool, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/pg_pool";
import {
  createPostgreSqlTypeParsers,
  defineEntity,
  MikroORM,
  p,
} from "npm:@mikro-orm/postgresql@^7.2";
import { PostgresDialect } from "npm:kysely@^0.29";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { parse as parseArray } from "npm:postgres-array@^3";

export const Orders = defineEntity({
  name: "orders",
  properties: {
    id: p.integer().primary(),
    customer: p.integer(),
    server: p.text().nullable().defaultRaw("host(inet_server_addr())"),
  },
});

/** Returns the type parsers that MikroORM gives to its own pool: it reads dates as strings. */
function typesOfMikroOrm(): pg.CustomTypesConfig {
  const types = new pg.TypeOverrides();
  const parsers = createPostgreSqlTypeParsers((text) => parseArray(text));
  for (const [oid, parser] of Object.entries(parsers)) types.setTypeParser(Number(oid), parser);
  return types;
}

export async function openDatabase(url: string, options: DnsPoolOptions = {}) {
  const types = typesOfMikroOrm();
  const pool = new DnsPgPool(pg, {
    connectionString: url,
    max: 4,
    connectionTimeoutMillis: 10_000,
    types,
    ...options,
  });
  return await MikroORM.init({
    clientUrl: url,
    entities: [Orders],
    driverOptions: new PostgresDialect({ pool }), // this line is new
  });
}

/** Runs an ordinary transaction. */
export async function order(orm: MikroORM, customer: number): Promise<string | null | undefined> {
  return await orm.em.fork().transactional(async (em) => {
    const order = em.create(Orders, { customer });
    await em.flush();
    return order.server;
  });
}
