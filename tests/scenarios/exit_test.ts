import { assertEquals } from "@std/assert";
import { freePort } from "../../lab/free_port.ts";

/** Runs a program with the package at hand; it is stopped after 10 seconds. */
async function run(program: string): Promise<{ code: number; out: string; seconds: number }> {
  const startMs = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--no-lock", "--config", "deno.json", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
    signal: AbortSignal.timeout(10_000),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(`
    import { getDnsEngine } from "${new URL("../../mod.ts", import.meta.url)}";
    import { DnsServer, fakeAdapter } from "${new URL("../../testing/mod.ts", import.meta.url)}";
    ${program}
  `));
  await writer.close();
  const { code, stdout } = await child.output();
  const out = new TextDecoder().decode(stdout).trim();
  return { code, out, seconds: (performance.now() - startMs) / 1000 };
}

Deno.test("a program that only creates an engine exits by itself", async () => {
  const { code, out } = await run(`
    getDnsEngine("postgresql://app@db.internal/orders");
    console.log("end");
  `);
  assertEquals([code, out], [0, "end"]);
});

Deno.test("a program that leaves an idle pool behind exits by itself", async () => {
  const { code, out } = await run(`
    const lookup = { name: "table", lookup: () => Promise.resolve({ addresses: ["10.0.0.1"], ttl: 1 }) };
    const engine = getDnsEngine("fake://db.internal/orders", { adapter: fakeAdapter(), dnsLookup: lookup });
    await engine.use(() => {});
    console.log(engine.status().idle);
  `);
  assertEquals([code, out], [0, "1"]);
});

Deno.test("a program that leaves idle pg connections behind exits by itself", async () => {
  const { startPostgres } = await import("../../lab/postgres.ts");
  const port = await freePort(["127.0.0.1"]);
  const server = await startPostgres({ host: "127.0.0.1", port, user: "app", password: "secret" });
  try {
    const { code, out } = await run(`
      const engine = getDnsEngine("${server.url()}");
      await engine.query("SELECT 1");
      console.log(engine.status().idle);
    `);
    assertEquals([code, out], [0, "1"]);
  } finally {
    await server.stop();
  }
});

Deno.test("a program that awaits a checkout does not exit in the middle", async () => {
  const { code, out } = await run(`
    const engine = getDnsEngine("fake://10.0.0.1/orders", { adapter: fakeAdapter(), poolSize: 1, maxOverflow: 0 });
    await engine.connect();
    const error = await engine.connect({ timeout: 0.3 }).catch((error) => error);
    console.log(error.code);
    const failing = getDnsEngine("fake://db.internal/orders", {
      adapter: fakeAdapter(), dnsTimeout: 0.3, dnsFallback: false,
      dnsLookup: { name: "silent", lookup: () => new Promise(() => {}) },
    });
    console.log((await failing.connect().catch((error) => error)).code);
  `);
  assertEquals([code, out], [0, "POOL_TIMEOUT\nRESOLVE_FAILED"]);
});
