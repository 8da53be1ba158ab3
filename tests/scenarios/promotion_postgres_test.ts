/**
 * A standby that is promoted, and a primary that turns read-only, on real streaming replication: readers and writers
 * leave them although no statement fails, because the server reports it.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import postgres from "npm:postgres@^3.4";
import type { Adapter } from "../../adapters/adapter.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { postgresjsAdapter } from "../../adapters/postgresjs.ts";
import { dnsPg } from "../../drop_in/pg_pool.ts";
import { clearDnsCache, type Engine, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { until } from "../support/waiting.ts";

const WHO = { user: "app", password: "s3cret", database: "orders" };
/** For the administrator, whatever the server's default is. */
const WRITABLE = "-c default_transaction_read_only=off";
/** The question about the role, as the adapters ask it. */
const ROLE_QUESTION = /pg_is_in_recovery/;

async function ask(
  server: PostgresServer,
  text: string,
  options = WRITABLE,
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.url(), options });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** The statements that an adapter's clients run, in order. */
const statements: string[] = [];

class RecordingClient extends pg.Client {
  // deno-lint-ignore no-explicit-any -- the method has many forms
  override query(...args: any[]): any {
    statements.push(String(args[0]));
    // deno-lint-ignore no-explicit-any -- as above
    return (super.query as any)(...args);
  }
}

const ADAPTERS = [
  pgAdapter({ Client: RecordingClient }),
  postgresjsAdapter((options) =>
    postgres({ ...options, debug: (_, text) => void statements.push(text) })
  ),
] as unknown as Adapter<unknown>[];

/** Number of questions about the role since the last call. */
function takeQuestions(): number {
  const { length } = statements.splice(0).filter((text) => ROLE_QUESTION.test(text));
  return length;
}

Deno.test("targetSessionAttrs on a primary and two standbys", async (t) => {
  await using stack = new AsyncDisposableStack();
  const pair = await loopbackPair();
  const hosts = [...pair, pair[0].replace(/2$/, "4")];
  const port = await freePort(hosts);
  const settings = { wal_retrieve_retry_interval: "50ms" };
  const common = { ...WHO, settings, port };
  const primary = stack.use(await startPostgres({ ...common, host: hosts[0]! }));
  await ask(primary, "CREATE TABLE ledger (id int)");

  /** Starts standbys of the primary, which are promoted in the course of the tests. */
  async function standbys(): Promise<PostgresServer[]> {
    await primary.stop({ keep: true });
    const started: PostgresServer[] = [];
    for (const host of hosts.slice(1)) {
      started.push(await startPostgres({ ...common, host, standbyOf: primary }));
    }
    await primary.start();
    return started;
  }

  function open(
    adapter: Adapter<unknown>,
    addresses: string[],
    options: EngineOptions<unknown>,
  ): Engine<unknown> {
    clearDnsCache();
    return getDnsEngine(primary.url("db.internal"), {
      adapter,
      dnsLookup: fakeLookup(addresses, 3600),
      dnsMaxTtl: 3600,
      dnsFallback: false,
      ...options,
    });
  }

  const where = async (engine: Engine<unknown>) => {
    const [row] = await engine.query("SELECT host(inet_server_addr()) AS host");
    return (row as { host: string }).host;
  };

  await t.step(
    "dnsPg().Client: a client of a promoted standby says that it is not to be used again",
    async () => {
      const [first, second] = await standbys() as [PostgresServer, PostgresServer];
      await using _first = first;
      await using _second = second;
      const open = async (targetSessionAttrs: "standby" | "any") => {
        const dropIn = dnsPg(pg, {
          dnsLookup: fakeLookup([first.host], 3600),
          dnsFallback: false,
          targetSessionAttrs,
        });
        const client = new dropIn.Client({ connectionString: primary.url("db.internal") });
        await client.connect();
        return client;
      };
      clearDnsCache();
      const [reader, other] = [await open("standby"), await open("any")];
      await ask(first, "SELECT pg_promote()");
      const departed = async (client: typeof reader) => {
        await client.query("SELECT 1");
        return (client as { departed?: boolean }).departed;
      };
      assertEquals([await departed(reader), await departed(other)], [true, false]);
      await reader.end();
      await other.end();
    },
  );

  for (const adapter of ADAPTERS) {
    await t.step(
      `${adapter.name}: readers leave a standby with the first read after its promotion`,
      async () => {
        const [first, second] = await standbys() as [PostgresServer, PostgresServer];
        await using _first = first;
        await using _second = second;
        const engines = (["standby", "read-only", "prefer-standby"] as const).map((role) =>
          open(adapter, [first.host, second.host, primary.host], {
            targetSessionAttrs: role,
            poolSize: 4,
            // On a busy machine, the second server may be ready first.
            connectStagger: Infinity,
          })
        );
        await using _engines = new AsyncDisposableStack();
        for (const engine of engines) {
          _engines.defer(() => engine.close());
          await engine.warm(4);
          assertEquals(engine.status().byAddress, { [first.host]: { idle: 4, inUse: 0 } });
        }
        await ask(first, "SELECT pg_promote()");
        for (const engine of engines) {
          takeQuestions();
          const reads: string[] = [];
          for (let each = 0; each < 12; each++) reads.push(await where(engine));
          // A connection tells of the promotion with the answer to its next statement, so that one is done there.
          assertEquals(reads.filter((host) => host === first.host).length, 1);
          assertEquals(reads.slice(1), Array.from({ length: 11 }, () => second.host));
          assertEquals(Object.keys(engine.status().byAddress), [second.host]);
          // That of the new connection; the promoted server is not asked again.
          assertEquals(takeQuestions(), 1);
        }
      },
    );

    await t.step(
      `${adapter.name}: read-write leaves a primary that turns read-only, before a write fails`,
      async () => {
        const engine = open(adapter, [primary.host], {
          targetSessionAttrs: "read-write",
          poolTimeout: 20,
        });
        try {
          await engine.warm(4);
          await ask(primary, "ALTER SYSTEM SET default_transaction_read_only = on");
          await ask(primary, "SELECT pg_reload_conf()");
          await until(
            async () =>
              (await ask(primary, "SHOW default_transaction_read_only", ""))[0]!
                .default_transaction_read_only === "on",
            "the configuration",
          );
          await engine.query("SELECT 1");
          const next = engine.query("INSERT INTO ledger VALUES (1)");
          await until(() => engine.status().waiting === 1, "the wait for a writable server");
          assertEquals(engine.status().idle, 0);
          await ask(primary, "ALTER SYSTEM RESET default_transaction_read_only");
          await ask(primary, "SELECT pg_reload_conf()");
          await next;
        } finally {
          await engine.close();
        }
      },
    );

    await t.step(
      `${adapter.name}: a read-only transaction of one's own costs no question and no connection, a session one question`,
      async () => {
        const engine = open(adapter, [primary.host], {
          targetSessionAttrs: "read-write",
          poolSize: 1,
          maxOverflow: 0,
        });
        try {
          await engine.warm(1);
          takeQuestions();
          const refused = async (before: string, after: string) => {
            await engine.use(async ({ client }) => {
              await adapter.query!(client, before);
              await assertRejects(
                () => adapter.query!(client, "INSERT INTO ledger VALUES (1)"),
                Error,
                "read-only transaction",
              );
              await adapter.query!(client, after);
            });
            await engine.query("SELECT 1");
          };
          for (let each = 0; each < 5; each++) {
            await refused("BEGIN READ ONLY", "ROLLBACK");
            await refused("BEGIN; SET TRANSACTION READ ONLY", "ROLLBACK");
          }
          assertEquals(takeQuestions(), 0);
          await refused(
            "SET default_transaction_read_only = on",
            "SET default_transaction_read_only = off",
          );
          assertEquals(takeQuestions(), 0);
          await refused("SET default_transaction_read_only = on", "SELECT 1");
          assert(takeQuestions() >= 1);
          assertEquals(engine.status().opened, 1);
        } finally {
          await engine.close();
        }
      },
    );
  }
});
