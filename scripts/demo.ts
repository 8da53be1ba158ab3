/**
 * A live failover: `deno task demo`. See {@linkcode HELP}.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { runDemo } from "./demo/run.ts";
import { complaints, toJson, words } from "./demo/summary.ts";
import { Terminal } from "./demo/terminal.ts";

const HELP = `A live failover on two real PostgreSQL servers.

  deno task demo [--json]

Two PostgreSQL servers start on this machine (their programs come from npm),
and a DNS server that says "db.internal" is the first, TTL 1 second. Eight
workers insert rows through dnspool, and eight through an ordinary pg.Pool that
looks the name up at each connect. After 3 seconds the record moves to the
second server; the first stays up, as in a planned switchover. After 8 seconds
all is stopped and removed.

  --json      the result as one JSON object, on the last line
  -h, --help  this text

Colours are left out where NO_COLOR is set; where the output is no terminal,
plain lines take the picture's place.

Exit status: 0; 1 if any query of dnspool's was misrouted or failed, a row was
lost, not all queries reached the new server, or the demo could not run; 2 if
the command line is wrong; 130 after Ctrl-C.`;

/** The signals that end the demo early, and the exit status after each. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** The demo was told to stop. */
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
      // The same Ctrl-C comes twice, from the terminal and from "deno task"; a later one means "at once".
      if (performance.now() - stoppedAt > 1000) {
        terminal.close();
        process.exit(status);
      }
      stoppedAt = Math.min(stoppedAt, performance.now());
      stop.abort(new Interrupted(status));
    });
  }
  process.stdout.on("error", () => stop.abort(new Interrupted(1))); // nobody reads any more
  try {
    const { result, errors } = await runDemo(terminal, stop.signal);
    terminal.line();
    for (const line of words(result, errors)) terminal.line(line);
    if (json) terminal.line(toJson(result));
    return complaints(result).length > 0 ? 1 : 0;
  } catch (error) {
    if (error instanceof Interrupted) {
      terminal.close();
      terminal.line("Stopped early: both servers are stopped, and their data removed.");
      process.exit(error.status); // whatever was under way, such as a download, is not waited for
    }
    console.error("The demo could not run:", error);
    return 1;
  } finally {
    terminal.close();
  }
}

// Nothing is left running, so the process ends by itself.
process.exitCode = await main(process.argv.slice(2));
