// Prisma on a pool that follows DNS.
import { DnsPgPool, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/pg_pool";
import { PrismaPg } from "npm:@prisma/adapter-pg@7.10.0";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { PrismaClient } from "./generated/prisma/client.ts"; // by `prisma generate`

export function openDatabase(connectionString: string, options: DnsPoolOptions = {}) {
  const pool = new DnsPgPool(pg, {
    connectionString,
    max: 4,
    connectionTimeoutMillis: 10_000,
    ...options,
  });
  const adapter = new PrismaPg(pool, { disposeExternalPool: true }); // was: new PrismaPg({ … })
  return new PrismaClient({ adapter });
}

/** Runs an ordinary transaction. */
export async function order(db: PrismaClient, customer: number): Promise<string | null> {
  return await db.$transaction(async (tx) => {
    const { server } = await tx.order.create({ data: { customer } });
    return server;
  });
}
