/**
 * An engine with jsr:@db/postgres, on Deno only: a query, a transaction, several statements on one connection, a lost
 * connection, the shutdown.
 *
 * It needs this table: `CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL)`.
 *
 *     DATABASE_URL=postgresql://app:secret@db.internal/orders deno run -A examples/db_postgres.ts
 *
 * If JSR is not reachable, the tests of dnspool replace the driver by a stand-in based on npm:pg
 * (tests/support/db_postgres_stand_in.ts).
 */

import { type Engine, type EngineOptions, getDnsEngine } from "@dnspool/dnspool";
import { dbPostgresAdapter } from "@dnspool/dnspool/adapters/db_postgres";
import process from "node:process";
import * as postgres from "jsr:@db/postgres@^0.19";

type Client = postgres.Client;

const adapter = dbPostgresAdapter(postgres);

export function openEngine(url: string, options: EngineOptions<Client> = {}): Engine<Client> {
  return getDnsEngine(url, {
    adapter,
    poolSize: 10,
    poolPrePing: true, // this driver notices a broken connection only when it uses it
    targetSessionAttrs: "read-write", // waits while DNS still names a server that accepts no writes
    ...options,
  });
}

/** Runs one statement on any free connection. */
export async function countOrders(engine: Engine<Client>, customer: number): Promise<number> {
  const text = "SELECT count(*)::int AS n FROM orders WHERE customer = $1";
  const rows = await engine.query<{ n: number }>(text, [customer]);
  return rows[0]!.n;
}

/** Runs a transaction, which is committed when the function returns and rolled back if it throws. */
export function placeOrder(engine: Engine<Client>, customer: number): Promise<number> {
  return engine.begin(async ({ client }) => {
    const text = "INSERT INTO orders (customer) VALUES ($1) RETURNING id";
    const { rows } = await client.queryObject(text, [customer]);
    return (rows as { id: number }[])[0]!.id;
  });
}

/** Runs statements that need the same connection; returns the address of its server. */
export async function lockOrders(engine: Engine<Client>, work: () => Promise<void>) {
  await using lease = await engine.connect({ timeout: 5 }); // or: try { … } finally { await lease.release() }
  await lease.client.queryArray("SELECT pg_advisory_lock(42)");
  try {
    await work();
    return lease.address;
  } finally {
    await lease.client.queryArray("SELECT pg_advisory_unlock(42)");
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
