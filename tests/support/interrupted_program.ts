/**
 * A program that works on a database until Ctrl-C and then closes its engine. Tests start it on Deno and on Node.
 *
 * @module
 */

import process from "node:process";
// @ts-types="npm:@types/pg@^8"
import pg from "npm:pg@^8.23";
import { pgAdapter } from "../../adapters/pg.ts";
import { getDnsEngine } from "../../mod.ts";
import { Lag } from "./lag.ts";

const [url = "", drain = "1"] = process.argv.slice(2);
const WORKERS = 8;

const engine = getDnsEngine(url, {
  adapter: pgAdapter(pg),
  poolSize: 4,
  maxOverflow: 0,
  connectTimeout: 2,
});
const errors: Record<string, number> = {};
let over = false;

async function attempt(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    errors[code ?? message] = (errors[code ?? message] ?? 0) + 1;
  }
}

async function work(): Promise<void> {
  while (!over) await attempt(engine.begin(({ client }) => client.query("SELECT pg_sleep(0.005)")));
}

process.once("SIGINT", async () => {
  over = true;
  const lag = new Lag(); // no `using`: Node 20 does not know it
  const startMs = performance.now();
  await engine.close({ drain: Number(drain) });
  const seconds = (performance.now() - startMs) / 1000;
  await Promise.all(running);
  const { opened, closed } = engine.status();
  const lagSeconds = lag.limit(0) / 1000;
  lag[Symbol.dispose]();
  console.log(JSON.stringify({ seconds, errors, left: opened - closed, lagSeconds }));
});

const running = [
  attempt(engine.query("SELECT pg_sleep(100)")),
  ...Array.from({ length: WORKERS }, work),
];
const ready = setInterval(() => {
  if (engine.status().inUse < 4) return;
  clearInterval(ready);
  console.log("ready");
}, 10);
