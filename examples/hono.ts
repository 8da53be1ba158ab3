/**
 * A web service with Hono: routes on the database, what a platform asks of a service (is it alive, is it ready), and an
 * end without a lost request. It runs on Deno and Node alike.
 *
 * It works on a table of yours: `CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL)`.
 *
 *     DATABASE_URL=postgresql://app:secret@db.internal/orders deno run -A examples/hono.ts
 */

import { DnsPoolError, getDnsEngine } from "@dnspool/dnspool";
import { pgAdapter } from "@dnspool/dnspool/adapters/pg";
import type { Server } from "node:http";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "npm:@hono/node-server@^2";
import { Hono } from "npm:hono@^4";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";

const { DATABASE_URL = "", DNS_SERVERS, HOST = "0.0.0.0", PORT = "8000" } = process.env;
/** Seconds for requests under way at the end: fewer than the platform waits before it kills (Kubernetes: 30). */
const { DRAIN = "20" } = process.env;

const engine = getDnsEngine(DATABASE_URL, {
  adapter: pgAdapter(pg),
  poolTimeout: 5, // a request that waits for longer is better told so
  ...(DNS_SERVERS && { dnsNameservers: DNS_SERVERS.split(",") }), // default: the system's
});
engine.addEventListener("addresschange", ({ detail }) => console.log("moved to", detail.addresses));

const app = new Hono();

app.post("/orders/:customer{[0-9]+}", async (c) => {
  const text = "INSERT INTO orders (customer) VALUES ($1) RETURNING id";
  const order = await engine.begin(async ({ client, address }) => {
    const { rows } = await client.query<{ id: number }>(text, [c.req.param("customer")]);
    return { ...rows[0], address };
  });
  return c.json(order, 201);
});

/** Alive: it answers. Not a word about the database, which no restart of this process would mend. */
app.get("/healthz", (c) => c.text("alive"));

/** Ready: the database answers within a second. */
app.get("/readyz", async (c) => {
  const signal = AbortSignal.timeout(1000);
  try {
    await engine.use(async (lease) => {
      // The signal of `use` ends the wait for a connection; one that hangs is closed, and nobody is given it.
      signal.addEventListener("abort", () => lease.invalidate(signal.reason));
      await lease.client.query("SELECT 1");
    }, { signal });
    return c.text("ready");
  } catch {
    return c.json(engine.status(), 503);
  }
});

app.onError((error, c) => {
  console.error(error);
  // Of all errors of the pool, this one alone leaves it open whether the work was done.
  const done = !(error instanceof DnsPoolError) || error.code === "CONNECTION_LOST";
  return done ? c.text("failed", 500) : c.text("no database", 503, { "Retry-After": "1" });
});

const where = { hostname: HOST, port: Number(PORT) };
const server = serve({ fetch: app.fetch, ...where }, ({ address, port }) => {
  console.log(`http://${address}:${port}`);
}) as Server;
let active = 0;
server.on("request", (_, response) => {
  active++;
  response.once("close", () => active--);
});

async function idle(seconds: number): Promise<void> {
  const endMs = Date.now() + seconds * 1000;
  while (active > 0 && Date.now() < endMs) await sleep(20);
}

/** Kubernetes: requests still come for a moment, until everybody has heard of the end; let a `preStop` sleep so long. */
async function end(): Promise<void> {
  server.close(); // no new connections
  await idle(Number(DRAIN));
  await engine.close({ drain: 0 }); // whoever still has a connection had his time,
  await idle(1); // and is told so
  server.closeAllConnections(); // some clients open one and never use it: `close()` would wait for those
}
process.once("SIGTERM", end).once("SIGINT", end);
