/**
 * The process of one lane: workers on one pool, and a note of what became of each operation. Bundled, and run by Node
 * or Deno. It says when it is ready, begins at "go", ends at "stop", and reports.
 *
 * @module
 */

import net from "node:net";
import process from "node:process";
import { createInterface } from "node:readline";
import { CLIENTS, type LaneClient } from "./clients.ts";
import {
  type LaneOrders,
  type LaneReport,
  type OperationEnd,
  READY,
  REPORT,
  WORKERS,
} from "./lanes.ts";

/** How long each worker rests after an operation. */
const THINK_MS = 5;

/** An operation that has no end so long after "stop" is reported without one. */
const PATIENCE_MS = 300;

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

/** What a server says that takes no writes: PostgreSQL, MariaDB. */
const READ_ONLY = new Set(["25006", "ER_OPTION_PREVENTS_STATEMENT", "1290"]);

const orders = JSON.parse(process.argv[2]!) as LaneOrders;
const sql = SQL[orders.dialect];
const operations: [number, number, number][] = [];
const ends: OperationEnd[] = [];
const endIndex = new Map<string, number>();
const dials: [number, string][] = [];
const uncaught = new Map<string, number>();
/** No operation begins any more. */
let stopping = false;
/** No end counts any more. */
let stopped = false;

countDials();
// A lane goes on whatever its pool throws about: that is for the operations to show.
process.on("uncaughtException", note);
process.on("unhandledRejection", note);

function note(error: unknown): void {
  const { error: text = "" } = failure(error);
  uncaught.set(text, (uncaught.get(text) ?? 0) + 1);
}

/** Notes every TCP connection to the database's port, whoever opens it. */
function countDials(): void {
  type Connect = (this: net.Socket, ...args: unknown[]) => net.Socket;
  const proto = net.Socket.prototype as unknown as { connect: Connect };
  const { connect } = proto;
  proto.connect = function (...args) {
    // (port, host), (options), or what net.connect() has made of either: [options, callback].
    const [first, second] = Array.isArray(args[0]) ? args[0] : args;
    const { port, host } = typeof first === "object" && first !== null
      ? first as { port?: unknown; host?: string }
      : { port: first, host: second as string };
    if (Number(port) === orders.port) dials.push([Date.now(), String(host)]);
    return connect.apply(this, args);
  };
}

function indexOf(end: OperationEnd): number {
  const key = JSON.stringify(end);
  const known = endIndex.get(key);
  if (known !== undefined) return known;
  endIndex.set(key, ends.length);
  return ends.push(end) - 1;
}

function failure(error: unknown): OperationEnd {
  const { code, errno, message, cause } = error as Record<string, unknown>;
  const codes = [code, errno, (cause as { code?: unknown } | undefined)?.code].map(String);
  const readOnly = codes.some((each) => READ_ONLY.has(each));
  return { error: `${code ?? ""} ${message ?? error}`.trim().slice(0, 200), readOnly };
}

async function operate(client: LaneClient, text: string): Promise<void> {
  const startMs = Date.now();
  const operation: [number, number, number] = [startMs, -1, -1];
  operations.push(operation);
  let end: OperationEnd;
  try {
    end = { server: await client.ask(text) };
  } catch (error) {
    end = failure(error);
  }
  if (stopped) return;
  operation[1] = Date.now() - startMs;
  operation[2] = indexOf(end);
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const textOf = (turn: number) => orders.work === "read" || turn % 2 ? sql.read : sql.write;

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

/** All workers get through once, so that every lane begins with its connections open. */
async function warmUp(client: LaneClient): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    await Promise.all(Array.from({ length: WORKERS }, () => client.ask(sql.read)));
  }
}

function report(client: LaneClient): void {
  stopped = true;
  const result: LaneReport = {
    operations,
    ends,
    dials,
    uncaught: [...uncaught],
    status: client.status?.(),
  };
  process.stdout.write(`${REPORT}${JSON.stringify(result)}\n`, () => process.exit(0));
}

async function main(): Promise<void> {
  const client = await CLIENTS[orders.lane]!(orders);
  await warmUp(client);
  console.log(READY);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "go" && orders.perSecond) void openLoop(client, orders.perSecond);
    else if (line === "go") { for (let w = 0; w < WORKERS; w++) void closedLoop(client, w); }
    if (line !== "stop") continue;
    stopping = true;
    setTimeout(() => report(client), PATIENCE_MS);
  }
}

main().catch((error) => {
  console.error(orders.lane, error);
  process.exit(1);
});
