/**
 * The process of one lane of the drill of Patroni. Node runs it as a bundle. It prints that it is ready, starts on "go",
 * stops on "stop", and prints its report.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { pause } from "../../lab/processes.ts";
import type { LaneClient } from "../failover/clients.ts";
import { READY, REPORT } from "../failover/lanes.ts";
import { type Call, PATRONI_LANES, type PatroniTask, THINK_MS, WORKERS } from "./lanes.ts";

const READ = "SELECT host(inet_server_addr()) AS server";

const task = JSON.parse(process.argv[2]!) as PatroniTask;
const lane = PATRONI_LANES.find(({ name }) => name === task.lane)!;
const calls: Call[] = [];
const open = new Map<number, number>();
let ids = 0;
let stopping = false;

// Errors that would end the process: they are none of the calls'.
process.on("uncaughtException", (error) => console.error(task.lane, "uncaught", error));
process.on("unhandledRejection", (error) => console.error(task.lane, "unhandled", error));

const writeText = (id: number) =>
  `INSERT INTO ledger VALUES ('${
    task.lane.replaceAll("'", "''")
  }', ${id}) RETURNING host(inet_server_addr()) AS server`;

async function call(client: LaneClient): Promise<void> {
  const id = ++ids;
  const startMs = Date.now();
  open.set(id, startMs);
  let result: { server: string } | { error: string };
  try {
    result = { server: await client.query(lane.reads ? READ : writeText(id)) };
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: string };
    result = { error: `${code ?? ""} ${message ?? error}`.trim().slice(0, 160) };
  }
  if (!open.delete(id)) return; // reported already
  calls.push({ id, startMs, endMs: Date.now(), ...result });
}

async function work(client: LaneClient): Promise<void> {
  while (!stopping) {
    await call(client);
    await pause(THINK_MS);
  }
}

const client = await lane.create(task);
await Promise.all(Array.from({ length: WORKERS }, () => client.query(READ)));
console.log(READY);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "go") { for (let worker = 0; worker < WORKERS; worker++) void work(client); }
  if (line !== "stop") continue;
  stopping = true;
  await pause(300);
  const endMs = Date.now();
  for (const [id, startMs] of open) calls.push({ id, startMs, endMs, error: "did not end" });
  open.clear();
  process.stdout.write(`${REPORT}${JSON.stringify(calls)}\n`, () => process.exit(0));
}
