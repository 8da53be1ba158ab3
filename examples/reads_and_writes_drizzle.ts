// Drizzle's withReplicas on two pools that follow DNS: writes and transactions go to the first.
import { DnsPgPool, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/pg_pool";
import { count, eq, sql } from "npm:drizzle-orm@^0.45";
import { drizzle } from "npm:drizzle-orm@^0.45/node-postgres";
import { integer, pgTable, text, withReplicas } from "npm:drizzle-orm@^0.45/pg-core";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

const orders = pgTable("orders", { customer: integer(), server: text() });
const thisServer = sql<string>`host(inet_server_addr())`;

export function openDatabase(writerUrl: string, readerUrl: string, options: DnsPoolOptions = {}) {
  const open = (connectionString: string, targetSessionAttrs: "read-write" | "prefer-standby") => {
    const settings = { connectionString, targetSessionAttrs, connectionTimeoutMillis: 10_000 };
    return new DnsPgPool(pg, { ...settings, ...options });
  };
  const pools = [open(writerUrl, "read-write"), open(readerUrl, "prefer-standby")] as const;
  const [writer, reader] = pools.map((client) => drizzle({ client }));
  return {
    db: withReplicas(writer!, [reader!]),
    close: () => Promise.all(pools.map((pool) => pool.end())),
  };
}

export async function order({ db }: ReturnType<typeof openDatabase>, customer: number) {
  const rows = await db.insert(orders).values({ customer, server: thisServer }).returning();
  return rows[0]!.server;
}

export async function countOrders({ db }: ReturnType<typeof openDatabase>, customer: number) {
  const [row] = await db.select({ orders: count(), server: thisServer }).from(orders)
    .where(eq(orders.customer, customer));
  return row!;
}
