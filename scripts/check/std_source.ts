/**
 * The source of `@std/assert` for the tests: JSR, or the stand-in in `tests/std` if JSR does not answer.
 *
 * @module
 */

export type StdSource = "jsr" | "local";

/** The environment variable that chooses the source: `DNSPOOL_STD=jsr` or `DNSPOOL_STD=local`. */
const VARIABLE = "DNSPOOL_STD";

/** Maximum time in milliseconds for JSR to answer; a cold download takes one or two seconds. */
const ANSWER_WITHIN_MS = 10_000;

let chosen: Promise<StdSource> | undefined;

/** Chooses the source, once per run, and prints it in one line on stderr. */
export function chooseStd(): Promise<StdSource> {
  return chosen ??= choose();
}

async function choose(): Promise<StdSource> {
  const forced = Deno.env.get(VARIABLE);
  if (forced !== undefined && forced !== "jsr" && forced !== "local") {
    throw new TypeError(`"${VARIABLE}" must be "jsr" or "local", got "${forced}"`);
  }
  const source = forced ?? (await jsrAnswers() ? "jsr" : "local");
  const what = source === "jsr" ? "the one of JSR" : "the stand-in in tests/std";
  const why = forced ? `${VARIABLE}=${forced}` : source === "jsr" ? "JSR answers" : "no JSR here";
  console.error(`@std/assert: ${what} (${why})`);
  return source;
}

/** Returns the flags of `deno test` and `deno check` for a source. */
export function stdFlags(source: StdSource): string[] {
  return source === "jsr" ? [] : ["--import-map=tests/std/import_map.json"];
}

async function jsrAnswers(): Promise<boolean> {
  const probe = new Deno.Command(Deno.execPath(), {
    args: ["cache", "--no-config", "--no-lock", "jsr:@std/assert@^1"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  return (await probe.output()).success;
}
