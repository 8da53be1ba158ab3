/**
 * A primary that turns read-only, before DNS knows and after, on two real MariaDB servers.
 */

import { assert, assertEquals, assertFalse, assertGreater, assertLess } from "@std/assert";
import * as mariadb from "npm:mariadb@^3.5";
import mysql from "npm:mysql2@^3.24/promise";
import type { Adapter } from "../../adapters/adapter.ts";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { clearDnsCache, type Engine, type EngineOptions, getDnsEngine } from "../../mod.ts";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import type { MariadbServer } from "../../lab/mariadb.ts";
import { type FakeLookup, fakeLookup } from "../support/fake_lookup.ts";
import { Writers } from "../support/ledger_writers.ts";
import { asAdmin, startServer } from "../support/mysql_subject.ts";
import { ON_MARIADB } from "../support/servers.ts";
import { pause, until } from "../support/waiting.ts";
import { Lag } from "../support/lag.ts";

/** The method that the clients of both drivers have. */
interface Client {
  query(text: string): Promise<unknown>;
}

const ADAPTERS = [mysql2Adapter(mysql), mariadbAdapter(mariadb)] as unknown as Adapter<Client>[];

/** Two servers on one port, and a name that points at the first for hours. */
interface Pair {
  readonly first: MariadbServer;
  readonly second: MariadbServer;
  readonly dns: FakeLookup;
  engine(options: EngineOptions<Client>): Engine<Client>;
}

let first: MariadbServer;
let second: MariadbServer;

Deno.test.beforeAll(async () => {
  if (ON_MARIADB.skipped) return;
  const [one, other] = await loopbackPair();
  const port = await freePort([one, other]);
  first = await startServer({ host: one, port });
  second = await startServer({ host: other, port });
});

Deno.test.afterAll(async () => {
  await first?.stop({ mode: "immediate" });
  await second?.stop({ mode: "immediate" });
});

async function demote(server: MariadbServer, on = true): Promise<void> {
  await asAdmin(server, `SET GLOBAL read_only = ${on ? 1 : 0}`);
}

function each(
  name: string,
  test: (pair: Pair, stack: AsyncDisposableStack) => Promise<void>,
): void {
  for (const adapter of ADAPTERS) {
    ON_MARIADB.test(`${adapter.name}: ${name}`, async () => {
      await using stack = new AsyncDisposableStack();
      for (const server of [first, second]) {
        await demote(server, false);
        await asAdmin(server, "CREATE OR REPLACE TABLE ledger (id int PRIMARY KEY)");
      }
      const dns = fakeLookup([first.host], 3600);
      clearDnsCache();
      await test({
        first,
        second,
        dns,
        engine(options) {
          const engine = getDnsEngine(first.url("db.internal"), {
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
    });
  }
}

function errnoOf(error: unknown): unknown {
  return (error as { errno?: unknown }).errno;
}

each(
  "a primary that turns read-only before DNS knows fails only what was in flight, and writers wait for the new one",
  async (pair, stack) => {
    const { first, second, dns } = pair;
    using lag = new Lag();
    const engine = pair.engine({ targetSessionAttrs: "read-write", poolSize: 4, maxOverflow: 0 });
    const writers = new Writers(engine, 4, "@@bind_address");
    stack.defer(() => writers.stop());
    await until(() => writers.acknowledged.length > 20);
    const asked = dns.questions.length;
    await demote(first);
    await until(() => engine.status().waiting === 4, "the wait for a writable server");
    const demotedMs = performance.now();
    // An hour of TTL is left, and DNS still says the old address.
    await until(() => dns.questions.length > asked, "the question");
    await pause(300);
    assertFalse(writers.acknowledged.some(({ atMs }) => atMs > demotedMs));
    dns.addresses = [second.host];
    const movedMs = performance.now();
    await until(() => writers.acknowledged.at(-1)!.address === second.host, "the move");
    // DNS is asked once a second at the most.
    const arrived = writers.acknowledged.find(({ address }) => address === second.host)!;
    assertLess(arrived.atMs - movedMs, lag.limit(1500));
    await writers.stop();
    assert(writers.failed.length <= 4, `${writers.failed.length} writes failed, 4 were in flight`);
    for (const error of writers.failed) assertEquals(errnoOf(error), 1290);
    for (const server of [first, second]) {
      const rows = await asAdmin(server, "SELECT id FROM ledger");
      const found = new Set(rows.map(({ id }) => id));
      const lost = writers.acknowledged.filter(({ id, address }) =>
        address === server.host && !found.has(id)
      );
      assertEquals(lost, []);
    }
    await engine.warm(4); // no place was lost
    assertEquals(engine.status().idle, 4);
  },
);

each(
  "with DNS moved already, one read-only error moves the whole pool: the next checkout can write",
  async (pair) => {
    const { first, second, dns } = pair;
    const engine = pair.engine({ targetSessionAttrs: "read-write", poolSize: 4, maxOverflow: 0 });
    const leases = await Promise.all([1, 2, 3].map(() => engine.connect()));
    for (const lease of leases) await lease.release();
    assertEquals(engine.status().idle, 3);
    await pause(1000); // DNS was asked just now, and is asked once a second at the most
    await demote(first);
    dns.addresses = [second.host];
    const error = await engine.query("INSERT INTO ledger VALUES (1)").catch((error) => error);
    assertEquals(errnoOf(error), 1290);
    await engine.query("INSERT INTO ledger VALUES (1)");
    assertEquals((await asAdmin(second, "SELECT id FROM ledger")).length, 1);
    await until(() => engine.status().idle === 1 && engine.status().inUse === 0);
  },
);

each(
  "a read-only error that the holder keeps to itself retires the connection all the same",
  async (pair) => {
    const { first, second, dns } = pair;
    const engine = pair.engine({ targetSessionAttrs: "primary", poolSize: 1, maxOverflow: 0 });
    const lease = await engine.connect();
    await pause(1000);
    await demote(first);
    dns.addresses = [second.host];
    await lease.client.query("INSERT INTO ledger VALUES (1)").catch(() => {});
    await lease.release();
    assertEquals(await engine.use(({ address }) => address), second.host);
    assertEquals(engine.status().closed, 1);
  },
);

each(
  "a primary that comes back read-only is told by its role, until DNS moves",
  async (pair, stack) => {
    const { dns } = pair;
    const port = await freePort([first.host, second.host]);
    const restarted = stack.use(await startServer({ host: first.host, port }));
    const promoted = stack.use(await startServer({ host: second.host, port }));
    const connectArgs = { port };
    const engine = pair.engine({ targetSessionAttrs: "read-write", connectArgs });
    assertEquals(await engine.use(({ address }) => address), restarted.host);
    await restarted.stop({ keep: true });
    await restarted.start();
    await demote(restarted);
    const coming = engine.use(({ address }) => address);
    await pause(300);
    assertEquals(engine.status().waiting, 1);
    dns.addresses = [promoted.host];
    assertEquals(await coming, promoted.host);
  },
);

each("an engine that wants a standby uses the read-only server", async (pair) => {
  const { first, second, dns } = pair;
  await demote(second);
  dns.addresses = [first.host, second.host];
  for (const targetSessionAttrs of ["standby", "read-only", "prefer-standby"] as const) {
    const engine = pair.engine({ targetSessionAttrs });
    assertEquals(await engine.use(({ address }) => address), second.host);
  }
  const engine = pair.engine({ targetSessionAttrs: "primary" });
  assertEquals(await engine.use(({ address }) => address), first.host);
});

each(
  "without targetSessionAttrs, a read-only error asks DNS again, and the next checkout is where it says",
  async (pair) => {
    const { first, second, dns } = pair;
    const engine = pair.engine({});
    assertEquals(await engine.use(({ address }) => address), first.host);
    await demote(first);
    dns.addresses = [second.host];
    await pause(1000);
    const asked = dns.questions.length;
    const error = await engine.query("INSERT INTO ledger VALUES (1)").catch((error) => error);
    assertEquals(errnoOf(error), 1290);
    await until(() => engine.status().answer.addresses[0] === second.host, "the new answer");
    assertGreater(dns.questions.length, asked);
    await engine.query("INSERT INTO ledger VALUES (1)");
    assertEquals((await asAdmin(second, "SELECT id FROM ledger")).length, 1);
  },
);

each(
  "without targetSessionAttrs, and DNS as it was, the connection to a read-only server stays",
  async (pair) => {
    const { first } = pair;
    const engine = pair.engine({ poolSize: 1, maxOverflow: 0 });
    await engine.use(() => {});
    await demote(first);
    const error = await engine.query("INSERT INTO ledger VALUES (1)").catch((error) => error);
    assertEquals(errnoOf(error), 1290);
    assertEquals((await engine.query("SELECT COUNT(*) AS n FROM ledger")).length, 1);
    assertEquals(engine.status().opened, 1);
  },
);
