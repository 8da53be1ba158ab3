/**
 * A primary that is demoted under load, before DNS knows, on real streaming replication.
 */

import { assert, assertEquals, assertFalse, assertLess } from "@std/assert";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import type { Adapter } from "../../adapters/adapter.ts";
import { pgAdapter } from "../../adapters/pg.ts";
import { clearDnsCache, type Engine, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, startPostgres } from "../../lab/postgres.ts";
import { type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { Writers } from "../support/ledger_writers.ts";
import { pause, until } from "../support/waiting.ts";
import { Lag } from "../support/lag.ts";

const WHO = { user: "app", password: "s3cret", database: "orders" };

// deno-lint-ignore no-explicit-any -- whatever the client is, the engine only hands it back
const ADAPTERS: Readonly<Record<string, Adapter<any>>> = { pg: pgAdapter(pg) };

/** A primary and its standby, one port, and a name that points at the primary for hours. */
interface Pair {
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  readonly dns: FakeLookup;
  engine(options: EngineOptions<unknown>): Engine<unknown>;
}

async function withPair(
  adapter: Adapter<unknown>,
  test: (pair: Pair, stack: AsyncDisposableStack) => Promise<void>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const [first, second] = await loopbackPair();
  // A standby that does not find its primary tries again soon.
  const settings = { wal_retrieve_retry_interval: "50ms" };
  const common = { ...WHO, settings, port: await freePort([first, second]) };
  const primary = stack.use(await startPostgres({ ...common, host: first }));
  await ask(primary, "CREATE TABLE ledger (id int PRIMARY KEY)");
  await primary.stop({ keep: true });
  const standby = stack.use(
    await startPostgres({ ...common, host: second, standbyOf: primary }),
  );
  await primary.start();
  const dns = fakeLookup([first], 3600);
  clearDnsCache();
  await test({
    primary,
    standby,
    dns,
    engine(options) {
      const engine = getDnsEngine(primary.url("db.internal"), {
        adapter,
        dnsLookup: dns,
        dnsMaxTtl: 3600,
        dnsFallback: false,
        ...options,
      });
      stack.defer(() => engine.close({ drain: 0 }));
      return engine;
    },
  }, stack);
}

async function ask(server: PostgresServer, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.url(), options: WRITABLE });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** For the administrator, whatever the server's default is. */
const WRITABLE = "-c default_transaction_read_only=off";

/** The standby has every row that the primary has, and becomes a primary. */
async function promote({ primary, standby }: Pair): Promise<void> {
  const rows = async (server: PostgresServer) =>
    (await ask(server, "SELECT count(*) AS n FROM ledger"))[0]?.n;
  if (primary.running) {
    const all = await rows(primary);
    await until(async () => await rows(standby) === all, "the replay");
  }
  await ask(standby, "SELECT pg_promote()");
}

async function demote(server: PostgresServer): Promise<void> {
  await ask(server, "ALTER SYSTEM SET default_transaction_read_only = on");
  await ask(server, "SELECT pg_reload_conf()");
}

for (const [name, adapter] of Object.entries(ADAPTERS)) {
  Deno.test(`${name}: a primary that turns read-only before DNS knows fails only what was in flight, and writers wait for the new one`, () =>
    withPair(adapter, async (pair, stack) => {
      const { primary, standby, dns } = pair;
      using lag = new Lag();
      const engine = pair.engine({ targetSessionAttrs: "read-write", poolSize: 4, maxOverflow: 0 });
      const writers = new Writers(engine, 4, "host(inet_server_addr())");
      stack.defer(() => writers.stop());
      await until(() => writers.acknowledged.length > 20);
      const asked = dns.questions.length;
      await demote(primary);
      await until(() => engine.status().waiting === 4, "the wait for a writable server");
      const demotedMs = performance.now();
      // An hour of TTL is left, and DNS still says the old address.
      await until(() => dns.questions.length > asked, "the question");
      await promote(pair);
      await pause(300);
      assertFalse(writers.acknowledged.some(({ atMs }) => atMs > demotedMs));
      dns.addresses = [standby.host];
      const movedMs = performance.now();
      await until(() => writers.acknowledged.at(-1)!.address === standby.host, "the move");
      // DNS is asked once a second at the most.
      assertLess(
        writers.acknowledged.find(({ address }) => address === standby.host)!.atMs - movedMs,
        lag.limit(1500),
      );
      await writers.stop();
      assert(
        writers.failed.length <= 4,
        `${writers.failed.length} writes failed, 4 were in flight`,
      );
      for (const error of writers.failed) assertEquals((error as { code?: string }).code, "25006");
      const found = new Set((await ask(standby, "SELECT id FROM ledger")).map(({ id }) => id));
      assertEquals(writers.acknowledged.filter(({ id }) => !found.has(id)), []);
      const { idle, inUse, byAddress } = engine.status();
      assertEquals([inUse, byAddress], [0, { [standby.host]: { idle, inUse: 0 } }]);
    }));

  Deno.test(`${name}: a primary that comes back as a standby of the new one is told by its role`, () =>
    withPair(adapter, async (pair, stack) => {
      const { primary, standby, dns } = pair;
      const engine = pair.engine({ targetSessionAttrs: "read-write" });
      assertEquals(await engine.use(({ address }) => address), primary.host);
      await primary.stop();
      await promote(pair);
      await standby.stop({ keep: true });
      const { host, port } = primary;
      stack.use(await startPostgres({ ...WHO, host, port, standbyOf: standby }));
      await standby.start();
      const coming = engine.use(({ address }) => address);
      await pause(300);
      assertEquals(engine.status().waiting, 1);
      dns.addresses = [standby.host];
      assertEquals(await coming, standby.host);
    }));

  Deno.test(`${name}: without targetSessionAttrs, a read-only error asks DNS again, and the next checkout is where it says`, () =>
    withPair(adapter, async (pair) => {
      const { primary, standby, dns } = pair;
      const engine = pair.engine({});
      assertEquals(await engine.use(({ address }) => address), primary.host);
      await promote(pair);
      await demote(primary);
      dns.addresses = [standby.host];
      await pause(1000); // DNS was asked just now, and is asked once a second at the most
      const error = await engine.query("INSERT INTO ledger VALUES (1)").catch((error) => error);
      assertEquals(error.code, "25006");
      await until(() => engine.status().answer.addresses[0] === standby.host, "the new answer");
      await engine.query("INSERT INTO ledger VALUES (1)");
      assertEquals(await ask(standby, "SELECT id FROM ledger"), [{ id: 1 }]);
    }));
}
