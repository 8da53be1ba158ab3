// Kysely on a pool that follows DNS.
import { DnsPgPool, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/pg_pool";
import { Kysely, PostgresDialect, sql } from "npm:kysely@^0.29";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

export interface Tables {
  orders: { customer: number; server: string };
}

export function openDatabase(connectionString: string, options: DnsPoolOptions = {}) {
  const pool = new DnsPgPool(pg, {
    connectionString,
    max: 4,
    connectionTimeoutMillis: 10_000,
    ...options,
  }); // was: new pg.Pool({ … })
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
}

/** Runs an ordinary transaction. */
export async function order(db: Kysely<Tables>, customer: number): Promise<string> {
  return await db.transaction().execute(async (tx) => {
    const server = sql<string>`host(inet_server_addr())`;
    const row = await tx.insertInto("orders").values({ customer, server }).returning("server")
      .executeTakeFirstOrThrow();
    return row.server;
  });
}
