/**
 * Sources as one file that Node reads.
 *
 * @module
 */

/** The first bundle fetches the bundler. */
const PATIENCE_MS = 60_000;

/** Puts a module and all that it imports into one file that Node reads. */
export async function bundle(source: string, target: string): Promise<void> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["bundle", "--quiet", "--no-lock", "--import-map=tests/_std/import_map.json"],
      ...["--platform=deno", `--output=${target}`, source],
    ],
    cwd: new URL("../../", import.meta.url),
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).output();
  if (code !== 0) throw new Error(`Cannot bundle "${source}": ${new TextDecoder().decode(stderr)}`);
}
