// Sequelize's own replication with a driver that follows DNS: a pool for each name, writes and transactions on the first.
import { dnsPg, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/pg_pool";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { DataTypes, QueryTypes, Sequelize } from "npm:sequelize@^6.37";

export function openDatabase(writerUrl: string, readerUrl: string, options: DnsPoolOptions = {}) {
  const hostOf = (url: string) => {
    const { hostname, port, username, password, pathname } = new URL(url);
    return { host: hostname, port, username, password, database: pathname.slice(1) };
  };
  const db = new Sequelize({
    dialect: "postgres",
    logging: false,
    pool: { max: 4 },
    dialectOptions: { connectionTimeoutMillis: 10_000 },
    replication: { write: hostOf(writerUrl), read: [hostOf(readerUrl)] },
    dialectModule: dnsPg(pg, options), // this line is new
  });
  const server = { type: DataTypes.TEXT, defaultValue: db.literal("host(inet_server_addr())") };
  const columns = { customer: DataTypes.INTEGER, server };
  db.define("order", columns, { tableName: "orders", timestamps: false });
  return { db, close: () => db.close() };
}

export async function order({ db }: ReturnType<typeof openDatabase>, customer: number) {
  const order = await db.model("order").create({ customer });
  return order.get("server");
}

export async function countOrders({ db }: ReturnType<typeof openDatabase>, customer: number) {
  const text =
    "SELECT count(*) AS orders, host(inet_server_addr()) AS server FROM orders WHERE customer = $1";
  const rows = await db.query(text, { bind: [customer], type: QueryTypes.SELECT });
  return rows[0] as { orders: string; server: string };
}
