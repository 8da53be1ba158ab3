/**
 * The two tools that build the modules of the npm package.
 *
 * @module
 */

import { chooseStd } from "../../check/std_source.ts";

/** `dnt` builds what is published and comes from JSR; `files` builds the same package without JSR. */
export type Engine = "dnt" | "files";

/** What an engine builds. */
export interface Built {
  /** JavaScript by path, such as `lookups/wire.js`. */
  readonly modules: ReadonlyMap<string, string>;
  /** Declarations by path, such as `lookups/wire.d.ts`. */
  readonly declarations: ReadonlyMap<string, string>;
}

/**
 * Chooses the engine, and prints it in one line on stderr.
 *
 * @param wanted The engine by name; without it, dnt where JSR answers.
 * @throws {TypeError} if there is no such engine.
 */
export async function engineOf(wanted: string | undefined): Promise<Engine> {
  if (wanted !== undefined && wanted !== "dnt" && wanted !== "files") {
    throw new TypeError(`"--engine" must be "dnt" or "files", got "${wanted}"`);
  }
  const engine = wanted ?? (await chooseStd() === "jsr" ? "dnt" : "files");
  console.error(
    `npm package: built by ${engine === "dnt" ? "dnt" : "Rolldown and TypeScript, without JSR"}`,
  );
  return engine;
}
