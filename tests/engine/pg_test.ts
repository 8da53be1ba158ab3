/**
 * The engine on real PostgreSQL servers: roles, transactions, a server that freezes, one that is restarted.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pgAdapter } from "../../adapters/pg.ts";
import { ConnectError, ConnectionLostError } from "../../errors.ts";
import { type Engine, getDnsEngine } from "../../engine.ts";
import type { EngineOptions } from "../../engine/options.ts";
import { clearDnsCache } from "../../resolver.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, preparePostgres, startPostgres } from "../../lab/postgres.ts";
import { type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { Lag } from "../support/lag.ts";
import { resolvable, soon } from "../support/waiting.ts";

interface Pair {
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  readonly dns: FakeLookup;
  engine(options?: EngineOptions<pg.Client>): Engine<pg.Client>;
}

/** A primary and its hot standby on one port, and engines for a name that points to the primary. */
async function withPair(test: (pair: Pair) => Promise<void>): Promise<void> {
  const [first, second] = await loopbackPair();
  const port = await freePort([first, second]);
  const common = { port, user: "app", password: "s3cret", database: "orders" };
  const binaries = await preparePostgres();
  const servers: PostgresServer[] = [];
  const engines: Engine<pg.Client>[] = [];
  try {
    const primary = await startPostgres({ ...common, host: first });
    servers.push(primary);
    await primary.stop({ keep: true });
    const standby = await startPostgres({ ...common, host: second, standbyOf: primary });
    servers.push(standby);
    await primary.start();
    const dns = fakeLookup([first], 1);
    await test({
      primary,
      standby,
      dns,
      engine(options = {}) {
        // Each engine begins with the current answer, not with that of an engine before it.
        clearDnsCache();
        const url = `postgresql://app:s3cret@db.internal:${port}/orders`;
        const engine = getDnsEngine(url, {
          adapter: pgAdapter(pg),
          dnsLookup: dns,
          dnsFallback: false,
          ...options,
        });
        engines.push(engine);
        return engine;
      },
    });
  } finally {
    for (const engine of engines) await engine.close({ drain: 0 });
    for (const server of servers) await server[Symbol.asyncDispose]();
    await binaries[Symbol.asyncDispose]();
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("getDnsEngine() on a primary and its standby", async (t) => {
  await withPair(async ({ primary, standby, dns, engine: make }) => {
    await t.step(
      "targetSessionAttrs finds the server with the role, in any order",
      async () => {
        dns.addresses = [standby.host, primary.host];
        const wanted = [
          ["any", standby.host],
          ["read-write", primary.host],
          ["primary", primary.host],
          ["read-only", standby.host],
          ["standby", standby.host],
          ["prefer-standby", standby.host],
        ] as const;
        for (const [targetSessionAttrs, host] of wanted) {
          const engine = make({ targetSessionAttrs });
          assertEquals(await engine.use(({ address }) => address), host, targetSessionAttrs);
          await engine.close();
        }
      },
    );

    await t.step(
      "targetSessionAttrs read-write refuses a standby; the error names it and its role",
      async () => {
        dns.addresses = [standby.host];
        const engine = make({ targetSessionAttrs: "read-write", poolTimeout: 0.5 });
        const error = await assertRejects(() => engine.connect(), ConnectError, "standby");
        assertEquals(error.attempts.map(({ address }) => address), [standby.host]);
        assert(error.message.includes(standby.host));
        await engine.close();
      },
    );

    await t.step(
      "a write refused in the caller's own read-only transaction costs no connection, and DNS is asked again at once",
      async () => {
        dns.addresses = [primary.host];
        dns.ttl = 300;
        const engine = make({ targetSessionAttrs: "read-write" });
        await engine.query("CREATE TABLE IF NOT EXISTS things (id int)");
        const asked = dns.questions.length;
        await pause(1000);
        await assertRejects(
          () =>
            engine.use(async ({ client }) => {
              await client.query("BEGIN READ ONLY");
              await client.query("INSERT INTO things VALUES (1)");
            }),
          Error,
          "read-only transaction",
        );
        assertEquals([engine.status().idle, engine.status().closed], [1, 0]);
        await pause(50);
        assertEquals(dns.questions.length, asked + 1);
        await engine.close();
      },
    );

    await t.step("begin() commits, rolls back, and nests by savepoint", async () => {
      dns.addresses = [primary.host];
      const engine = make();
      await engine.query("CREATE TABLE ledger (entry text)");
      await engine.begin(async (lease) => {
        await lease.client.query("INSERT INTO ledger VALUES ('outer')");
        await assertRejects(
          () =>
            engine.begin(async (lease) => {
              await lease.client.query("INSERT INTO ledger VALUES ('inner, undone')");
              throw new Error("undo");
            }, { within: lease }),
          Error,
          "undo",
        );
        await engine.begin(
          ({ client }) => client.query("INSERT INTO ledger VALUES ('inner')"),
          { within: lease },
        );
      });
      await assertRejects(
        () =>
          engine.begin(async ({ client }) => {
            await client.query("INSERT INTO ledger VALUES ('undone')");
            throw new Error("undo all");
          }),
        Error,
        "undo all",
      );
      assertEquals(await engine.query("SELECT entry FROM ledger"), [
        { entry: "outer" },
        { entry: "inner" },
      ]);
      assertEquals(engine.status().opened, 1);
      await engine.close();
    });

    await t.step("isolationLevel holds for the session, executionOptions for a lease", async () => {
      dns.addresses = [primary.host];
      const ask = "SELECT current_setting('transaction_isolation') AS level";
      const engine = make({ isolationLevel: "REPEATABLE READ", poolSize: 1, maxOverflow: 0 });
      assertEquals(await engine.query(ask), [{ level: "repeatable read" }]);
      const strict = engine.executionOptions({ isolationLevel: "serializable" });
      assertEquals(await strict.query(ask), [{ level: "serializable" }]);
      assertEquals(await engine.query(ask), [{ level: "repeatable read" }]);
      assertEquals(engine.status().opened, 1);
      await engine.close();
    });

    await t.step(
      "a departed server that is frozen: its leases are terminated; new ones are served meanwhile",
      async () => {
        dns.addresses = [primary.host];
        dns.ttl = 1;
        const engine = make({ poolSize: 2, maxOverflow: 0, probeTimeout: 0.5 });
        await engine.warm(2);
        await primary.freeze();
        using lag = new Lag();
        const startMs = performance.now();
        const stuck = [engine.query("SELECT 1"), engine.query("SELECT 2")];
        const settled = Promise.allSettled(stuck);
        await pause(100);
        dns.addresses = [standby.host];
        assertEquals(await engine.query("SELECT 3 AS three"), [{ three: 3 }]);
        const servedMs = performance.now() - startMs;
        const errors = (await settled).map((result) =>
          result.status === "rejected" && result.reason
        );
        const tookMs = performance.now() - startMs;
        await primary.thaw();
        assert(servedMs < lag.limit(1500), `served after ${servedMs} ms`);
        assert(tookMs < lag.limit(3000), `rejected after ${tookMs} ms`);
        for (const error of errors) assert(error instanceof ConnectionLostError, String(error));
        await engine.close();
      },
    );

    await t.step(
      "a primary that is started again is found while a server before it is silent",
      async () => {
        dns.addresses = [standby.host, primary.host];
        const adapter = pgAdapter(pg);
        const refused = resolvable<void>();
        const engine = make({
          targetSessionAttrs: "read-write",
          connectTimeout: 60,
          poolTimeout: 60,
          adapter: {
            ...adapter,
            connect: (address, target) =>
              adapter.connect(address, target).catch((error) => {
                if (address === primary.host) refused.resolve();
                throw error;
              }),
          },
        });
        await standby.freeze();
        await primary.kill();
        const found = engine.use(({ address }) => address);
        await soon(refused.promise);
        await primary.start();
        assertEquals(await soon(found), primary.host);
        await standby.thaw();
        await engine.close();
      },
    );

    await t.step(
      "a server that restarts under load fails only the statements under way",
      async () => {
        dns.addresses = [primary.host];
        const engine = make({ poolSize: 8, maxOverflow: 0 });
        await engine.warm(8);
        let over = false;
        let failed = 0;
        let served = 0;
        const workers = Array.from({ length: 8 }, async () => {
          while (!over) {
            await engine.query("SELECT 1").then(() => served++, () => failed++);
          }
        });
        await pause(200);
        primary.kill();
        await pause(700);
        const before = served;
        await primary.start();
        await pause(1000);
        over = true;
        await Promise.all(workers);
        assert(failed <= 8, `${failed} calls failed, and 8 were in flight`);
        assert(served > before, "no worker was served after the restart");
        await engine.close();
      },
    );
  });
});
