// Sequelize with a driver that follows DNS.
import { dnsPg, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/pg_pool";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { DataTypes, type Model, type ModelStatic, Sequelize } from "npm:sequelize@^6.37";

export function openDatabase(url: string, options: DnsPoolOptions = {}): Sequelize {
  const db = new Sequelize(url, {
    dialect: "postgres",
    logging: false,
    pool: { max: 4 },
    dialectOptions: { connectionTimeoutMillis: 10_000 },
    dialectModule: dnsPg(pg, options), // this line is new
  });
  defineOrders(db);
  return db;
}

export function defineOrders(db: Sequelize): void {
  const server = { type: DataTypes.TEXT, defaultValue: db.literal("host(inet_server_addr())") };
  const columns = { customer: DataTypes.INTEGER, server };
  db.define("order", columns, { tableName: "orders", timestamps: false });
}

/** Runs an ordinary transaction. */
export async function order(db: Sequelize, customer: number): Promise<unknown> {
  const Orders: ModelStatic<Model> = db.model("order");
  return await db.transaction(async (transaction) => {
    const order = await Orders.create({ customer }, { transaction });
    return order.get("server");
  });
}
