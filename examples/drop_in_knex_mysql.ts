// Knex on a pool of mysql2 that follows DNS (Knex 3.3 and later take a pool).
import { DnsMysql2Pool, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/mysql2_pool";
import knex, { type Knex } from "npm:knex@^3.3";
import mysql from "npm:mysql2@^3.24";

export function openDatabase(uri: string, options: DnsPoolOptions = {}) {
  const pool = new DnsMysql2Pool(mysql, { uri, connectionLimit: 4, ...options });
  // The type in Knex 3.3 does not fit mysql2's own pool either.
  const connectionPool = pool as unknown as Knex.MySQLPoolLike;
  return { db: knex({ client: "mysql2", connectionPool }), pool }; // was: { client: "mysql2", connection: … }
}

/** Runs an ordinary transaction. */
export async function order(db: Knex, customer: number): Promise<string> {
  return await db.transaction(async (tx) => {
    const [id] = await tx("orders").insert({ customer, server: tx.raw("@@bind_address") });
    const row = await tx("orders").where({ id }).first("server");
    return row.server;
  });
}
