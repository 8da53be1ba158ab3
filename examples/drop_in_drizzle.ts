// Drizzle on a pool that follows DNS.
import { DnsPgPool, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/pg_pool";
import { sql } from "npm:drizzle-orm@^0.45";
import { drizzle, type NodePgDatabase } from "npm:drizzle-orm@^0.45/node-postgres";
import { integer, pgTable, text } from "npm:drizzle-orm@^0.45/pg-core";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

export const orders = pgTable("orders", { customer: integer(), server: text() });

export function openDatabase(connectionString: string, options: DnsPoolOptions = {}) {
  const pool = new DnsPgPool(pg, {
    connectionString,
    max: 4,
    connectionTimeoutMillis: 10_000,
    ...options,
  }); // was: new pg.Pool({ … })
  return drizzle({ client: pool });
}

/** Runs an ordinary transaction. */
export async function order(db: NodePgDatabase, customer: number): Promise<string | null> {
  return await db.transaction(async (tx) => {
    const server = sql<string>`host(inet_server_addr())`;
    const rows = await tx.insert(orders).values({ customer, server }).returning();
    return rows[0]!.server;
  });
}
