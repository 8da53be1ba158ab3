// TypeORM with a driver, mysql2, that follows DNS.
import { dnsMysql2, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/mysql2_pool";
import mysql from "npm:mysql2@^3.24";
import { DataSource, EntitySchema } from "npm:typeorm@^1.1";

export interface Order {
  id: number;
  customer: number;
  server: string;
}

export const Orders = new EntitySchema<Order>({
  name: "orders",
  columns: {
    id: { type: "int", primary: true, generated: true },
    customer: { type: "int" },
    server: { type: "text" },
  },
});

export async function openDatabase(url: string, options: DnsPoolOptions = {}): Promise<DataSource> {
  return await new DataSource({
    type: "mariadb", // or "mysql"
    url,
    poolSize: 4,
    extra: { poolTimeout: 10 },
    entities: [Orders],
    driver: dnsMysql2(mysql, options), // this line is new
  }).initialize();
}

/** Runs an ordinary transaction. */
export async function order(db: DataSource, customer: number): Promise<string> {
  return await db.transaction(async (manager) => {
    const server = () => "@@bind_address";
    const { identifiers } = await manager.insert(Orders, { customer, server });
    const order = await manager.findOneByOrFail(Orders, { id: identifiers[0]!.id });
    return order.server;
  });
}
