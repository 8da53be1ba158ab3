/**
 * An engine with npm:mysql2: a query, a transaction, several statements on one connection, a lost connection, the
 * shutdown.
 *
 * It needs this table: `CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, customer int NOT NULL)`.
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
    targetSessionAttrs: "read-write", // waits while DNS still names a replica (replicas must be `read_only`)
    ...options,
  });
}

/** Runs one statement on any free connection. */
export async function countOrders(engine: Engine<Client>, customer: number): Promise<number> {
  const text = "SELECT COUNT(*) AS n FROM orders WHERE customer = ?";
  const rows = await engine.query<{ n: number }>(text, [customer]);
  return rows[0]!.n;
}

/** Runs a transaction, which is committed when the function returns and rolled back if it throws. */
export function placeOrder(engine: Engine<Client>, customer: number): Promise<number> {
  return engine.begin(async ({ client }) => {
    const text = "INSERT INTO orders (customer) VALUES (?)";
    const [{ insertId }] = await client.execute<mysql.ResultSetHeader>(text, [customer]);
    return insertId;
  });
}

/** Runs statements that need the same connection; returns the address of its server. */
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

/** Places an order, and reports if it is unknown whether the order was placed. */
export async function tryToOrder(engine: Engine<Client>, customer: number) {
  try {
    return { placed: await placeOrder(engine, customer) };
  } catch (error) {
    // The connection was lost: the pool terminated it (its server left the DNS answer and is silent), or it broke.
    if (!engine.isDisconnect(error)) throw error;
    // The server may have committed before that. dnspool never repeats a statement. Before you repeat it, check whether
    // the order exists, for example by an order number with a unique index.
    return { unknown: error };
  }
}

if (import.meta.main) {
  const engine = openEngine(process.env.DATABASE_URL!);
  console.log(await tryToOrder(engine, 42), await countOrders(engine, 42));
  console.log(await lockOrders(engine, async () => {}));
  await engine.close({ drain: 10 }); // rejects new checkouts, and waits at most 10 seconds for connections in use
}
