/**
 * Where the tests get `@std/*` from: JSR, or the stand-ins in `tests/_std` where JSR does not answer.
 *
 * @module
 */

export type StdSource = "jsr" | "local";

/** Names the source by hand: `DNSPOOL_STD=jsr` or `DNSPOOL_STD=local`. */
const VARIABLE = "DNSPOOL_STD";

/** How long JSR may take to answer; a cold download takes one or two seconds. */
const ANSWER_WITHIN_MS = 10_000;

let chosen: Promise<StdSource> | undefined;

/** Says which source this run uses, in one line on stderr, once, and returns it. */
export function chooseStd(): Promise<StdSource> {
  return chosen ??= choose();
}

async function choose(): Promise<StdSource> {
  const forced = Deno.env.get(VARIABLE);
  if (forced !== undefined && forced !== "jsr" && forced !== "local") {
    throw new TypeError(`Cannot take @std from ${VARIABLE}="${forced}": say "jsr" or "local"`);
  }
  const source = forced ?? (await jsrAnswers() ? "jsr" : "local");
  const what = source === "jsr" ? "the real ones, from JSR" : "the stand-ins in tests/_std";
  const why = forced ? `${VARIABLE}=${forced}` : source === "jsr" ? "JSR answers" : "no JSR here";
  console.error(`@std modules: ${what} (${why})`);
  return source;
}

/** What `deno test` and `deno check` need for it. */
export function stdFlags(source: StdSource): string[] {
  return source === "jsr" ? [] : ["--import-map=tests/_std/import_map.json"];
}

async function jsrAnswers(): Promise<boolean> {
  const modules = ["jsr:@std/assert@^1", "jsr:@std/testing@^1/time"];
  const probe = new Deno.Command(Deno.execPath(), {
    args: ["cache", "--no-config", "--no-lock", ...modules],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  return (await probe.output()).success;
}
