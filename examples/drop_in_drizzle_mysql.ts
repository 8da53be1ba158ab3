// Drizzle on a pool of mysql2 that follows DNS.
import { DnsMysql2Pool, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/mysql2_pool";
import { eq, sql } from "npm:drizzle-orm@^0.45";
import { drizzle, type MySql2Database } from "npm:drizzle-orm@^0.45/mysql2";
import { int, mysqlTable, text } from "npm:drizzle-orm@^0.45/mysql-core";
import mysql from "npm:mysql2@^3.24/promise";

export const orders = mysqlTable("orders", {
  id: int().primaryKey().autoincrement(),
  customer: int(),
  server: text(),
});

export function openDatabase(uri: string, options: DnsPoolOptions = {}) {
  const pool = new DnsMysql2Pool(mysql, { uri, connectionLimit: 4, ...options }); // was: mysql.createPool({ … })
  return drizzle({ client: pool });
}

/** Runs an ordinary transaction. */
export async function order(db: MySql2Database, customer: number): Promise<string | null> {
  return await db.transaction(async (tx) => {
    const server = sql<string>`@@bind_address`;
    const [order] = await tx.insert(orders).values({ customer, server }).$returningId();
    const rows = await tx.select().from(orders).where(eq(orders.id, order!.id));
    return rows[0]!.server;
  });
}
