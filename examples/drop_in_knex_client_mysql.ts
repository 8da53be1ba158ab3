// Knex before 3.3, which creates its own connections: a client class whose driver, mysql2, follows DNS.
import { dnsMysql2, type DnsPoolOptions } from "@dnspool/dnspool/drop_in/mysql2_pool";
import knex, { type Knex } from "npm:knex@~3.1";
import Mysql2Client from "npm:knex@~3.1/lib/dialects/mysql2/index.js";
import mysql from "npm:mysql2@^3.24";

export function openDatabase(connection: string, options: DnsPoolOptions = {}): Knex {
  class DnsMysql2Client extends Mysql2Client {
    _driver() {
      return dnsMysql2(mysql, options);
    }
  }
  const client = DnsMysql2Client as unknown as typeof Knex.Client;
  return knex({ client, connection, pool: { min: 0, max: 4 } }); // was: client: "mysql2"
}

/** Runs an ordinary transaction. */
export async function order(db: Knex, customer: number): Promise<string> {
  return await db.transaction(async (tx) => {
    const [id] = await tx("orders").insert({ customer, server: tx.raw("@@bind_address") });
    const row = await tx("orders").where({ id }).first("server");
    return row.server;
  });
}
