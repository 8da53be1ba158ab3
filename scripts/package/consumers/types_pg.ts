/**
 * Like `types.ts`, with the types of npm:pg.
 *
 * @module
 */

import { type Engine, getDnsEngine } from "@dnspool/dnspool";
import { pgAdapter } from "@dnspool/dnspool/adapters/pg";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

const engine: Engine<pg.Client> = getDnsEngine("postgresql://app@db.internal/orders", {
  adapter: pgAdapter(pg),
});

/** The client has the driver's type, with its generics. */
export async function count(): Promise<number | undefined> {
  return await engine.use(async ({ client }) => {
    const { rows } = await client.query<{ n: number }>("SELECT count(*) AS n FROM orders");
    return rows[0]?.n;
  });
}
