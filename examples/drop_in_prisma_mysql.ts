// Prisma on a pool of mariadb that follows DNS, for MySQL and MariaDB.
import { DnsMariadbPool, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/mariadb_pool";
import { PrismaMariaDb } from "npm:@prisma/adapter-mariadb@7.10.0";
import mariadb from "npm:mariadb@3.4.5"; // the version of the adapter
import { PrismaClient } from "./generated/prisma_mysql/client.ts"; // by `prisma generate`

export function openDatabase(uri: string, options: DnsPoolOptions = {}) {
  const pool = new DnsMariadbPool(mariadb, {
    uri,
    connectionLimit: 4,
    prepareCacheLength: 0, // as in the adapter's own pool
    ...options,
  });
  const adapter = new PrismaMariaDb(pool, { disposeExternalPool: true }); // was: new PrismaMariaDb({ … })
  return new PrismaClient({ adapter });
}

/** Runs an ordinary transaction. */
export async function order(db: PrismaClient, customer: number): Promise<string | null> {
  return await db.$transaction(async (tx) => {
    const [row] = await tx.$queryRaw<[{ server: string }]>`SELECT @@bind_address AS server`;
    const { server } = await tx.order.create({ data: { customer, server: row.server } });
    return server;
  });
}
