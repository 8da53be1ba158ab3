// Kysely on two pools that follow DNS: it has no replication of its own, so there is an instance for each name.
import { DnsPgPool, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/pg_pool";
import { Kysely, PostgresDialect, sql } from "npm:kysely@^0.29";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

interface Tables {
  orders: { customer: number; server: string };
}
const thisServer = sql<string>`host(inet_server_addr())`;

export function openDatabase(writerUrl: string, readerUrl: string, options: DnsPoolOptions = {}) {
  const open = (connectionString: string, targetSessionAttrs: "read-write" | "prefer-standby") => {
    const settings = { connectionString, targetSessionAttrs, connectionTimeoutMillis: 10_000 };
    const pool = new DnsPgPool(pg, { ...settings, ...options });
    return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  };
  const writer = open(writerUrl, "read-write");
  const reader = open(readerUrl, "prefer-standby");
  return { writer, reader, close: () => Promise.all([writer.destroy(), reader.destroy()]) };
}

export async function order({ writer }: ReturnType<typeof openDatabase>, customer: number) {
  const row = await writer.insertInto("orders").values({ customer, server: thisServer })
    .returning("server").executeTakeFirstOrThrow();
  return row.server;
}

export async function countOrders({ reader }: ReturnType<typeof openDatabase>, customer: number) {
  return await reader.selectFrom("orders").where("customer", "=", customer)
    .select(({ fn }) => [fn.countAll<string>().as("orders"), thisServer.as("server")])
    .executeTakeFirstOrThrow();
}
