// MikroORM for MariaDB on a pool of mysql2, which it uses, that follows DNS.
import { DnsMysql2Pool, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/mysql2_pool";
import { defineEntity, MikroORM, p, raw } from "npm:@mikro-orm/mariadb@^7.2";
import { MysqlDialect } from "npm:kysely@^0.29";
import mysql from "npm:mysql2@^3.24";

export const Orders = defineEntity({
  name: "orders",
  properties: {
    id: p.integer().primary(),
    customer: p.integer(),
    server: p.text(),
  },
});

export async function openDatabase(url: string, options: DnsPoolOptions = {}) {
  const pool = new DnsMysql2Pool(mysql, {
    uri: url,
    connectionLimit: 4,
    // The options that MikroORM gives to its own pool.
    supportBigNumbers: true,
    dateStrings: true,
    timezone: "Z",
    ...options,
  });
  return await MikroORM.init({
    clientUrl: url,
    entities: [Orders],
    driverOptions: new MysqlDialect({ pool }), // this line is new
  });
}

/** Runs an ordinary transaction. */
export async function order(orm: MikroORM, customer: number): Promise<string> {
  return await orm.em.fork().transactional(async (em) => {
    const order = em.create(Orders, { customer, server: raw("@@bind_address") });
    await em.flush();
    await em.refresh(order);
    return order.server;
  });
}
