/**
 * PostgreSQL servers for the suite of the drivers' examples.
 *
 * @module
 */

// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import type { Admin } from "./example_drivers.ts";
import { ALWAYS } from "./servers.ts";
import { POSTGRES } from "./sql_dialects.ts";

/** Starts a server with a database `orders`. */
export function startOrders(address: { host: string; port: number }): Promise<PostgresServer> {
  return startPostgres({ ...address, user: "app", password: "s3cret", database: "orders" });
}

/** Connects as an administrator that may write although the tests made the database read-only. */
export async function adminOf(server: PostgresServer): Promise<Admin> {
  const options = "-c default_transaction_read_only=off";
  const client = new pg.Client({ connectionString: server.url(), options });
  client.on("error", () => {}); // its server may be killed
  await client.connect();
  return { rows: async (text) => (await client.query(text)).rows, end: () => client.end() };
}

/** What the examples have in common. */
export const POSTGRES_EXAMPLE = {
  dialect: POSTGRES,
  registration: ALWAYS,
  start: startOrders,
  admin: adminOf,
  table: /CREATE TABLE orders \(id serial .*\)(?=`)/,
  lock: ["BEGIN;LOCK TABLE orders", "ROLLBACK"],
} as const;
