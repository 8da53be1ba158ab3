/**
 * A program that starts before its database: neither the name nor the server is there yet.
 *
 * @module
 */

import { assertEquals, assertLess } from "@std/assert";
import { freePort, loopbackPair } from "../../lab/free_port.ts";
import { startPostgres } from "../../lab/postgres.ts";
import { DnsServer } from "../../testing/mod.ts";
import { runProgram } from "../support/program.ts";
import { pause, until } from "../support/waiting.ts";

const LOGIN = { user: "app", password: "s3cret", database: "orders" };

/** Returns the program: its first call is a query. */
function programOf(dns: DnsServer, port: number, password = LOGIN.password): string {
  const url = `postgresql://app:${password}@db.internal:${port}/orders`;
  return `
    import { getDnsEngine } from "root/mod.ts";
    const engine = getDnsEngine(${JSON.stringify(url)}, {
      connectRetry: "always",
      poolTimeout: 60,
      dnsNameservers: [${JSON.stringify(dns.address)}],
      dnsHosts: false,
      dnsFallback: false,
    });
    try {
      const [row] = await engine.query("SELECT current_user AS who");
      console.log(row.who);
    } catch (error) {
      console.log(error.code + ": " + error.cause?.code);
    }
    await engine.close();
  `;
}

Deno.test('connectRetry: "always": a program that starts before its database waits for name and server, and a wrong password ends it at once', async () => {
  await using dns = await DnsServer.start();
  const [host] = await loopbackPair();
  const port = await freePort([host]);
  let isOver = false;
  const running = runProgram(programOf(dns, port)).finally(() => isOver = true);
  await until(
    () => Promise.resolve(dns.count("db.internal") >= 3),
    "questions for a name that is missing",
  );
  dns.set("db.internal", [host], { ttl: 1 });
  await pause(1500); // the server refuses
  assertEquals(isOver, false);
  const server = await startPostgres({ ...LOGIN, host, port });
  try {
    const { code, out, err } = await running;
    assertEquals([code, out], [0, "app"], err);
    const wrong = await runProgram(programOf(dns, port, "wrong"));
    assertEquals([wrong.code, wrong.out], [0, "CONNECT_FAILED: 28P01"], wrong.err);
    assertLess(wrong.seconds, 20);
  } finally {
    await server.stop({ mode: "immediate" });
  }
});
