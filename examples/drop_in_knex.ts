// Knex on a pool that follows DNS (Knex 3.3 and later take a pool).
import { DnsPgPool, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/pg_pool";
import knex, { type Knex } from "npm:knex@^3.3";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

export function openDatabase(connectionString: string, options: DnsPoolOptions = {}) {
  const pool = new DnsPgPool(pg, {
    connectionString,
    max: 4,
    connectionTimeoutMillis: 10_000,
    ...options,
  });
  return { db: knex({ client: "pg", connectionPool: pool }), pool }; // was: { client: "pg", connection: … }
}

/** Runs an ordinary transaction. */
export async function order(db: Knex, customer: number): Promise<string> {
  return await db.transaction(async (tx) => {
    const server = tx.raw("host(inet_server_addr())");
    const rows = await tx("orders").insert({ customer, server }).returning("server");
    return rows[0].server;
  });
}
