/**
 * The process of one lane: workers on one pool, and the result of each operation. Node or Deno runs it as a bundle. It
 * prints that it is ready, starts on "go", stops on "stop", and prints its report.
 *
 * @module
 */

import net from "node:net";
import process from "node:process";
import { createInterface } from "node:readline";
import { CLIENTS, type LaneClient } from "./clients.ts";
import {
  type LaneReport,
  type LaneTask,
  type OperationResult,
  READY,
  REPORT,
  WORKERS,
} from "./lanes.ts";

/** The pause of a worker after each operation. */
const THINK_MS = 5;

/** An operation that has not ended at this time after "stop" is reported without a result. */
const LAST_RESULT_MS = 300;

const SQL = {
  postgres: {
    read: "SELECT host(inet_server_addr()) AS server",
    write: "INSERT INTO drill (note) VALUES ('x') RETURNING host(inet_server_addr()) AS server",
  },
  mariadb: {
    read: "SELECT @@bind_address AS server",
    write: "INSERT INTO drill (note) VALUES ('x') RETURNING @@bind_address AS server",
  },
};

/** The errors of a read-only server: PostgreSQL, MariaDB. */
const READ_ONLY = new Set(["25006", "ER_OPTION_PREVENTS_STATEMENT", "1290"]);

const task = JSON.parse(process.argv[2]!) as LaneTask;
const sql = SQL[task.dialect];
const operations: [number, number, number][] = [];
const results: OperationResult[] = [];
const resultIndex = new Map<string, number>();
const dials: [number, string][] = [];
const uncaught = new Map<string, number>();
/** Whether operations no longer start. */
let stopping = false;
/** Whether results are no longer recorded. */
let stopped = false;

countDials();
// Uncaught errors of the pool are counted and must not end the lane.
process.on("uncaughtException", note);
process.on("unhandledRejection", note);

function note(error: unknown): void {
  const { error: text = "" } = failure(error);
  uncaught.set(text, (uncaught.get(text) ?? 0) + 1);
}

/** Records every TCP connect to the port of the database. */
function countDials(): void {
  type Connect = (this: net.Socket, ...args: unknown[]) => net.Socket;
  const proto = net.Socket.prototype as unknown as { connect: Connect };
  const { connect } = proto;
  proto.connect = function (...args) {
    // (port, host), (options), or [options, callback] if net.connect() has normalized them.
    const [first, second] = Array.isArray(args[0]) ? args[0] : args;
    const { port, host } = typeof first === "object" && first !== null
      ? first as { port?: unknown; host?: string }
      : { port: first, host: second as string };
    if (Number(port) === task.port) dials.push([Date.now(), String(host)]);
    return connect.apply(this, args);
  };
}

function indexOf(result: OperationResult): number {
  const key = JSON.stringify(result);
  const known = resultIndex.get(key);
  if (known !== undefined) return known;
  resultIndex.set(key, results.length);
  return results.push(result) - 1;
}

function failure(error: unknown): OperationResult {
  const { code, errno, message, cause } = error as Record<string, unknown>;
  const codes = [code, errno, (cause as { code?: unknown } | undefined)?.code].map(String);
  const readOnly = codes.some((each) => READ_ONLY.has(each));
  return { error: `${code ?? ""} ${message ?? error}`.trim().slice(0, 200), readOnly };
}

async function operate(client: LaneClient, text: string): Promise<void> {
  const startMs = Date.now();
  const operation: [number, number, number] = [startMs, -1, -1];
  operations.push(operation);
  let result: OperationResult;
  try {
    result = { server: await client.query(text) };
  } catch (error) {
    result = failure(error);
  }
  if (stopped) return;
  operation[1] = Date.now() - startMs;
  operation[2] = indexOf(result);
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const textOf = (turn: number) => task.work === "read" || turn % 2 ? sql.read : sql.write;

async function closedLoop(client: LaneClient, worker: number): Promise<void> {
  for (let turn = worker; !stopping; turn++) {
    await operate(client, textOf(turn));
    await pause(THINK_MS);
  }
}

async function openLoop(client: LaneClient, perSecond: number): Promise<void> {
  const beganMs = performance.now();
  for (let turn = 0; !stopping; turn++) {
    void operate(client, textOf(turn));
    const untilMs = beganMs + (turn + 1) * 1000 / perSecond;
    await pause(Math.max(0, untilMs - performance.now()));
  }
}

/** Runs a few queries per worker, so that every lane starts with open connections. */
async function warmUp(client: LaneClient): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    await Promise.all(Array.from({ length: WORKERS }, () => client.query(sql.read)));
  }
}

function sendReport(client: LaneClient): void {
  stopped = true;
  const report: LaneReport = {
    operations,
    results,
    dials,
    uncaught: [...uncaught],
    status: client.status?.(),
  };
  process.stdout.write(`${REPORT}${JSON.stringify(report)}\n`, () => process.exit(0));
}

async function main(): Promise<void> {
  const client = await CLIENTS[task.lane]!(task);
  await warmUp(client);
  console.log(READY);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "go" && task.perSecond) void openLoop(client, task.perSecond);
    else if (line === "go") { for (let w = 0; w < WORKERS; w++) void closedLoop(client, w); }
    if (line !== "stop") continue;
    stopping = true;
    setTimeout(() => sendReport(client), LAST_RESULT_MS);
  }
}

main().catch((error) => {
  console.error(task.lane, error);
  process.exit(1);
});
