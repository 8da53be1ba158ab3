// TypeORM with a driver that follows DNS.
import { dnsPg, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/pg_pool";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { DataSource, EntitySchema } from "npm:typeorm@^1.1";

export interface Order {
  id?: number;
  customer: number;
  server?: string;
}

export const Orders = new EntitySchema<Order>({
  name: "orders",
  columns: {
    id: { type: "int", primary: true, generated: true },
    customer: { type: "int" },
    server: { type: "text", nullable: true, default: () => "host(inet_server_addr())" },
  },
});

export async function openDatabase(url: string, options: DnsPoolOptions = {}): Promise<DataSource> {
  return await new DataSource({
    type: "postgres",
    url,
    poolSize: 4,
    connectTimeoutMS: 10_000,
    entities: [Orders],
    driver: dnsPg(pg, options), // this line is new
  }).initialize();
}

/** Runs an ordinary transaction. */
export async function order(db: DataSource, customer: number): Promise<string | undefined> {
  return await db.transaction(async (manager) => {
    const { server } = await manager.save(Orders, { customer });
    return server;
  });
}
