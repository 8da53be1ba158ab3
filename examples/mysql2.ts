/**
 * npm:mysql2 on an engine: a query, a transaction, a connection for a while, one that is lost, and the end.
 *
 * It works on a table of yours: `CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, customer int NOT NULL)`.
 *
 *     DATABASE_URL=mysql://app:secret@db.internal/orders deno run -A examples/mysql2.ts
 */

import { type Engine, type EngineOptions, getDnsEngine } from "@dnspool/dnspool";
import { mysql2Adapter } from "@dnspool/dnspool/adapters/mysql2";
import process from "node:process";
import mysql from "npm:mysql2@^3.24/promise";

type Client = mysql.Connection;

const adapter = mysql2Adapter(mysql);

export function openEngine(url: string, options: EngineOptions<Client> = {}): Engine<Client> {
  return getDnsEngine(url, {
    adapter,
    poolSize: 10,
    targetSessionAttrs: "read-write", // DNS may still name a replica (keep those `read_only`): wait for a server that takes writes
    ...options,
  });
}

/** One statement, on whichever connection is free. */
export async function countOrders(engine: Engine<Client>, customer: number): Promise<number> {
  const text = "SELECT COUNT(*) AS n FROM orders WHERE customer = ?";
  const rows = await engine.query<{ n: number }>(text, [customer]);
  return rows[0]!.n;
}

/** A transaction: committed when the function returns, rolled back when it throws. */
export function placeOrder(engine: Engine<Client>, customer: number): Promise<number> {
  return engine.begin(async ({ client }) => {
    const text = "INSERT INTO orders (customer) VALUES (?)";
    const [{ insertId }] = await client.execute<mysql.ResultSetHeader>(text, [customer]);
    return insertId;
  });
}

/** Statements that need one and the same connection, and the address of the server that it is open to. */
export async function lockOrders(engine: Engine<Client>, work: () => Promise<void>) {
  await using lease = await engine.connect({ timeout: 5 }); // or: try { … } finally { await lease.release() }
  await lease.client.query("SELECT GET_LOCK('orders', 5)");
  try {
    await work();
    return lease.address;
  } finally {
    await lease.client.query("SELECT RELEASE_LOCK('orders')");
  }
}

/** Places an order, and says so where nobody knows whether it was placed. */
export async function tryToOrder(engine: Engine<Client>, customer: number) {
  try {
    return { placed: await placeOrder(engine, customer) };
  } catch (error) {
    // The pool gave the connection up (its server departed and fell silent), or the driver saw it break.
    if (!engine.isDisconnect(error)) throw error;
    // The server may have committed before it fell silent. dnspool sends nothing twice, and neither should you before
    // you have looked: by a number of your own with a unique index, for instance.
    return { unknown: error };
  }
}

if (import.meta.main) {
  const engine = openEngine(process.env.DATABASE_URL!);
  console.log(await tryToOrder(engine, 42), await countOrders(engine, 42));
  console.log(await lockOrders(engine, async () => {}));
  await engine.close({ drain: 10 }); // no new checkouts; those who hold a connection have 10 seconds
}
