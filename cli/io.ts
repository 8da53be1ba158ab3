/**
 * What a command has of the world: where it writes, and what tells it to stop.
 *
 * @module
 */

import process from "node:process";
import { type Paint, painter } from "./format.ts";

/** What a command writes to, and what ends it. */
export interface Io {
  /** Writes a line of the result. */
  out(line: string): void;
  /** Writes a line for people only. */
  err(line: string): void;
  /** Paints what goes to `out`. */
  readonly paint: Paint;
  /** A variable of the environment; `undefined` also where it may not be read. */
  env(name: string): string | undefined;
  /** Aborted when the command is to stop, with an {@linkcode Interrupted}. */
  readonly signal: AbortSignal;
}

/** The signals that stop a command, and the exit status after each. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

/** The command was told to stop. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";

  /** @param status The exit status, where stopping is no success. */
  constructor(readonly status: number) {
    super("Interrupted");
  }
}

/**
 * The process's own outputs, environment and signals.
 *
 * @param args The command line: `--no-color` in it counts before all else.
 * @returns The world, and a function that lets go of the signals.
 */
export function processIo(args: readonly string[]): { io: Io; release(): void } {
  const stop = new AbortController();
  const listeners = Object.entries(SIGNALS).map(([name, status]) => {
    const listener = () => {
      // Whoever asks twice does not want to wait for what is under way.
      if (stop.signal.aborted) process.exit(status);
      stop.abort(new Interrupted(status));
    };
    process.on(name, listener);
    return { name, listener };
  });
  // Nobody reads any more, as with "| head -n 1".
  const onError = () => stop.abort(new Interrupted(1));
  process.stdout.on("error", onError);
  const io: Io = {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
    paint: painter(wantsColour(args, env, process.stdout.isTTY === true)),
    env,
    signal: stop.signal,
  };
  const release = () => {
    for (const { name, listener } of listeners) process.removeListener(name, listener);
    process.stdout.removeListener("error", onError);
  };
  return { io, release };
}

/** Deno asks before it lets a variable be read, and may be told no. */
function env(name: string): string | undefined {
  try {
    return process.env[name];
  } catch {
    return undefined;
  }
}

/**
 * Whether to use colours: `--no-color` counts first, then FORCE_COLOR, then NO_COLOR (no-color.org), then whether a
 * terminal shows it.
 */
export function wantsColour(
  args: readonly string[],
  env: (name: string) => string | undefined,
  isTerminal: boolean,
): boolean {
  if (args.includes("--no-color")) return false;
  const forced = env("FORCE_COLOR");
  if (forced) return forced !== "0" && forced !== "false";
  return isTerminal && !env("NO_COLOR") && env("TERM") !== "dumb";
}
