/**
 * What `deno task drill:postgres` found out about a primary and its standby, in short: on real servers with synchronous
 * replication.
 */

import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import type { Adapter } from "../../adapters/adapter.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { DnsPgPool } from "../../drop_in/pg_pool.ts";
import { ConnectionLostError, type Engine, type EngineOptions, getDnsEngine } from "../../mod.ts";
import type { PostgresServer } from "../../lab/postgres.ts";
import { ReplicatedPair } from "../../lab/replicated_pair.ts";
import { keepLines } from "../support/checks.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { soon, until } from "../support/waiting.ts";

let pair: ReplicatedPair;
Deno.test.beforeAll(async () => {
  pair = await ReplicatedPair.start(
    "CREATE TABLE ledger (id int); CREATE TABLE rows AS SELECT generate_series(1, 1000) AS id",
    { max_standby_streaming_delay: "50ms" },
  );
});
Deno.test.afterAll(() => pair[Symbol.asyncDispose]());

const ADAPTERS = [pgAdapter(pg), postgresjsAdapter(postgres)] as unknown as Adapter<unknown>[];

/** For a test that restarts a server which others share: its process is another one afterwards. */
const RESTARTS = { sanitizeOps: false, sanitizeResources: false };

/** Makes an engine for one of the servers. */
function engineOn(
  server: PostgresServer,
  adapter: Adapter<unknown>,
  options: EngineOptions<unknown> = {},
): Engine<unknown> {
  return getDnsEngine(server.url(), { adapter, logger: keepLines(), ...options });
}

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

for (const adapter of ADAPTERS) {
  const leaves =
    `Engine with ${adapter.name} leaves a server that waits for its clients to leave, and what runs there ends first`;
  Deno.test(leaves, RESTARTS, async () => {
    const { primary } = pair;
    const engine = engineOn(primary, adapter, { poolSize: 4, maxOverflow: 0 });
    try {
      const sleep = () => engine.query("SELECT pg_sleep(0.2)");
      await Promise.all([sleep(), sleep()]);
      let goOn!: () => void;
      const maySee = new Promise<void>((resolve) => goOn = resolve);
      const used = engine.begin(async ({ client }) => {
        const ask = (text: string) => adapter.query!(client, text);
        await ask("INSERT INTO ledger VALUES (3)");
        await ask("DECLARE half CURSOR FOR SELECT id FROM rows");
        await ask("FETCH 10 FROM half");
        await maySee;
        return (await ask("FETCH 10 FROM half")).length;
      });
      const stopped = primary.stop({ mode: "smart", keep: true });
      await primary.logged(/smart shutdown/);
      // There is one connection for three callers: a second one is refused, and all are served.
      await Promise.all([sleep(), sleep(), sleep()]);
      await until(() => engine.status().idle === 0);
      assertEquals(engine.status().inUse, 1);
      assert(primary.running);
      goOn();
      assertEquals(await used, 10);
      await soon(stopped);
    } finally {
      await engine.close({ drain: 0 });
      if (primary.running) await primary.stop({ mode: "fast", keep: true });
      await primary.start();
    }
  });

  Deno.test(`Engine with ${adapter.name} tells a holder what the server said when one of its processes crashed`, async () => {
    const engine = engineOn(pair.primary, adapter, { poolSize: 2, maxOverflow: 0 });
    const lostBy = (fn: (client: unknown) => Promise<unknown>) =>
      engine.use(async ({ client }) => {
        await fn(client);
        await new Promise(() => {});
      }).catch((error) => error);
    try {
      const told = lostBy((client) => adapter.query!(client, "SELECT 1"));
      await until(() => engine.status().inUse === 1);
      const victim = lostBy(async (client) => {
        const [row] = await adapter.query!(client, "SELECT pg_backend_pid() AS pid");
        process.kill((row as { pid: number }).pid, "SIGKILL");
      });
      const [error, crashed] = await soon(Promise.all([told, victim]));
      assertInstanceOf(error, ConnectionLostError);
      assertInstanceOf(crashed, ConnectionLostError);
      assertEquals((error.cause as { code?: string }).code, "57P02");
      assert(error.message.includes("crash of another server process"), error.message);
      await until(() => pair.ask("SELECT 1").then(() => true, () => false));
    } finally {
      await engine.close({ drain: 0 });
    }
  });

  Deno.test(`Engine with ${adapter.name} on a standby: a conflict with recovery ends a statement, or one session, and nothing else`, async () => {
    const engine = engineOn(pair.standby!, adapter, { poolSize: 3, maxOverflow: 0 });
    const opened = () => engine.status().opened;
    const conflict = async () => {
      await pair.ask("UPDATE rows SET id = id");
      await pair.ask("VACUUM rows");
    };
    try {
      await Promise.all([1, 2, 3].map(() => engine.query("SELECT pg_sleep(0.1)")));
      const began = "BEGIN ISOLATION LEVEL REPEATABLE READ";
      const statement = engine.query("SELECT pg_sleep(10) FROM rows").catch((error) => error);
      await engine.use(async ({ client }) => {
        await adapter.query!(client, "SELECT 1"); // another connection: that one is kept
      });
      await conflict();
      const cancelled = await soon(statement);
      assertEquals([cancelled.code, cancelled.severity], ["40001", "ERROR"]);
      assertEquals([opened(), engine.isDisconnect(cancelled)], [3, false]);

      const used = engine.use(async ({ client }) => {
        await adapter.query!(client, began);
        await adapter.query!(client, "SELECT count(*) FROM rows");
        await new Promise(() => {});
      });
      await until(() => engine.status().inUse === 1);
      await conflict();
      const lost = await soon(used.catch((error) => error));
      assertInstanceOf(lost, ConnectionLostError);
      const { code, severity } = lost.cause as { code?: string; severity?: string };
      assertEquals([code, severity], ["40001", "FATAL"]);
      await Promise.all([1, 2, 3].map(() => engine.query("SELECT pg_sleep(0.1)")));
      assertEquals(opened(), 4);
    } finally {
      await engine.close({ drain: 0 });
    }
  });
}
