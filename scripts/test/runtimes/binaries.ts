/**
 * The runtimes that the package supports, from npm, and the paths of their programs on this machine.
 *
 * @module
 */

/** Milliseconds that npm may take to download one. */
const DOWNLOAD_LIMIT_MS = 300_000;

/** A runtime's program. */
export interface Runtime {
  /** Such as `node@22`. */
  readonly name: string;
  /** Such as `22.23.3`. */
  readonly version: string;
  /** The path of its program. */
  readonly program: string;
  /** Arguments before the path of a script. */
  readonly args: readonly string[];
}

/** The expression for the path and the version of the runtime that evaluates it. */
const SELF = "JSON.stringify([process.execPath, process.versions.bun ?? process.versions.node])";

/** The runtimes from npm, each with the command that prints its own path and version. */
const FROM_NPM: Readonly<Record<string, string>> = {
  "node@20": `node -p '${SELF}'`,
  "node@22": `node -p '${SELF}'`,
  "node@24": `node -p '${SELF}'`,
  "bun@1": `bun -p '${SELF}'`,
};

/** All runtimes; `deno` is the one that runs this. */
export const RUNTIMES: readonly string[] = ["deno", ...Object.keys(FROM_NPM)];

/** Finds a runtime; it is downloaded first if it is missing. */
export async function findRuntime(name: string): Promise<Runtime> {
  if (name === "deno") {
    const args = ["run", "-A", "--no-lock"];
    return { name, version: Deno.version.deno, program: Deno.execPath(), args };
  }
  const { code, stdout, stderr } = await new Deno.Command("npx", {
    args: ["--yes", "--package", name, "--call", FROM_NPM[name]!],
    stdin: "null",
    signal: AbortSignal.timeout(DOWNLOAD_LIMIT_MS),
  }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`Cannot fetch ${name} from npm:\n${text.decode(stderr)}`);
  const [program, version] = JSON.parse(text.decode(stdout).trim().split("\n").at(-1)!);
  return { name, version, program, args: [] };
}

/**
 * Reads the names of runtimes; all but one if there are none. Ends the process if one is unknown.
 *
 * @param args The command line.
 * @param except The runtime that is left out unless it is named.
 */
export function chosenRuntimes(args: readonly string[], except: string): readonly string[] {
  const unknown = args.find((name) => !RUNTIMES.includes(name));
  if (unknown !== undefined) {
    console.error(`Cannot run on "${unknown}": there are ${RUNTIMES.join(", ")}`);
    Deno.exit(2);
  }
  return args.length > 0 ? args : RUNTIMES.filter((name) => name !== except);
}
