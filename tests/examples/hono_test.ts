/** examples/hono.ts as a service of its own, on real servers whose name moves; on Deno and on Node. */

import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import type { PostgresServer } from "../../lab/postgres.ts";
import { DnsServer } from "../../testing/mod.ts";
import { bundle } from "../support/bundle.ts";
import { type ServerPair, startPair } from "../support/drop_in_failover.ts";
import { adminOf, POSTGRES_EXAMPLE, startOrders } from "../support/example_postgres.ts";
import { pause, soon, until } from "../support/waiting.ts";
import { Lag } from "../support/lag.ts";

const EXAMPLE = "examples/hono.ts";
const NAME = "db.internal";
/** The first start fetches what the example imports. */
const PATIENCE_MS = 60_000;

/** The example in a process of its own. */
interface Service {
  readonly origin: string;
  readonly ended: Promise<number>;
  get(path: string): Promise<{ status: number; text: string }>;
  order(): Promise<{ status: number; text: string }>;
  terminate(): unknown;
}

/** The service and its servers. */
interface Lab extends ServerPair<PostgresServer> {
  readonly dns: DnsServer;
  readonly service: Service;
}

async function startService(
  command: readonly string[],
  env: Record<string, string>,
): Promise<Service> {
  const [program, ...args] = command as [string, ...string[]];
  const child = new Deno.Command(program, {
    args,
    cwd: new URL("../../", import.meta.url),
    env: { HOST: "127.0.0.1", PORT: "0", NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const limit = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  const said = { out: "", err: "" };
  const hear = async (stream: ReadableStream<Uint8Array>, to: "out" | "err") => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) said[to] += text;
  };
  const heard = Promise.all([hear(child.stdout, "out"), hear(child.stderr, "err")]);
  const ended = child.status.then(async ({ code }) => {
    clearTimeout(limit);
    await heard;
    return code;
  });
  let over = false;
  ended.then(() => over = true);
  while (!said.out.includes("\n") && !over) await pause(20);
  const [, origin] = /^(http:\/\/127\.0\.0\.1:\d+)$/m.exec(said.out) ?? [];
  assert(origin, said.err);
  const ask = async (path: string, method: string) => {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const response = await fetch(origin + path, { method, signal });
    return { status: response.status, text: await response.text() };
  };
  return {
    origin,
    ended,
    get: (path) => ask(path, "GET"),
    order: () => ask("/orders/42", "POST"),
    terminate: () => over || child.kill("SIGTERM"),
  };
}

async function startServers(): Promise<ServerPair<PostgresServer>> {
  const text = await Deno.readTextFile(new URL(`../../${EXAMPLE}`, import.meta.url));
  const [table = ""] = POSTGRES_EXAMPLE.table.exec(text) ?? [];
  return await startPair(async (where) => {
    const server = await startOrders(where);
    const admin = await adminOf(server);
    await admin.rows(table);
    await admin.end();
    return server;
  });
}

async function inLab(
  pair: ServerPair<PostgresServer>,
  { command, env = {} }: { command: readonly string[]; env?: Record<string, string> },
  body: (lab: Lab) => Promise<void>,
): Promise<void> {
  await using dns = await DnsServer.start({ ttl: 0 });
  dns.set(NAME, [pair.first.host]);
  const DATABASE_URL = pair.first.url(NAME);
  const service = await startService(command, { DATABASE_URL, DNS_SERVERS: dns.address, ...env });
  try {
    await body({ ...pair, dns, service });
  } finally {
    service.terminate();
    await service.ended;
  }
}

/** Keeps the orders of a server to itself, until the returned function is called. */
async function hold(server: PostgresServer): Promise<() => Promise<unknown>> {
  const admin = await adminOf(server);
  await admin.rows("BEGIN");
  await admin.rows("LOCK TABLE orders");
  return () => admin.end();
}

/** Begins an order that waits for the lock. */
async function beginOrder(service: Service, server: PostgresServer) {
  const ordered = service.order();
  const admin = await adminOf(server);
  const running = POSTGRES_EXAMPLE.dialect.running("INTO orders");
  await until(async () => (await admin.rows(running)).length > 0, "the order");
  await admin.end();
  return { ordered };
}

let pair: ServerPair<PostgresServer>;
let dir: string;
Deno.test.beforeAll(async () => {
  pair = await startServers();
  dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  await bundle(EXAMPLE, `${dir}/hono.mjs`);
});
Deno.test.afterAll(async () => {
  await pair?.stop();
  if (dir) await Deno.remove(dir, { recursive: true });
});

const RUNTIMES: Record<string, () => string[]> = {
  Deno: () => [Deno.execPath(), "run", "-A", "--no-lock", "--config=deno.json", EXAMPLE],
  Node: () => ["node", `${dir}/hono.mjs`],
};

for (const [runtime, command] of Object.entries(RUNTIMES)) {
  const test = (
    what: string,
    body: (lab: Lab) => Promise<void>,
    env: Record<string, string> = {},
  ) =>
    Deno.test(
      `${EXAMPLE} on ${runtime} ${what}`,
      () => inLab(pair, { command: command(), env }, body),
    );

  test("follows the name without a lost request", async (lab) => {
    const { service, dns, first, second } = lab;
    const answers: { status: number; text: string }[] = [];
    let over = false;
    const working = Array.from({ length: 2 }, async () => {
      while (!over) answers.push(await service.order());
    });
    await until(() => answers.length > 5, "answers before the move");
    dns.set(NAME, [second.host]);
    // As long as an answer counts at least (`dnsMinTtl`), and some more.
    await pause(500);
    const before = answers.length;
    const next = await service.order();
    await until(() => answers.length > before + 5, "answers after the move");
    over = true;
    await Promise.all(working);
    const addresses = [...answers, next].map(({ status, text }) => {
      assertEquals(status, 201, text);
      return JSON.parse(text).address;
    });
    assertEquals(addresses[0], first.host);
    assertEquals(addresses.at(-1), second.host);
    // Two were under way when it was asked.
    assertEquals(new Set(addresses.slice(before + 2)), new Set([second.host]));
  });

  // It stops a server, and so has servers of its own.
  Deno.test(`${EXAMPLE} on ${runtime} is ready while the database is there, and alive all the time`, async () => {
    const mortal = await startServers();
    try {
      await inLab(mortal, { command: command() }, readiness);
    } finally {
      await mortal.stop();
    }
  });

  test("ends when its requests have", async ({ service, first }) => {
    const { hostname, port } = new URL(service.origin);
    using _unused = await Deno.connect({ hostname, port: Number(port) }); // as clients do that expect to need it
    const release = await hold(first);
    const { ordered } = await beginOrder(service, first);
    service.terminate();
    await until(() =>
      Deno.connect({ hostname, port: Number(port) }).then(
        (conn) => conn.close() ?? false,
        () => true,
      )
    );
    await release();
    const { status, text } = await soon(ordered);
    assertEquals([status, JSON.parse(text).address], [201, first.host]);
    assertEquals(await soon(service.ended), 0);
    await assertRejects(() => fetch(service.origin), TypeError);
  });

  test("waits for them no longer than it may", async ({ service, first }) => {
    const release = await hold(first);
    const { ordered } = await beginOrder(service, first);
    using lag = new Lag();
    const sinceMs = performance.now();
    service.terminate();
    assertEquals(await soon(ordered), { status: 500, text: "failed" });
    assertEquals(await soon(service.ended), 0);
    assertLess(performance.now() - sinceMs, lag.limit(5000));
    await release();
  }, { DRAIN: "0.5" });
}

async function readiness({ service, first }: Lab): Promise<void> {
  const ready = async () => (await service.get("/readyz")).status === 200;
  assertEquals(await service.get("/readyz"), { status: 200, text: "ready" });
  await first.freeze();
  const silent = await service.get("/readyz");
  const { host, inUse } = JSON.parse(silent.text);
  assertEquals([silent.status, host, inUse], [503, NAME, 0]);
  assertEquals(await service.get("/healthz"), { status: 200, text: "alive" });
  await first.thaw();
  await until(ready, "readiness after the thaw");
  await first.stop({ keep: true });
  assertEquals((await service.get("/readyz")).status, 503);
  assertEquals(await service.get("/healthz"), { status: 200, text: "alive" });
  await first.start();
  await until(ready, "readiness after the start");
  assertEquals((await service.order()).status, 201);
}
