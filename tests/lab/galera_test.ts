import { assert, assertEquals, assertFalse } from "@std/assert";
import { existsSync } from "node:fs";
import mariadb from "npm:mariadb@^3.5";
import mysql from "npm:mysql2@^3.24/promise";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { DnsMariadbPool } from "../../drop_in/mariadb_pool.ts";
import { type GaleraNode, startGalera } from "../../lab/galera.ts";
import { isRunning } from "../../lab/processes.ts";
import { type Engine, getDnsEngine } from "../../mod.ts";
import { galeraTest } from "../support/servers.ts";
import { until } from "../support/waiting.ts";

/** A node that is silent is left out after 1.5 seconds, not 5. */
const PROVIDER = { "evs.suspect_timeout": "PT1.5S", "evs.keepalive_period": "PT0.5S" };

/** An engine or a pool. */
interface Runner {
  query(text: string): Promise<unknown>;
}

/** Writes until a node takes it; returns its address, and the number of failures before that. */
async function write(runner: Runner): Promise<{ host: string; failed: number }> {
  for (let failed = 0;; failed++) {
    try {
      const text = "INSERT INTO t VALUES (NULL) RETURNING @@bind_address AS host";
      const [row] = await runner.query(text) as { host: string }[];
      return { host: row!.host, failed };
    } catch (error) {
      if (failed > 5) throw error;
    }
  }
}

/** What the clients of both drivers have. */
interface Client {
  query(text: string): Promise<unknown>;
}

/** Runs a transaction on a node while another node changes the same row first; `after` runs when the node has noticed. */
async function conflict(
  engine: Engine<Client>,
  [node, other]: readonly [GaleraNode, GaleraNode],
  after: (client: Client) => Promise<unknown>,
): Promise<unknown> {
  const aborts = async () => (await node.ask("SHOW STATUS LIKE 'wsrep_local_bf_aborts'"))[0]!.Value;
  try {
    return await engine.begin(async ({ client }) => {
      await client.query("UPDATE counters SET n = n + 1");
      const before = await aborts();
      await other.ask("UPDATE test.counters SET n = n + 10");
      await until(async () => await aborts() !== before);
      await after(client);
    });
  } catch (error) {
    return error;
  }
}

galeraTest(
  "startGalera() runs a cluster whose engines leave a node that is killed, and one without its cluster, and stop() leaves nothing",
  async () => {
    await using cluster = await startGalera({
      user: "app",
      password: "secret",
      provider: PROVIDER,
    });
    await using stack = new AsyncDisposableStack();
    const [first, second, third] = cluster.nodes;
    await first!.ask("CREATE TABLE test.t (id INT AUTO_INCREMENT PRIMARY KEY)");
    await first!.ask("CREATE TABLE test.counters (id INT PRIMARY KEY, n INT)");
    await first!.ask("INSERT INTO test.counters VALUES (1, 0)");
    await cluster.settled();
    const options = {
      poolSize: 3,
      targetSessionAttrs: "read-write",
      poolPrePing: true,
      connectStagger: 5, // the first node that can be used, also on a busy machine
    } as const;
    await using byMysql2 = getDnsEngine(cluster.url(), {
      ...options,
      adapter: mysql2Adapter(mysql),
    });
    await using byMariadb = getDnsEngine(cluster.url(), {
      ...options,
      adapter: mariadbAdapter(mariadb),
    });
    const engines: readonly Engine<Client>[] = [byMysql2, byMariadb];
    const pool = new DnsMariadbPool(mariadb, {
      ...{ host: cluster.hosts.join(), port: cluster.port, database: "test" },
      ...{ user: "app", password: "secret", minDelayValidation: 0, connectStagger: 5 },
    });
    stack.defer(() => pool.end());
    const writes = () => Promise.all([...engines, pool].map(write));
    const on = ({ host }: GaleraNode) => [1, 2, 3].map(() => ({ host, failed: 0 }));
    assertEquals(await writes(), on(first!));

    // A conflict is an error of the transaction, and its connection is kept: the next statement learns of it, or COMMIT.
    for (const engine of engines) {
      for (const statement of [undefined, "SELECT 1", "UPDATE counters SET n = n + 1"]) {
        const error = await conflict(
          engine,
          [first!, second!],
          async (client) => statement && await client.query(statement),
        );
        assertEquals([(error as { errno?: unknown }).errno, statement], [1213, statement]);
        assertFalse(engine.isDisconnect(error));
      }
      assertEquals(engine.status().opened, 1);
    }
    assertEquals((await first!.ask("SELECT n FROM test.counters"))[0]!.n, 60);

    await first!.kill();
    await cluster.settled([second!, third!]);
    assertEquals(await writes(), on(second!));

    await first!.join();
    await cluster.settled();
    assertEquals((await first!.ask("SELECT COUNT(*) AS n FROM test.t"))[0]!.n, 6);

    // It lets clients in, answers pings of the protocol, and runs SELECT 1, but nothing on a table.
    await second!.isolate(true);
    await cluster.refusing(second!);
    await cluster.settled([first!, third!]);
    for (const { host, failed } of await writes()) {
      assert(host !== second!.host);
      assertEquals(failed, 0, "the ping finds out");
    }

    const pids = cluster.nodes.map(({ pid }) => pid!);
    const dirs = cluster.nodes.map(({ dataDir }) => dataDir);
    assert(pids.every(isRunning));
    await cluster.stop();
    assertFalse(pids.some(isRunning));
    assertFalse(dirs.some((dir) => existsSync(dir)));
  },
);
