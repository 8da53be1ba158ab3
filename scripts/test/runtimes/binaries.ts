/**
 * The runtimes that the package is for, from npm: where their programs are on this machine.
 *
 * @module
 */

/** How long npm may take to bring one. */
const DOWNLOAD_MS = 300_000;

/** A runtime's program. */
export interface Runtime {
  /** Such as `node@22`. */
  readonly name: string;
  /** Such as `22.23.3`. */
  readonly version: string;
  /** The path of its program. */
  readonly program: string;
  /** What comes before a script's path. */
  readonly args: readonly string[];
}

/** Asks a runtime for its own path and version. */
const WHO = "JSON.stringify([process.execPath, process.versions.bun ?? process.versions.node])";

/** The runtimes, each with the command that npx runs in it. */
const FROM_NPM: Readonly<Record<string, string>> = {
  "node@20": `node -p '${WHO}'`,
  "node@22": `node -p '${WHO}'`,
  "node@24": `node -p '${WHO}'`,
  "bun@1": `bun -p '${WHO}'`,
};

/** All of them; `deno` is the one that this runs on. */
export const RUNTIMES: readonly string[] = ["deno", ...Object.keys(FROM_NPM)];

/** Finds a runtime, which is fetched first where it is not there yet. */
export async function findRuntime(name: string): Promise<Runtime> {
  if (name === "deno") {
    const args = ["run", "-A", "--no-lock"];
    return { name, version: Deno.version.deno, program: Deno.execPath(), args };
  }
  const { code, stdout, stderr } = await new Deno.Command("npx", {
    args: ["--yes", "--package", name, "--call", FROM_NPM[name]!],
    stdin: "null",
    signal: AbortSignal.timeout(DOWNLOAD_MS),
  }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`Cannot fetch ${name} from npm:\n${text.decode(stderr)}`);
  const [program, version] = JSON.parse(text.decode(stdout).trim().split("\n").at(-1)!);
  return { name, version, program, args: [] };
}

/**
 * The names among `args`; where there are none, all but one. Ends the process where one is unknown.
 *
 * @param args The command line.
 * @param except What is left out unless it is asked for.
 */
export function chosenRuntimes(args: readonly string[], except: string): readonly string[] {
  const unknown = args.find((name) => !RUNTIMES.includes(name));
  if (unknown !== undefined) {
    console.error(`Cannot run on "${unknown}": there are ${RUNTIMES.join(", ")}`);
    Deno.exit(2);
  }
  return args.length > 0 ? args : RUNTIMES.filter((name) => name !== except);
}
