/**
 * A live failover: `deno task demo`. See {@linkcode HELP}.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { runDemo } from "./run.ts";
import { describe, toJson, violations } from "./summary.ts";
import { Terminal } from "./terminal.ts";

const HELP = `A live failover on two real PostgreSQL servers.

  deno task demo [--json]

Two PostgreSQL servers start on this machine (their programs come from npm),
and a DNS server that answers "db.internal" with the address of the first, TTL
1 second. Eight workers insert rows through dnspool, and eight through an
ordinary pg.Pool that looks the name up at each connect. After 3 seconds the
record moves to the second server; the first stays up, as in a planned
switchover. After 8 seconds everything is stopped and removed.

  --json      print the result as one JSON object, on the last line
  -h, --help  print this text

Set NO_COLOR to omit the colors. If the output is not a terminal, plain lines
replace the picture.

Exit status: 0; 1 if a query of dnspool was misrouted or failed, a row was lost,
the queries did not all reach the new server, or the demo could not run; 2 if
the command line is wrong; 130 after Ctrl-C.`;

/** The signals that end the demo early, and the exit status after each. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** A signal ended the demo. */
class Interrupted extends Error {
  constructor(readonly status: number) {
    super("Interrupted");
  }
}

function readArgs(args: string[]): { json: boolean; help: boolean } {
  const { values } = parseArgs({
    args,
    options: { json: { type: "boolean" }, help: { type: "boolean", short: "h" } },
  });
  return { json: values.json ?? false, help: values.help ?? false };
}

/** Runs the demo, and returns the exit status. */
async function main(args: string[]): Promise<number> {
  let json: boolean;
  try {
    const read = readArgs(args);
    if (read.help) {
      console.log(HELP);
      return 0;
    }
    json = read.json;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${HELP}`);
    return 2;
  }

  const terminal = new Terminal();
  const stop = new AbortController();
  let stoppedAt = Infinity;
  for (const [name, status] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      // One Ctrl-C arrives twice, from the terminal and from "deno task". Only a later one ends the process at once.
      if (performance.now() - stoppedAt > 1000) {
        terminal.close();
        process.exit(status);
      }
      stoppedAt = Math.min(stoppedAt, performance.now());
      stop.abort(new Interrupted(status));
    });
  }
  process.stdout.on("error", () => stop.abort(new Interrupted(1))); // the reader is gone
  try {
    const { result, errors } = await runDemo(terminal, stop.signal);
    terminal.line();
    for (const line of describe(result, errors)) terminal.line(line);
    if (json) terminal.line(toJson(result));
    return violations(result).length > 0 ? 1 : 0;
  } catch (error) {
    if (error instanceof Interrupted) {
      terminal.close();
      terminal.line("Stopped early: both servers are stopped, and their data removed.");
      process.exit(error.status); // without waiting for pending work, such as a download
    }
    console.error("The demo could not run:", error);
    return 1;
  } finally {
    terminal.close();
  }
}

// Nothing keeps the process alive.
process.exitCode = await main(process.argv.slice(2));
