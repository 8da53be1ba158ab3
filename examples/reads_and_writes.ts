/**
 * Reads and writes on two names: writes go to the primary, reads to a standby, or to the primary while there is none. A
 * read that has to see a write waits until the standby has it, or goes to the primary.
 *
 *     WRITER_URL=postgresql://app:secret@primary.internal/orders READER_URL=postgresql://app:secret@replicas.internal,primary.internal/orders deno run -A examples/reads_and_writes.ts
 *
 * The table:
 *
 *     CREATE TABLE orders (id serial PRIMARY KEY, customer int, server text DEFAULT host(inet_server_addr()))
 */

import { type Engine, type EngineOptions, getDnsEngine } from "@dnspool/dnspool";
import { pgAdapter } from "@dnspool/dnspool/adapters/pg";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

export interface Database {
  readonly writer: Engine<pg.Client>;
  readonly reader: Engine<pg.Client>;
}

/** The reader's URL has both names: with a standby it is preferred, without one the primary answers. */
export function openDatabase(
  writerUrl: string,
  readerUrl: string,
  options: EngineOptions<pg.Client> = {},
): Database {
  const adapter = pgAdapter(pg);
  return {
    writer: getDnsEngine(writerUrl, { adapter, targetSessionAttrs: "read-write", ...options }),
    reader: getDnsEngine(readerUrl, { adapter, targetSessionAttrs: "prefer-standby", ...options }),
  };
}

/** Writes, and returns the server and the position in the log that a standby has to reach to have the write. */
export async function order({ writer }: Database, customer: number) {
  const [row] = await writer.begin(async ({ client }) => {
    const insert = "INSERT INTO orders (customer) VALUES ($1) RETURNING server";
    return (await client.query<{ server: string }>(insert, [customer])).rows;
  });
  // After the commit: its record is before this position.
  const [{ position }] = await writer.query<{ position: string }>(
    "SELECT pg_current_wal_insert_lsn()::text AS position",
  ) as [{ position: string }];
  return { server: row!.server, position };
}

/** Reads on a standby: what was written a moment ago may be missing. */
export async function count(reader: Engine<pg.Client>, customer: number) {
  const [row] = await reader.query<{ orders: number; server: string }>(
    "SELECT count(*)::int AS orders, host(inet_server_addr()) AS server FROM orders WHERE customer = $1",
    [customer],
  );
  return row!;
}

/** Reads what was written before a position: on a standby that has it within `patienceMs`, or else on the primary. */
export async function countSince(
  { reader, writer }: Database,
  customer: number,
  position: string,
  patienceMs = 200,
) {
  const endMs = Date.now() + patienceMs;
  do {
    // One statement: on another connection, another standby could answer. A primary has everything.
    const [row] = await reader.query<{ orders: number; server: string; has: boolean }>(
      `SELECT count(*)::int AS orders, host(inet_server_addr()) AS server,
         NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= $2::pg_lsn AS has
       FROM orders WHERE customer = $1`,
      [customer, position],
    );
    if (row!.has) return { orders: row!.orders, server: row!.server };
    await new Promise((resolve) => setTimeout(resolve, 10));
  } while (Date.now() < endMs);
  return await count(writer, customer);
}

if (import.meta.main) {
  const db = openDatabase(process.env.WRITER_URL!, process.env.READER_URL!);
  const { server, position } = await order(db, 42);
  console.log("written on", server);
  console.log("read on", await countSince(db, 42, position));
  await Promise.all([db.writer.close(), db.reader.close()]);
}
