/**
 * Runs Deno from the scripts.
 *
 * @module
 */

/** The repository. */
export const ROOT = new URL("../../", import.meta.url);

/** Runs `deno` with `args` in the repository, its output on ours; resolves with the exit code. */
export async function deno(args: string[]): Promise<number> {
  // Ctrl-C reaches the child as well; we stay, to clean up after it.
  const stay = () => {};
  Deno.addSignalListener("SIGINT", stay);
  try {
    const child = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdin: "inherit" }).spawn();
    return (await child.status).code;
  } finally {
    Deno.removeSignalListener("SIGINT", stay);
  }
}

/**
 * Runs `deno` with `args` and a copy of deno.lock: versions and checksums hold, but what this run resolves beside them
 * (the `@std` modules of JSR, what belongs to another system) is not written into the repository.
 */
export async function denoWithLockCopy(args: string[]): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    await Deno.copyFile(new URL("deno.lock", ROOT), `${dir}/deno.lock`);
    const [subcommand = "", ...rest] = args;
    return await deno([subcommand, `--lock=${dir}/deno.lock`, ...rest]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
