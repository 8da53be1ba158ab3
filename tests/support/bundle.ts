/**
 * Sources as one file that Node reads.
 *
 * @module
 */

import { makeOnce, sharedPath } from "../../lab/shared.ts";

/** The first bundle fetches the bundler. */
const PATIENCE_MS = 60_000;

/**
 * Puts a module and all that it imports into one file. It is made once per run, and copied.
 *
 * @param source A file of the repository.
 * @param target The file to write; its name ends in `.mjs`.
 */
export async function bundle(source: string, target: string): Promise<void> {
  const shared = sharedPath(`bundle-${source.replaceAll(/[^\w.]/g, "-")}`);
  if (shared === undefined) return await bundleTo(source, target);
  await makeOnce(shared, (dir) => bundleTo(source, `${dir}/bundle.mjs`));
  await Deno.copyFile(`${shared}/bundle.mjs`, target);
}

async function bundleTo(source: string, target: string): Promise<void> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["bundle", "--quiet", "--no-lock", "--import-map=tests/std/import_map.json"],
      ...["--platform=deno", `--output=${target}`, source],
    ],
    cwd: new URL("../../", import.meta.url),
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).output();
  if (code !== 0) throw new Error(`Cannot bundle "${source}": ${new TextDecoder().decode(stderr)}`);
}
