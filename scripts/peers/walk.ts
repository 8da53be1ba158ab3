/**
 * Finds files.
 *
 * @module
 */

/** Finds the files below a directory whose name matches, in order. */
export function* walk(dir: string, pattern: RegExp): Generator<string> {
  const entries = [...Deno.readDirSync(dir)].sort((a, b) => a.name < b.name ? -1 : 1);
  for (const { name, isDirectory } of entries) {
    const path = `${dir}/${name}`;
    if (isDirectory) yield* walk(path, pattern);
    else if (pattern.test(name)) yield path;
  }
}
