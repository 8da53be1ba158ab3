// Sequelize with a driver, mysql2, that follows DNS.
import { dnsMysql2, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/mysql2_pool";
import mysql from "npm:mysql2@^3.24";
import { DataTypes, type Model, type ModelStatic, Sequelize } from "npm:sequelize@^6.37";

export function openDatabase(url: string, options: DnsPoolOptions = {}): Sequelize {
  const db = new Sequelize(url, {
    dialect: "mysql", // for MariaDB too: "mariadb" uses another driver
    logging: false,
    pool: { max: 4 },
    dialectModule: dnsMysql2(mysql, options), // this line is new
  });
  defineOrders(db);
  return db;
}

export function defineOrders(db: Sequelize): void {
  const columns = { customer: DataTypes.INTEGER, server: DataTypes.TEXT };
  db.define("order", columns, { tableName: "orders", timestamps: false });
}

/** Runs an ordinary transaction. */
export async function order(db: Sequelize, customer: number): Promise<unknown> {
  const Orders: ModelStatic<Model> = db.model("order");
  return await db.transaction(async (transaction) => {
    const server = db.literal("@@bind_address");
    const order = await Orders.create({ customer, server }, { transaction });
    await order.reload({ transaction });
    return order.get("server");
  });
}
