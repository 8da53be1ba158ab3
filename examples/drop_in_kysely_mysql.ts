// Kysely on a pool of mysql2 that follows DNS.
import { DnsMysql2Pool, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/mysql2_pool";
import { type Generated, Kysely, MysqlDialect, sql } from "npm:kysely@^0.29";
import mysql from "npm:mysql2@^3.24";

export interface Tables {
  orders: { id: Generated<number>; customer: number; server: string };
}

export function openDatabase(uri: string, options: DnsPoolOptions = {}) {
  const pool = new DnsMysql2Pool(mysql, { uri, connectionLimit: 4, ...options }); // was: mysql.createPool({ … })
  return new Kysely<Tables>({ dialect: new MysqlDialect({ pool }) });
}

/** Runs an ordinary transaction. */
export async function order(db: Kysely<Tables>, customer: number): Promise<string> {
  return await db.transaction().execute(async (tx) => {
    const server = sql<string>`@@bind_address`;
    const { insertId } = await tx.insertInto("orders").values({ customer, server })
      .executeTakeFirstOrThrow();
    const row = await tx.selectFrom("orders").select("server").where("id", "=", Number(insertId))
      .executeTakeFirstOrThrow();
    return row.server;
  });
}
