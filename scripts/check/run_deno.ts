/**
 * Runs Deno from the scripts.
 *
 * @module
 */

/** The repository. */
export const ROOT = new URL("../../", import.meta.url);

/**
 * Runs `deno` in the repository, with its output on that of this process.
 *
 * @param args The command line.
 * @param env Variables to set besides those of this process.
 * @returns The exit code.
 */
export async function deno(args: string[], env: Record<string, string> = {}): Promise<number> {
  // Ctrl-C reaches the child as well; this process stays, to clean up after it.
  const stay = () => {};
  Deno.addSignalListener("SIGINT", stay);
  try {
    const command = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, env, stdin: "inherit" });
    return (await command.spawn().status).code;
  } finally {
    Deno.removeSignalListener("SIGINT", stay);
  }
}

/**
 * Runs `deno` with a copy of deno.lock: versions and checksums hold, but what this run resolves besides them (the `@std`
 * modules of JSR, packages for another system) is not written into the repository.
 *
 * @param args The command line, which begins with a subcommand.
 * @param env Variables to set besides those of this process.
 * @returns The exit code.
 */
export async function denoWithLockCopy(
  args: string[],
  env?: Record<string, string>,
): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "dnspool-" });
  try {
    await Deno.copyFile(new URL("deno.lock", ROOT), `${dir}/deno.lock`);
    const [subcommand = "", ...rest] = args;
    return await deno([subcommand, `--lock=${dir}/deno.lock`, ...rest], env);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
