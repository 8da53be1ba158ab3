/**
 * The environment of a command: its outputs, the variables that it may read, and the signal that stops it.
 *
 * @module
 */

import process from "node:process";
import { type Paint, painter } from "./format.ts";

/** The outputs, the environment and the signal of a command. */
export interface CommandContext {
  /** Writes a line of the result to standard output. */
  out(line: string): void;
  /** Writes a line to standard error. */
  err(line: string): void;
  /** Colors text for `out`. */
  readonly paint: Paint;
  /** Returns an environment variable; `undefined` also if it may not be read. */
  env(name: string): string | undefined;
  /** Aborted to stop the command, with an {@linkcode Interrupted}. */
  readonly signal: AbortSignal;
}

/** The signals that stop a command, and the exit status after each. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

/** The reason of a command that was stopped by a signal. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";

  /** @param status The exit status, unless the command succeeds by being stopped. */
  constructor(readonly status: number) {
    super("Interrupted");
  }
}

/**
 * Makes the context of the process.
 *
 * @param args The command line, for `--no-color`.
 * @returns The context, and a function that removes the listeners for signals.
 */
export function processContext(
  args: readonly string[],
): { context: CommandContext; release(): void } {
  const stop = new AbortController();
  const listeners = Object.entries(SIGNALS).map(([name, status]) => {
    const listener = () => {
      // After a second signal, the process exits at once.
      if (stop.signal.aborted) process.exit(status);
      stop.abort(new Interrupted(status));
    };
    process.on(name, listener);
    return { name, listener };
  });
  // The reader has closed standard output, as "| head -n 1" does.
  const onError = () => stop.abort(new Interrupted(1));
  process.stdout.on("error", onError);
  const context: CommandContext = {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
    paint: painter(wantsColor(args, env, process.stdout.isTTY === true)),
    env,
    signal: stop.signal,
  };
  const release = () => {
    for (const { name, listener } of listeners) process.removeListener(name, listener);
    process.stdout.removeListener("error", onError);
  };
  return { context, release };
}

/** Reads a variable. Deno asks for permission first, which may be denied. */
function env(name: string): string | undefined {
  try {
    return process.env[name];
  } catch {
    return undefined;
  }
}

/**
 * Returns whether to use colors: `--no-color` decides first, then FORCE_COLOR, then NO_COLOR (no-color.org), then
 * whether the output is a terminal.
 */
export function wantsColor(
  args: readonly string[],
  env: (name: string) => string | undefined,
  isTerminal: boolean,
): boolean {
  if (args.includes("--no-color")) return false;
  const forced = env("FORCE_COLOR");
  if (forced) return forced !== "0" && forced !== "false";
  return isTerminal && !env("NO_COLOR") && env("TERM") !== "dumb";
}
