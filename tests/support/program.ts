/**
 * Programs in a process of their own, for tests about the whole process: whether it exits, and why.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

/** Milliseconds after which the program is stopped. */
const LIMIT_MS = 30_000;

/** The outcome of a program. */
export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  readonly seconds: number;
}

/** The directory of the sources. On other runtimes scripts/test/runtimes/bundle.ts puts them beside the bundle, as JavaScript. */
const BUNDLED = !import.meta.url.endsWith(".ts");
const ROOT = new URL(BUNDLED ? "package/" : "../../", import.meta.url);

const { deno, bun } = process.versions as Partial<Record<string, string>>;

/** Returns the arguments with which this runtime runs its standard input as a module. */
function argsFor(): string[] {
  if (bun) return ["run", "-"];
  if (!deno) return ["--input-type=module", "-"];
  return [
    "run",
    "-A",
    "--no-check",
    "--no-lock",
    BUNDLED ? "--no-config" : "--config=deno.json",
    "-",
  ];
}

/** Returns a program in the form that this runtime takes. */
function sourceOf(program: string): string {
  const local = program.replaceAll(
    /"root\/([\w/]+)\.ts"/g,
    (_, path) => JSON.stringify(new URL(`${path}.${BUNDLED ? "js" : "ts"}`, ROOT)),
  );
  // A runtime without `npm:` finds the packages installed.
  return deno ? local : local.replaceAll(/"npm:(@?[^@"]+)@[^/"]*/g, '"$1');
}

/**
 * Runs a program on this runtime; it is stopped after 30 seconds.
 *
 * @param program Its source, as a module in JavaScript. `"root/mod.ts"` is the module of the repository; imports from npm
 * are written as for Deno.
 * @param env Variables of its environment, beside those of this process.
 * @returns Its outcome.
 */
export async function runProgram(
  program: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const startMs = performance.now();
  const child = spawn(process.execPath, argsFor(), {
    cwd: fileURLToPath(ROOT),
    env: { ...process.env, NO_COLOR: "1", ...env },
    signal: AbortSignal.timeout(LIMIT_MS),
  });
  child.on("error", () => {}); // of the signal: the exit code tells
  child.stdin.on("error", () => {}); // a program that fails early does not read to the end
  const exit = once(child, "exit");
  child.stdin.end(sourceOf(program));
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exit as [number | null];
  const seconds = (performance.now() - startMs) / 1000;
  return { code, out: out.trim(), err: err.trim(), seconds };
}
