import { assert, assertEquals, assertFalse } from "@std/assert";
import { existsSync } from "node:fs";
import mariadb from "npm:mariadb@^3.5";
import mysql from "npm:mysql2@^3.24/promise";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { DnsMariadbPool } from "../../drop_in/mariadb_pool.ts";
import { DnsMysql2Pool } from "../../drop_in/mysql2_pool.ts";
import { startMariadbPair } from "../../lab/mariadb_pair.ts";
import { isRunning } from "../../lab/processes.ts";
import { type Engine, getDnsEngine } from "../../mod.ts";
import { fakeLookup } from "../support/fake_lookup.ts";
import { Writers } from "../support/ledger_writers.ts";
import { mariadbTest } from "../support/servers.ts";
import { pause, until } from "../support/waiting.ts";

const WORKERS = 2;
const LOGIN = { user: "app", password: "it's a s3cret" };

/** The method that the clients of both drivers have. */
interface Client {
  query(text: string): Promise<unknown>;
}

/** Runs one statement. */
type Query = (text: string) => Promise<readonly unknown[]>;

/** Returns the rows of what a client returned. */
const rowsOf = (result: unknown) => {
  const [first] = result as readonly unknown[];
  return (Array.isArray(first) ? first : result) as readonly unknown[];
};

/** Returns what runs a statement in a transaction, which is open for a while. */
const inTransaction = (engine: Engine<Client>): Query => (text) =>
  engine.begin(async ({ client }) => {
    const rows = rowsOf(await client.query(text));
    await pause(30);
    await client.query("UPDATE counters SET n = n + 1 WHERE id = CONNECTION_ID()");
    return rows;
  });

mariadbTest(
  "startMariadbPair() runs a primary and its replica: a switchover under open transactions and a kill lose no acknowledged row, and stop() leaves nothing",
  async () => {
    await using pair = await startMariadbPair(LOGIN);
    await using stack = new AsyncDisposableStack();
    const { primary: first, other: second } = pair;
    await first.ask("CREATE TABLE test.ledger (id INT PRIMARY KEY)");
    await first.ask("CREATE TABLE test.counters (id INT PRIMARY KEY, n INT)");
    const dns = fakeLookup([first.host], 1);
    const options = {
      targetSessionAttrs: "read-write",
      dnsLookup: dns,
      dnsFallback: false,
    } as const;
    const common = { ...LOGIN, host: "db.internal", port: pair.port, database: "test", ...options };
    const byMysql2 = getDnsEngine(pair.url("db.internal"), {
      ...options,
      adapter: mysql2Adapter(mysql),
    });
    const byMariadb = getDnsEngine(pair.url("db.internal"), {
      ...options,
      adapter: mariadbAdapter(mariadb),
    });
    const mysql2Pool = new DnsMysql2Pool(mysql, common);
    const mariadbPool = new DnsMariadbPool(mariadb, common);
    const engines: readonly Engine<Client>[] = [byMysql2, byMariadb];
    for (const engine of engines) stack.defer(() => engine.close({ drain: 0 }));
    stack.defer(() => mysql2Pool.end());
    stack.defer(() => mariadbPool.end());
    const queries: readonly Query[] = [
      ...engines.map((engine): Query => (text) => engine.query(text)),
      ...engines.map(inTransaction),
      async (text) => rowsOf(await mysql2Pool.query(text)),
      (text) => mariadbPool.query(text),
    ];
    const writers = queries.map((query, index) =>
      // Each has numbers of its own.
      new Writers(
        { query: (text) => query(text.replace(/\d+/, (id) => `${+id * 10 + index}`)) },
        WORKERS,
        "@@bind_address",
      )
    );
    stack.defer(async () => void await Promise.all(writers.map((each) => each.stop())));
    const untilWritten = (host: string) =>
      until(() => writers.every((each) => each.acknowledged.at(-1)?.address === host));
    await untilWritten(first.host);

    // A transaction that was open when the server became read-only does not commit there.
    const lease = await byMysql2.connect();
    await lease.client.query("BEGIN");
    await lease.client.query("INSERT INTO ledger VALUES (-1)");
    await first.ask("SET GLOBAL read_only = ON");
    const refused = await lease.client.query("COMMIT").catch((error) => error);
    assertEquals(refused.errno, 1290);
    await lease.release();
    await pair.hand();
    dns.addresses = [second.host];
    await untilWritten(second.host);
    const failed = writers.map((each) => each.failed.splice(0));
    assert(
      failed.every(({ length }) => length <= WORKERS),
      `${failed.map(({ length }) => length)}`,
    );
    for (const error of failed.flat()) {
      assert(
        (error as { errno?: unknown }).errno === 1290 || byMysql2.isDisconnect(error),
        String(error),
      );
    }

    // The old primary replicates from the new one, and takes over from it.
    await pair.follow(first);
    await pair.settled();
    await second.kill();
    await pair.promote();
    dns.addresses = [first.host];
    await untilWritten(first.host);
    await Promise.all(writers.map((each) => each.stop()));
    for (const { failed } of writers) assert(failed.length <= WORKERS, `${failed.length} failed`);
    const rows = await first.ask("SELECT id FROM test.ledger");
    const found = new Set(rows.map(({ id }) => id));
    assertFalse(found.has(-1));
    const lost = writers.flatMap((each, index) =>
      each.acknowledged.map(({ id }) => id * 10 + index).filter((id) => !found.has(id))
    );
    assertEquals(lost, []);

    const pids = [first.pid!];
    const dirs = pair.servers.map(({ dataDir }) => dataDir);
    assert(pids.every(isRunning));
    await pair.stop();
    assertFalse(pids.some(isRunning));
    assertFalse(dirs.some((dir) => existsSync(dir)));
  },
);
