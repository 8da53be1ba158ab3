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

/** The error of a call that did not end. */
export const UNFINISHED = "did not end";

/** One statement. Times are as `Date.now()` returns them; `endMs` is that of the stop if it did not end. */
export interface Call {
  readonly id: number;
  readonly startMs: number;
  readonly endMs: number;
  /** The server that answered. */
  readonly server?: string;
  /** The error, or that it did not end. */
  readonly error?: string;
  /** The name of the long work beside the statements that it is, if it is any. */
  readonly long?: string;
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
  /** Long work beside the statements by its name, each repeated by a worker of its own. Default: none. */
  readonly long?: Readonly<Record<string, (id: number) => Promise<string>>>;
}

/** Works until the drill says stop, and reports the calls. */
export async function runLane({ name, client, first, text, long = {} }: LaneWork): Promise<void> {
  // Errors that would end the process: they are none of the calls'.
  process.on("uncaughtException", (error) => console.error(name, "uncaught", error));
  process.on("unhandledRejection", (error) => console.error(name, "unhandled", error));
  const calls: Call[] = [];
  const open = new Map<number, Pick<Call, "startMs" | "long">>();
  let ids = 0;
  let stopping = false;

  const call = async (run: (id: number) => Promise<string>, kind: Pick<Call, "long">) => {
    const id = ++ids;
    const begun = { startMs: Date.now(), ...kind };
    open.set(id, begun);
    let result: { server: string } | { error: string };
    try {
      result = { server: await run(id) };
    } catch (error) {
      const { code, message } = error as { code?: unknown; message?: string };
      // Some drivers' messages have the number of the connection, and the statement in further lines.
      const text = `${code ?? ""} ${message ?? error}`.trim().replace(/\(conn:\d+, /, "(");
      result = { error: text.split("\n")[0]!.slice(0, 160) };
    }
    if (open.delete(id)) calls.push({ id, ...begun, endMs: Date.now(), ...result });
  };
  const work = async (run: (id: number) => Promise<string>, kind: Pick<Call, "long"> = {}) => {
    while (!stopping) {
      await call(run, kind);
      await pause(THINK_MS);
    }
  };

  await Promise.all(Array.from({ length: WORKERS }, () => client.query(first)));
  console.log(READY);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "go") {
      for (let worker = 0; worker < WORKERS; worker++) void work((id) => client.query(text(id)));
      for (const [name, run] of Object.entries(long)) void work(run, { long: name });
    }
    if (line !== "stop") continue;
    stopping = true;
    await pause(1000); // transactions end
    const endMs = Date.now();
    for (const [id, begun] of open) calls.push({ id, ...begun, endMs, error: UNFINISHED });
    open.clear();
    process.stdout.write(`${REPORT}${JSON.stringify(calls)}\n`, () => process.exit(0));
  }
}
