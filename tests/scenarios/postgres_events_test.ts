/**
 * What `deno task drill:postgres` found out about a primary and its standby, in short: on real servers with synchronous
 * replication.
 */

import { assertEquals, assertRejects } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { DnsPgPool } from "../../drop_in/pg_pool.ts";
import { ReplicatedPair } from "../../lab/replicated_pair.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { until } from "../support/waiting.ts";

let pair: ReplicatedPair;
Deno.test.beforeAll(async () => {
  pair = await ReplicatedPair.start("CREATE TABLE ledger (id int)");
});
Deno.test.afterAll(() => pair[Symbol.asyncDispose]());

/** Makes a pool of the drop-in for `pg`, which writes. */
function dropIn() {
  return new DnsPgPool(pg, {
    connectionString: pair.primary.url("db.internal"),
    dnsLookup: fakeLookup([pair.primary.host], 3600),
    dnsFallback: false,
    targetSessionAttrs: "read-write",
  });
}

/** Makes the primary read-only for all sessions, or not. */
async function makeReadOnly(readOnly: boolean): Promise<void> {
  const change = readOnly
    ? "SET default_transaction_read_only = on"
    : "RESET default_transaction_read_only";
  await pair.ask(`ALTER SYSTEM ${change}`);
  await pair.ask("SELECT pg_reload_conf()");
  await until(async () => {
    const [row] = await pair.ask("SHOW default_transaction_read_only");
    return row!.default_transaction_read_only === (readOnly ? "on" : "off");
  });
}

/** Ways in which a write that is refused gives its client back. */
const WAYS: Readonly<Record<string, (pool: pg.Pool) => Promise<unknown>>> = {
  "query()": (pool) => pool.query("INSERT INTO ledger VALUES (1)"),
  "release() in the callback": async (pool) => {
    const client = await pool.connect();
    await new Promise<void>((resolve, reject) =>
      client.query("INSERT INTO ledger VALUES (1)", (error) => {
        client.release();
        if (error) reject(error);
        else resolve();
      })
    );
  },
};

for (const [name, write] of Object.entries(WAYS)) {
  Deno.test(`DnsPgPool leaves a primary that turns read-only with the first refused write, by ${name}`, async () => {
    const pool = dropIn();
    try {
      await Promise.all([1, 2, 3].map(() => pool.query("SELECT pg_sleep(0.1)")));
      assertEquals(pool.idleCount, 3);
      await makeReadOnly(true);
      const error = await assertRejects(() => write(pool)) as { code?: string };
      assertEquals(error.code, "25006");
      await until(() => pool.totalCount === 2); // its server's role is known then
      // The others are as old as the first one: the next write waits for a server that takes it.
      const next = pool.query("INSERT INTO ledger VALUES (2)");
      next.catch(() => {}); // it is awaited below
      await makeReadOnly(false);
      await next;
    } finally {
      await makeReadOnly(false);
      await pool.end();
    }
  });
}
