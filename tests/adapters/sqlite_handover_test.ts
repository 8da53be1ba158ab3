import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import type { DatabaseSync } from "node:sqlite";
import { assertRejects } from "@std/assert";
import { sqliteAdapter } from "../../adapters/sqlite.ts";
import { DriverUnavailableError, getDnsEngine } from "../../mod.ts";
import { type Deed, handoverContract } from "../contracts/handover.ts";
import { ALWAYS, type Registration } from "../support/servers.ts";

/** Node 20 has no such module. */
const sqlite = await import("node:sqlite").catch(() => undefined);

const ON_SQLITE: Registration = sqlite ? ALWAYS : { test: () => {}, skipped: true };

if (!sqlite) {
  Deno.test("sqliteAdapter().connect() says that this runtime has no node:sqlite", async () => {
    const engine = getDnsEngine("sqlite::memory:", { adapter: sqliteAdapter() });
    await assertRejects(() => engine.connect(), DriverUnavailableError, "node:sqlite");
    await engine.close();
  });
}

const dir = await mkdtemp(`${tmpdir()}/dnspool-`);
const adapter = sqliteAdapter<DatabaseSync>(sqlite);
const MANY =
  "WITH RECURSIVE n (i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n";

const ran = (...texts: string[]): Deed<DatabaseSync> => (client) => {
  for (const text of texts) client.prepare(text).all();
};

handoverContract<DatabaseSync>({
  factory: "sqliteAdapter",
  adapter,
  url: `sqlite:///${dir}/orders.db`,
  start: () =>
    Promise.resolve({ host: "", port: 0, stop: () => rm(dir, { recursive: true, force: true }) }),
  setUp: ["CREATE TABLE things (id int PRIMARY KEY)", "INSERT INTO things VALUES (1)"],
  probe: "SELECT ?n AS n, 1 AS own",
  session: "SELECT 1 AS session",
  level: "SELECT '' AS level",
  isIdle: (client) => adapter.transactionStatus!(client) === "idle",
  stuck: {},
  deeds: {
    "a statement": ran("SELECT 1"),
    "a failed statement": ran("SELECT nothing"),
    "a statement that fails after rows": ran(
      `SELECT abs(-9223372036854775807 - (i > 5)) FROM (${MANY})`,
    ),
    "a transaction": ran("BEGIN", "SELECT * FROM things"),
    "an exclusive transaction": ran("BEGIN EXCLUSIVE"),
    "a failed transaction": ran("BEGIN", "INSERT INTO things VALUES (1)"),
    "a savepoint": ran("SAVEPOINT mine", "INSERT OR IGNORE INTO things VALUES (7)"),
    "an iterator": (client) => void client.prepare(MANY).iterate().next(),
    "an iterator that is not read": (client) => void client.prepare(MANY).iterate(),
    "an iterator that is left": (client) => {
      for (const _ of client.prepare(MANY).iterate()) break;
    },
    "an iterator that writes": (client) =>
      void client.prepare("INSERT OR REPLACE INTO things VALUES (8), (9) RETURNING id").iterate()
        .next(),
    "an iterator that writes in a transaction": (client) => {
      client.exec("BEGIN");
      client.prepare("INSERT OR REPLACE INTO things VALUES (8), (9) RETURNING id").iterate().next();
    },
    "an iterator that fails": (client) => {
      const rows = client.prepare(`SELECT abs(-9223372036854775807 - (i > 5)) FROM (${MANY})`);
      for (const _ of rows.iterate()) continue;
    },
    "several statements": (client) => client.exec("BEGIN; SELECT 1; SELECT nothing"),
    "close": (client) => client.close(),
  },
  changes: {
    "a pragma": ran("PRAGMA cache_size = 7"),
    "temporary table": ran("CREATE TEMP TABLE IF NOT EXISTS mine (id int)"),
  },
}, ON_SQLITE);
