/**
 * An engine with npm:pg: a query, a transaction, several statements on one connection, a lost connection, the shutdown.
 *
 * It needs this table: `CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL)`.
 *
 *     DATABASE_URL=postgresql://app:secret@db.internal/orders deno run -A examples/pg.ts
 */

import { type Engine, type EngineOptions, getDnsEngine } from "@dnspool/dnspool";
import { pgAdapter } from "@dnspool/dnspool/adapters/pg";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

const adapter = pgAdapter(pg);

export function openEngine(url: string, options: EngineOptions<pg.Client> = {}): Engine<pg.Client> {
  return getDnsEngine(url, {
    adapter,
    poolSize: 10,
    targetSessionAttrs: "read-write", // waits while DNS still names a server that accepts no writes
    ...options,
  });
}

/** Runs one statement on any free connection. */
export async function countOrders(engine: Engine<pg.Client>, customer: number): Promise<number> {
  const rows = await engine.query<{ n: number }>(
    "SELECT count(*)::int AS n FROM orders WHERE customer = $1",
    [customer],
  );
  return rows[0]!.n;
}

/** Runs a transaction, which is committed when the function returns and rolled back if it throws. */
export function placeOrder(engine: Engine<pg.Client>, customer: number): Promise<number> {
  return engine.begin(async ({ client }) => {
    const text = "INSERT INTO orders (customer) VALUES ($1) RETURNING id";
    const { rows } = await client.query<{ id: number }>(text, [customer]);
    return rows[0]!.id;
  });
}

/** Runs statements that need the same connection; returns the address of its server. */
export async function lockOrders(engine: Engine<pg.Client>, work: () => Promise<void>) {
  await using lease = await engine.connect({ timeout: 5 }); // or: try { … } finally { await lease.release() }
  await lease.client.query("SELECT pg_advisory_lock(42)");
  try {
    await work();
    return lease.address;
  } finally {
    await lease.client.query("SELECT pg_advisory_unlock(42)");
  }
}

/** Places an order, and reports if it is unknown whether the order was placed. */
export async function tryToOrder(engine: Engine<pg.Client>, customer: number) {
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
