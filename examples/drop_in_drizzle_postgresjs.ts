// Drizzle on postgres.js that follows DNS.
import { dnsPostgres, type DnsPostgresOptions } from "@dnspool/dnspool/drop_in/postgresjs";
import { sql } from "npm:drizzle-orm@^0.45";
import { integer, pgTable, text } from "npm:drizzle-orm@^0.45/pg-core";
import { drizzle, type PostgresJsDatabase } from "npm:drizzle-orm@^0.45/postgres-js";
import postgres from "npm:postgres@^3.4";

export const orders = pgTable("orders", { customer: integer(), server: text() });

export function openDatabase(url: string, options: DnsPostgresOptions = {}) {
  const client = dnsPostgres(postgres)(url, { max: 4, poolTimeout: 10, ...options });
  // was: postgres(url, { … })
  return drizzle({ client });
}

/** Runs an ordinary transaction. */
export async function order(db: PostgresJsDatabase, customer: number): Promise<string | null> {
  return await db.transaction(async (tx) => {
    const server = sql<string>`host(inet_server_addr())`;
    const rows = await tx.insert(orders).values({ customer, server }).returning();
    return rows[0]!.server;
  });
}
