/**
 * Programs in a process of their own, for what concerns the whole process: whether it ends, and of what.
 *
 * @module
 */

/** What became of it. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly seconds: number;
}

/**
 * Runs a program on Deno; it is stopped after 15 seconds.
 *
 * @param program Its source; `root` in it is replaced by the repository's URL.
 * @returns What became of it.
 */
export async function runProgram(program: string): Promise<Outcome> {
  const root = new URL("../", import.meta.url);
  const startMs = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--no-lock", "--config", "deno.json", "-"],
    cwd: root,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(15_000),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program.replaceAll("root/", root.href)));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  const seconds = (performance.now() - startMs) / 1000;
  return { code, out: text(stdout), err: text(stderr), seconds };
}
