/**
 * What the processes of the lanes of the drills of real stacks have in common. Node runs them as bundles: they print that they
 * are ready, start on "go", stop on "stop", and print their report.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { pause } from "../../lab/processes.ts";
import type { LaneClient } from "../failover/clients.ts";
import { READY, REPORT } from "../failover/lanes.ts";

/** Statements at a time of each lane. */
export const WORKERS = 4;
/** Milliseconds from the end of a statement to the next one of the same worker. */
export const THINK_MS = 80;

/** One statement. Times are as `Date.now()` returns them; `endMs` is that of the stop if it did not end. */
export interface Call {
  readonly id: number;
  readonly startMs: number;
  readonly endMs: number;
  /** The server that answered. */
  readonly server?: string;
  /** The error, or that it did not end. */
  readonly error?: string;
}

/** What a lane does. */
export interface LaneWork {
  /** Its name, for messages. */
  readonly name: string;
  readonly client: LaneClient;
  /** A statement that opens a connection and changes nothing. */
  readonly first: string;
  /** Returns the statement of a call; its result is the server that answered. */
  text(id: number): string;
}

/** Works until the drill says stop, and reports the calls. */
export async function runLane({ name, client, first, text }: LaneWork): Promise<void> {
  // Errors that would end the process: they are none of the calls'.
  process.on("uncaughtException", (error) => console.error(name, "uncaught", error));
  process.on("unhandledRejection", (error) => console.error(name, "unhandled", error));
  const calls: Call[] = [];
  const open = new Map<number, number>();
  let ids = 0;
  let stopping = false;

  const call = async () => {
    const id = ++ids;
    const startMs = Date.now();
    open.set(id, startMs);
    let result: { server: string } | { error: string };
    try {
      result = { server: await client.query(text(id)) };
    } catch (error) {
      const { code, message } = error as { code?: unknown; message?: string };
      // Some drivers' messages have the number of the connection, and the statement in further lines.
      const text = `${code ?? ""} ${message ?? error}`.trim().replace(/\(conn:\d+, /, "(");
      result = { error: text.split("\n")[0]!.slice(0, 160) };
    }
    if (open.delete(id)) calls.push({ id, startMs, endMs: Date.now(), ...result });
  };
  const work = async () => {
    while (!stopping) {
      await call();
      await pause(THINK_MS);
    }
  };

  await Promise.all(Array.from({ length: WORKERS }, () => client.query(first)));
  console.log(READY);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "go") { for (let worker = 0; worker < WORKERS; worker++) void work(); }
    if (line !== "stop") continue;
    stopping = true;
    await pause(300);
    const endMs = Date.now();
    for (const [id, startMs] of open) calls.push({ id, startMs, endMs, error: "did not end" });
    open.clear();
    process.stdout.write(`${REPORT}${JSON.stringify(calls)}\n`, () => process.exit(0));
  }
}
