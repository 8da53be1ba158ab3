/**
 * A web service with Hono: routes that use the database, liveness and readiness probes, and a shutdown that loses no
 * request. It runs on Deno and Node.
 *
 * It needs this table: `CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL)`.
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
/** Seconds for running requests at shutdown: fewer than the platform waits before it kills (Kubernetes: 30). */
const { DRAIN = "20" } = process.env;

const engine = getDnsEngine(DATABASE_URL, {
  adapter: pgAdapter(pg),
  poolTimeout: 5, // a request that waits longer fails
  ...(DNS_SERVERS && { dnsNameservers: DNS_SERVERS.split(",") }), // by default the nameservers of the system
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

/** Liveness: the process answers. It ignores the database, because a restart would not repair it. */
app.get("/healthz", (c) => c.text("alive"));

/** Readiness: the database answers within a second. */
app.get("/readyz", async (c) => {
  const signal = AbortSignal.timeout(1000);
  try {
    await engine.use(async (lease) => {
      // The signal of `use` only ends the wait for a connection. A connection that hangs must not be reused.
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
  // Only "CONNECTION_LOST" leaves open whether the statement was executed. After any other error of the pool it was not.
  const maybeDone = !(error instanceof DnsPoolError) || error.code === "CONNECTION_LOST";
  return maybeDone ? c.text("failed", 500) : c.text("no database", 503, { "Retry-After": "1" });
});

const listen = { hostname: HOST, port: Number(PORT) };
const server = serve({ fetch: app.fetch, ...listen }, ({ address, port }) => {
  console.log(`http://${address}:${port}`);
}) as Server;
let active = 0;
server.on("request", (_, response) => {
  active++;
  response.once("close", () => active--);
});

async function waitForRequests(seconds: number): Promise<void> {
  const endMs = Date.now() + seconds * 1000;
  while (active > 0 && Date.now() < endMs) await sleep(20);
}

/** In Kubernetes, requests arrive until all proxies know that the pod ends; let a `preStop` hook sleep for that time. */
async function shutDown(): Promise<void> {
  server.close(); // no new connections
  await waitForRequests(Number(DRAIN));
  await engine.close({ drain: 0 }); // terminates the connections still in use
  await waitForRequests(1); // for the error responses
  server.closeAllConnections(); // some clients keep an unused connection open, for which `close()` waits
}
process.once("SIGTERM", shutDown).once("SIGINT", shutDown);
