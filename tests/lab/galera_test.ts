import { assert, assertEquals, assertFalse } from "@std/assert";
import { existsSync } from "node:fs";
import mariadb from "npm:mariadb@^3.5";
import mysql from "npm:mysql2@^3.24/promise";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { type GaleraNode, startGalera } from "../../lab/galera.ts";
import { isRunning } from "../../lab/processes.ts";
import { type Engine, getDnsEngine } from "../../mod.ts";
import { galeraTest } from "../support/servers.ts";

/** A node that is silent is left out after 1.5 seconds, not 5. */
const PROVIDER = { "evs.suspect_timeout": "PT1.5S", "evs.keepalive_period": "PT0.5S" };

/** Writes until a node takes it; returns its address, and the number of failures before that. */
async function write(engine: Engine<unknown>): Promise<{ host: string; failed: number }> {
  for (let failed = 0;; failed++) {
    try {
      const text = "INSERT INTO t VALUES (NULL) RETURNING @@bind_address AS host";
      const [row] = await engine.query<{ host: string }>(text);
      return { host: row!.host, failed };
    } catch (error) {
      if (failed > 5) throw error;
    }
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
    const [first, second, third] = cluster.nodes;
    await first!.ask("CREATE TABLE test.t (id INT AUTO_INCREMENT PRIMARY KEY)");
    await cluster.settled();
    const options = { poolSize: 3, targetSessionAttrs: "read-write" } as const;
    await using byMysql2 = getDnsEngine(cluster.url(), {
      ...options,
      adapter: mysql2Adapter(mysql),
    });
    await using byMariadb = getDnsEngine(cluster.url(), {
      ...options,
      adapter: mariadbAdapter(mariadb),
    });
    const engines: readonly Engine<unknown>[] = [byMysql2, byMariadb];
    const writes = () => Promise.all(engines.map(write));
    const on = ({ host }: GaleraNode) => [{ host, failed: 0 }, { host, failed: 0 }];
    assertEquals(await writes(), on(first!));

    await first!.kill();
    await cluster.settled([second!, third!]);
    assertEquals(await writes(), on(second!));

    await first!.join();
    await cluster.settled();
    assertEquals((await first!.ask("SELECT COUNT(*) AS n FROM test.t"))[0]!.n, 4);

    // It lets clients in, answers pings, and runs SELECT 1, but nothing on a table.
    await second!.isolate(true);
    await cluster.refusing(second!);
    await cluster.settled([first!, third!]);
    for (const { host, failed } of await writes()) {
      assert(host !== second!.host);
      assert(failed <= 1, "the one statement that finds out");
    }

    const pids = cluster.nodes.map(({ pid }) => pid!);
    const dirs = cluster.nodes.map(({ dataDir }) => dataDir);
    assert(pids.every(isRunning));
    await cluster.stop();
    assertFalse(pids.some(isRunning));
    assertFalse(dirs.some((dir) => existsSync(dir)));
  },
);
