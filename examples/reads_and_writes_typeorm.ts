// TypeORM's own replication with a driver that follows DNS: a pool for each name, writes and transactions on the first.
import { dnsPg, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/pg_pool";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { DataSource, EntitySchema } from "npm:typeorm@^1.1";

const Orders = new EntitySchema<{ id?: number; customer: number; server?: string }>({
  name: "orders",
  columns: {
    id: { type: "int", primary: true, generated: true },
    customer: { type: "int" },
    server: { type: "text", nullable: true, default: () => "host(inet_server_addr())" },
  },
});

export async function openDatabase(
  writerUrl: string,
  readerUrl: string,
  options: DnsPoolOptions = {},
) {
  const db = await new DataSource({
    type: "postgres",
    replication: { master: { url: writerUrl }, slaves: [{ url: readerUrl }] },
    poolSize: 4,
    connectTimeoutMS: 10_000,
    entities: [Orders],
    driver: dnsPg(pg, options), // this line is new
  }).initialize();
  return { db, close: () => db.destroy() };
}

type Database = Awaited<ReturnType<typeof openDatabase>>;

export async function order({ db }: Database, customer: number) {
  const { server } = await db.getRepository(Orders).save({ customer });
  return server;
}

export async function countOrders({ db }: Database, customer: number) {
  const row = await db.getRepository(Orders).createQueryBuilder("orders")
    .select("count(*)", "orders").addSelect("host(inet_server_addr())", "server")
    .where({ customer }).getRawOne<{ orders: string; server: string }>();
  return row!;
}
