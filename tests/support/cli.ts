/**
 * Runs the command line for tests: in this process with a fake context, or as a separate program on Deno or Node.
 *
 * @module
 */

import { painter } from "../../cli/format.ts";
import type { CommandContext } from "../../cli/context.ts";
import { run } from "../../cli/main.ts";
import { bundle } from "./bundle.ts";

const ROOT = new URL("../../", import.meta.url);

/** Timeout of a program, in milliseconds. */
const HANG_MS = 30_000;

/** The result of a command. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command in this process. */
export async function call(
  args: readonly string[],
  { env = {}, signal = new AbortController().signal }: {
    readonly env?: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
  } = {},
): Promise<Outcome> {
  const out: string[] = [];
  const err: string[] = [];
  const context: CommandContext = {
    out: (line) => void out.push(line),
    err: (line) => void err.push(line),
    paint: painter(false),
    env: (name) => env[name],
    signal,
  };
  const code = await run(args, context);
  return { code, out: out.join("\n"), err: err.join("\n") };
}

/** A runtime that runs the program. */
export interface Runtime {
  readonly name: "deno" | "node";
  /** The program and its first arguments. */
  readonly command: readonly string[];
  /** Removes its files. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Returns Deno, with the sources. */
export function onDeno(): Runtime {
  const flags = ["run", "-A", "--no-check", "--no-lock"];
  return {
    name: "deno",
    command: [Deno.execPath(), ...flags, new URL("cli.ts", ROOT).pathname],
    async [Symbol.asyncDispose]() {},
  };
}

/** Returns the Node of this machine, with a bundle and an installed driver. */
export async function onNode(): Promise<Runtime> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  const driver = `${dir}/node_modules/pg`;
  await Deno.mkdir(driver, { recursive: true });
  await Deno.writeTextFile(
    `${driver}/package.json`,
    JSON.stringify({ name: "pg", version: "8.23.0", type: "module", exports: "./index.mjs" }),
  );
  await bundle(new URL("cli/program.ts", ROOT).pathname, `${dir}/cli.mjs`);
  await bundle(new URL("tests/support/pg_driver.ts", ROOT).pathname, `${driver}/index.mjs`);
  return {
    name: "node",
    command: ["node", `${dir}/cli.mjs`],
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

/** A running program. */
export interface Running {
  /** Waits for the next line of its standard output. */
  line(): Promise<string>;
  /** Sends it a signal. */
  kill(signal: Deno.Signal): void;
  /** Waits for its end. */
  end(): Promise<Outcome>;
}

/** Starts the program. It gets only the indispensable variables of this process's environment. */
export function start(
  { command }: Runtime,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Running {
  const kept = ["PATH", "HOME", "DENO_DIR", "TMPDIR"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const [program = "", ...first] = command;
  const child = new Deno.Command(program, {
    args: [...first, ...args],
    clearEnv: true,
    env: { DENO_NO_UPDATE_CHECK: "1", ...Object.fromEntries(kept), ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(HANG_MS),
  }).spawn();
  const err = new Response(child.stderr).text();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let out = "";
  let at = 0;
  const more = async () => {
    const { done, value } = await reader.read();
    if (!done) out += value;
    return !done;
  };
  return {
    async line() {
      while (!out.includes("\n", at)) {
        if (!await more()) throw new Error(`The program ended: ${out}${await err}`);
      }
      const end = out.indexOf("\n", at);
      const line = out.slice(at, end);
      at = end + 1;
      return line;
    },
    kill: (signal) => child.kill(signal),
    async end() {
      while (await more());
      const { code } = await child.status;
      return { code, out, err: await err };
    },
  };
}

/** Runs the program to its end. */
export function runProgram(
  runtime: Runtime,
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<Outcome> {
  return start(runtime, args, env).end();
}
