/**
 * A primary that goes on after another server has taken its role, as when Patroni is killed and its PostgreSQL is not:
 * its commits wait for a replica that is gone, are acknowledged when its supervisor comes back, and are lost when it is
 * rewound. On real servers with synchronous replication.
 */

import { assertEquals, assertGreater } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { dnsPg, DnsPgPool } from "../../drop_in/pg_pool.ts";
import { clearDnsCache, getDnsEngine } from "../../mod.ts";
import { ReplicatedPair } from "../../lab/replicated_pair.ts";
import type { PostgresServer } from "../../lab/postgres.ts";
import { type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { until } from "../support/waiting.ts";

const WRITERS = 4;

/** A way to write: the connections, and how they are closed. */
interface Way {
  write(text: string): Promise<unknown>;
  close(): Promise<unknown>;
}

/** The ways to write; none says for how long a lease on the old primary may go on. */
const WAYS: Readonly<Record<string, (url: string, dns: FakeLookup) => Way>> = {
  "engine.query()": (url, dnsLookup) => {
    const engine = getDnsEngine(url, { adapter: pgAdapter(pg), ...options(dnsLookup) });
    return { write: (text) => engine.query(text), close: () => engine.close({ drain: 0 }) };
  },
  // The cancel ends the wait for the replica, and the server says that the row is there.
  "engine.query() with a timeout": (url, dnsLookup) => {
    const engine = getDnsEngine(url, { adapter: pgAdapter(pg), ...options(dnsLookup) });
    return {
      write: (text) => engine.query(text, [], { timeout: 0.5 }),
      close: () => engine.close({ drain: 0 }),
    };
  },
  "engine.query() of postgres with a timeout": (url, dnsLookup) => {
    const engine = getDnsEngine(url, {
      adapter: postgresjsAdapter(postgres),
      ...options(dnsLookup),
    });
    return {
      write: (text) => engine.query(text, [], { timeout: 0.5 }),
      close: () => engine.close({ drain: 0 }),
    };
  },
  "the client of a lease": (url, dnsLookup) => {
    const engine = getDnsEngine(url, { adapter: pgAdapter(pg), ...options(dnsLookup) });
    return {
      async write(text) {
        const lease = await engine.connect();
        const result = lease.client.query(text);
        await result.then(() => lease.release(), (error) => lease.release(error));
        await result;
      },
      close: () => engine.close({ drain: 0 }),
    };
  },
  "the client of a lease of postgres": (url, dnsLookup) => {
    const engine = getDnsEngine(url, {
      adapter: postgresjsAdapter(postgres),
      ...options(dnsLookup),
    });
    return {
      async write(text) {
        const lease = await engine.connect();
        const result = Promise.resolve(lease.client.unsafe(text));
        await result.then(() => lease.release(), (error) => lease.release(error));
        await result;
      },
      close: () => engine.close({ drain: 0 }),
    };
  },
  "DnsPgPool.query()": (connectionString, dnsLookup) => {
    const pool = new DnsPgPool(pg, {
      connectionString,
      connectionTimeoutMillis: 20_000,
      ...options(dnsLookup),
    });
    pool.on("error", () => {});
    return { write: (text) => pool.query(text), close: () => pool.end() };
  },
  "dnsPg().Client": (connectionString, dnsLookup) => {
    const dropIn = dnsPg(pg, options(dnsLookup));
    return {
      async write(text) {
        const client = new dropIn.Client({ connectionString });
        client.on("error", () => {});
        await client.connect();
        try {
          await client.query(text);
        } finally {
          client.end().catch(() => {});
        }
      },
      close: () => Promise.resolve(),
    };
  },
};

function options(dnsLookup: FakeLookup) {
  return {
    dnsLookup,
    dnsFallback: false,
    targetSessionAttrs: "read-write",
  } as const;
}

/** Lets the commits of a server no longer wait for a replica, as its supervisor does when it comes back. */
async function letCommitsGo(server: PostgresServer): Promise<void> {
  const client = new pg.Client({ connectionString: server.url() });
  client.on("error", () => {});
  await client.connect();
  await client.query("ALTER SYSTEM RESET synchronous_standby_names");
  await client.query("SELECT pg_reload_conf()");
  // Those that were terminated are cancelled on the server, so that none goes on there.
  await until(async () => {
    const { rows } = await client.query(
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
    );
    return rows[0].n === 0;
  }, "the end of the commits on the old primary");
  await client.end();
}

Deno.test("what a primary acknowledges that is left running is on the server that took its role", async (t) => {
  await using pair = await ReplicatedPair.start("CREATE TABLE ledger (id int PRIMARY KEY)");
  let lastId = 0;
  for (const [name, open] of Object.entries(WAYS)) {
    await t.step(name, async () => {
      clearDnsCache();
      const old = pair.primary;
      const dns = fakeLookup([old.host], 0.5);
      const way = open(old.url("db.internal"), dns);
      const acknowledged: number[] = [];
      let failed = 0;
      let stopped = false;
      /** Number of writers that were acknowledged since the name moved. */
      let moved = false;
      const onward = new Set<number>();
      const writers = Array.from({ length: WRITERS }, async (_, writer) => {
        while (!stopped) {
          const id = ++lastId;
          const began = moved;
          try {
            await way.write(`INSERT INTO ledger VALUES (${id})`);
            acknowledged.push(id);
            if (began) onward.add(writer);
          } catch {
            failed++;
          }
        }
      });
      await until(() => acknowledged.length > 5 * WRITERS, "the first rows");
      const cleanUp = await pair.failOver("left running");
      dns.addresses = [pair.primary.host];
      moved = true;
      await until(() => onward.size === WRITERS, "the writers on the new primary");
      await letCommitsGo(old);
      stopped = true;
      await Promise.all(writers);
      await way.close();
      await cleanUp();
      const rows = await pair.ask("SELECT id FROM ledger");
      const found = new Set(rows.map(({ id }) => id));
      assertEquals(acknowledged.filter((id) => !found.has(id)), [], "lost");
      assertGreater(failed, 0);
      await pair.addStandby(old.host);
    });
  }
});
