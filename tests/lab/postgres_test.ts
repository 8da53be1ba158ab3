import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { existsSync } from "node:fs";
import path from "node:path";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { type PostgresServer, preparePostgres, startPostgres } from "../../lab/postgres.ts";
import { childrenOf, isRunning } from "../../lab/processes.ts";

const WHO = { user: "app", password: "it's a s3cret", database: "orders" };

async function ask(server: PostgresServer, text: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  try {
    return (await client.query({ text, rowMode: "array" })).rows[0]?.[0];
  } finally {
    await client.end();
  }
}

Deno.test("startPostgres() runs two servers on one port, each at its own address, and stop() leaves nothing", async () => {
  const hosts = await loopbackPair();
  const port = await freePort(hosts);
  const servers = await Promise.all(hosts.map((host) => startPostgres({ host, port, ...WHO })));
  const processes = servers.flatMap(({ pid }) => pid ? [pid, ...childrenOf(pid)] : []);
  const dirs = servers.map(({ dataDir }) => dataDir);
  try {
    const told = await Promise.all(
      servers.map((one) => ask(one, "SELECT host(inet_server_addr())")),
    );
    assertEquals(told, [...hosts]);
    assertEquals(await ask(servers[0]!, "SELECT current_database()::text"), "orders");
    assert(processes.length >= 4, `${processes.length} processes`);
    assert(processes.every(isRunning));
    assert(dirs.every(existsSync));
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
  assertFalse(processes.some(isRunning));
  assertFalse(dirs.some((dir) => existsSync(dir) || existsSync(path.dirname(dir))));
});

Deno.test("PostgresServer survives kill(), freeze() and a kept stop() with its data", async () => {
  const [host] = await loopbackPair();
  await using server = await startPostgres({ host, port: await freePort([host]), ...WHO });
  await ask(server, "CREATE TABLE kept AS SELECT 42 AS n");

  await server.stop({ keep: true });
  assertFalse(server.running);
  await server.start();
  assertEquals(await ask(server, "SELECT n FROM kept"), 42);

  await server.kill();
  assertFalse(server.running);
  await server.start();
  assertEquals(await ask(server, "SELECT n FROM kept"), 42);

  await server.freeze();
  let answered = false;
  const answer = ask(server, "SELECT n FROM kept").finally(() => answered = true);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertFalse(answered);
  await server.thaw();
  assertEquals(await answer, 42);
});

Deno.test("PostgresServer.stop() waits for the clients to leave in the mode smart, until another mode ends them", async () => {
  const [host] = await loopbackPair();
  await using server = await startPostgres({ host, port: await freePort([host]), ...WHO });
  const client = new pg.Client({ connectionString: server.url() });
  const errors: { code?: string }[] = [];
  client.on("error", (error: Error) => errors.push(error as { code?: string }));
  const ended = new Promise<void>((resolve) => client.once("end", resolve));
  await client.connect();
  const stopped = server.stop({ mode: "smart", keep: true });
  await server.logged(/smart shutdown/);
  const refused = await assertRejects(() => ask(server, "SELECT 1")) as { code?: string };
  assertEquals(refused.code, "57P03");
  assertEquals((await client.query("SELECT 42 AS n")).rows, [{ n: 42 }]);
  await server.stop({ mode: "fast", keep: true });
  await stopped;
  await ended;
  assertEquals(errors[0]?.code, "57P01");
  assertFalse(server.running);

  await server.start();
  await server.stop({ mode: "smart", keep: true }); // there are no clients
  assertFalse(server.running);
});

Deno.test("startPostgres() makes a standby from a cold copy of a stopped server", async () => {
  const hosts = await loopbackPair();
  const port = await freePort(hosts);
  await using _binaries = await preparePostgres();
  await using primary = await startPostgres({ host: hosts[0], port, ...WHO });
  await assertRejects(
    () => startPostgres({ host: hosts[1], port, ...WHO, standbyOf: primary }),
    Error,
    "it is running",
  );
  await primary.stop({ keep: true });
  await using standby = await startPostgres({ host: hosts[1], port, ...WHO, standbyOf: primary });
  await primary.start();
  await ask(primary, "CREATE TABLE copied AS SELECT 7 AS n");
  assertEquals(await ask(standby, "SELECT pg_is_in_recovery()"), true);
  const replayed = "SELECT to_regclass('copied') IS NOT NULL";
  while (!await ask(standby, replayed)) await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(await ask(standby, "SELECT n FROM copied"), 7);
});

Deno.test("startPostgres() says why a server does not start, and leaves nothing", async () => {
  const [host] = await loopbackPair();
  const port = await freePort([host]);
  await using binaries = await preparePostgres();
  await using first = await startPostgres({ host, port, ...WHO });
  const error = await assertRejects(() => startPostgres({ host, port, ...WHO }), Error);
  assertStringIncludes(error.message, "Address already in use");
  assertFalse(error.message.includes(WHO.password));
  const left = [...Deno.readDirSync(binaries.workDir)].map(({ name }) => name)
    .filter((name) => name.startsWith("data-"));
  assertEquals(left, [path.basename(first.dataDir)]);

  await assertRejects(
    () => startPostgres({ host, port, ...WHO, signal: AbortSignal.abort(new Error("enough")) }),
    Error,
    "enough",
  );
});

Deno.test("freePort() finds a port that both addresses can listen on", async () => {
  const hosts = await loopbackPair();
  const port = await freePort(hosts);
  const listeners = hosts.map((hostname) => Deno.listen({ hostname, port }));
  for (const listener of listeners) listener.close();
  assertEquals(new Set(hosts).size, 2);
});
