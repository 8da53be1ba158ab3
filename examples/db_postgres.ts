/**
 * jsr:@db/postgres on an engine, for Deno alone: a query, a transaction, a connection for a while, one that is lost, and
 * the end.
 *
 * It works on a table of yours: `CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL)`.
 *
 *     DATABASE_URL=postgresql://app:secret@db.internal/orders deno run -A examples/db_postgres.ts
 *
 * Where JSR does not answer, the tests of dnspool map the import of the driver to a stand-in over npm:pg
 * (tests/support/db_postgres_stand_in.ts): then this file is checked and run with that, and not with the driver itself.
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
    poolPrePing: true, // this driver notices a broken connection only when it is asked for something
    targetSessionAttrs: "read-write", // DNS may still name a server that takes no writes: wait for one that does
    ...options,
  });
}

/** One statement, on whichever connection is free. */
export async function countOrders(engine: Engine<Client>, customer: number): Promise<number> {
  const text = "SELECT count(*)::int AS n FROM orders WHERE customer = $1";
  const rows = await engine.query<{ n: number }>(text, [customer]);
  return rows[0]!.n;
}

/** A transaction: committed when the function returns, rolled back when it throws. */
export function placeOrder(engine: Engine<Client>, customer: number): Promise<number> {
  return engine.begin(async ({ client }) => {
    const text = "INSERT INTO orders (customer) VALUES ($1) RETURNING id";
    const { rows } = await client.queryObject(text, [customer]);
    return (rows as { id: number }[])[0]!.id;
  });
}

/** Statements that need one and the same connection, and the address of the server that it is open to. */
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
