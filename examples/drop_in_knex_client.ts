// Knex before 3.3, which creates its own connections: a client class whose driver follows DNS.
import { dnsPg, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/pg_pool";
import knex, { type Knex } from "npm:knex@~3.1";
import PgClient from "npm:knex@~3.1/lib/dialects/postgres/index.js";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

export function openDatabase(connectionString: string, options: DnsPoolOptions = {}): Knex {
  class DnsPgClient extends PgClient {
    _driver() {
      return dnsPg(pg, options);
    }
  }
  const client = DnsPgClient as unknown as typeof Knex.Client;
  const connection = { connectionString, connectionTimeoutMillis: 10_000 };
  return knex({ client, connection, pool: { min: 0, max: 4 } }); // was: client: "pg"
}

/** Runs an ordinary transaction. */
export async function order(db: Knex, customer: number): Promise<string> {
  return await db.transaction(async (tx) => {
    const server = tx.raw("host(inet_server_addr())");
    const rows = await tx("orders").insert({ customer, server }).returning("server");
    return rows[0].server;
  });
}
