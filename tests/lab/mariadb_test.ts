import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { existsSync } from "node:fs";
import path from "node:path";
import mysql from "npm:mysql2@^3.24/promise";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type MariadbServer, prepareMariadb, startMariadb } from "../../lab/mariadb.ts";
import { isRunning } from "../../lab/processes.ts";
import { mariadbTest } from "../support/servers.ts";

const WHO = { user: "app", password: "it's a s3cret", database: "orders" };

/** The first value of an answer's first row. */
async function ask(server: MariadbServer, sql: string, url: string = server.url()) {
  const connection = await mysql.createConnection(url);
  try {
    const [rows] = await connection.query({ sql, rowsAsArray: true });
    return (rows as unknown[][])[0]?.[0];
  } finally {
    await connection.end();
  }
}

mariadbTest(
  "startMariadb() runs two servers on one port, each at its own address, and stop() leaves nothing",
  async () => {
    const hosts = await loopbackPair();
    const port = await freePort(hosts);
    const servers = await Promise.all(hosts.map((host) => startMariadb({ host, port, ...WHO })));
    const pids = servers.map(({ pid }) => pid!);
    const dirs = servers.map(({ dataDir }) => dataDir);
    try {
      assertEquals(await Promise.all(servers.map((one) => ask(one, "SELECT @@bind_address"))), [
        ...hosts,
      ]);
      assertEquals(await ask(servers[0]!, "SELECT database()"), "orders");
      assertEquals(await ask(servers[0]!, "SELECT user()"), "app@127.0.0.1");
      assertStringIncludes(
        String(await ask(servers[0]!, "SELECT version()")),
        servers[0]!.version,
      );
      assert(pids.every(isRunning));
      assert(existsSync(path.join(dirs[0]!, "mariadb.sock"))); // here, and nowhere else
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
    }
    assertFalse(pids.some(isRunning));
    assertFalse(dirs.some((dir) => existsSync(dir) || existsSync(path.dirname(dir))));
  },
);

mariadbTest("MariadbServer survives kill(), freeze() and a kept stop() with its data", async () => {
  const [host] = await loopbackPair();
  await using server = await startMariadb({ host, port: await freePort([host]), ...WHO });
  await ask(server, "CREATE TABLE kept ENGINE=InnoDB AS SELECT 42 AS n");

  await server.stop({ keep: true });
  assertFalse(server.running);
  await server.start();
  assertEquals(await ask(server, "SELECT n FROM kept"), 42);

  await ask(server, "UPDATE kept SET n = 43");
  await server.kill();
  assertFalse(server.running);
  await server.start();
  assertEquals(await ask(server, "SELECT n FROM kept"), 43);

  await server.freeze();
  let answered = false;
  const answer = ask(server, "SELECT n FROM kept").finally(() => answered = true);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertFalse(answered);
  await server.thaw();
  assertEquals(await answer, 43);
});

mariadbTest("startMariadb() copies a stopped server, and the two go separate ways", async () => {
  const hosts = await loopbackPair();
  const port = await freePort(hosts);
  await using _programs = await prepareMariadb();
  await using first = await startMariadb({ host: hosts[0], port, ...WHO });
  await ask(first, "CREATE TABLE copied AS SELECT 7 AS n");
  await assertRejects(
    () => startMariadb({ host: hosts[1], port, ...WHO, copyOf: first }),
    Error,
    "it is running",
  );
  await first.stop({ keep: true });
  await using second = await startMariadb({ host: hosts[1], port, ...WHO, copyOf: first });
  await first.start();
  await ask(first, "UPDATE copied SET n = 8");
  assertEquals(await ask(first, "SELECT n FROM copied"), 8);
  assertEquals(await ask(second, "SELECT n FROM copied"), 7);
});

mariadbTest(
  "read_only, set by the administrator, holds for the user of a MariadbServer",
  async () => {
    const [host] = await loopbackPair();
    await using server = await startMariadb({ host, port: await freePort([host]), ...WHO });
    await ask(server, "CREATE TABLE t (n INT)");
    await ask(server, "SET GLOBAL read_only = ON", server.adminUrl());
    const error = await assertRejects(() => ask(server, "INSERT INTO t VALUES (1)"), Error);
    assertEquals((error as { errno?: number }).errno, 1290);
    await ask(server, "SET GLOBAL read_only = OFF", server.adminUrl());
    await ask(server, "INSERT INTO t VALUES (1)");
  },
);

mariadbTest(
  "MariadbServer.log has the connections that ended without COM_QUIT, and no others",
  async () => {
    const [host] = await loopbackPair();
    await using server = await startMariadb({ host, port: await freePort([host]), ...WHO });
    const polite = await mysql.createConnection(server.url());
    await polite.end();
    const rude = await mysql.createConnection(server.url());
    const id = rude.threadId;
    rude.destroy();
    await server.logged(/Aborted connection/);
    await server.stop({ keep: true });
    const told = server.log.split("\n").filter((line) => line.includes("Aborted connection"));
    assertEquals(told.length, 1);
    assertStringIncludes(told[0]!, `Aborted connection ${id} to db: 'orders' user: 'app'`);
  },
);

mariadbTest("startMariadb() says why a server does not start, and leaves nothing", async () => {
  const [host] = await loopbackPair();
  const port = await freePort([host]);
  await using programs = await prepareMariadb();
  await using first = await startMariadb({ host, port, ...WHO });
  const error = await assertRejects(() => startMariadb({ host, port, ...WHO }), Error);
  assertStringIncludes(error.message, "Address already in use");
  assertFalse(error.message.includes(WHO.password));
  const left = [...Deno.readDirSync(programs.workDir)].map(({ name }) => name)
    .filter((name) => name.startsWith("data-"));
  assertEquals(left, [path.basename(first.dataDir)]);

  await assertRejects(
    () => startMariadb({ host, port, ...WHO, signal: AbortSignal.abort(new Error("enough")) }),
    Error,
    "enough",
  );
});
