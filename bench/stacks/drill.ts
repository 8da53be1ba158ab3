/**
 * What the drills of real stacks have in common: their arguments, their name server, and the files of their results.
 *
 * @module
 */

import { ROOT } from "../../scripts/check/run_deno.ts";
import {
  bundle,
  INSIDE,
  NAMESERVER,
  run,
  runInside,
  setUpNamespace,
  whyUnsupported,
} from "../namespace.ts";
import { savePicture } from "./picture.ts";

const RESULTS = new URL("bench/results/stacks.json", ROOT);

/** Returns those that the command line selects by name, such as `--event=kill;stop`; ends the process for others. */
function pick<T extends { readonly name: string }>(
  all: readonly T[],
  option: string,
): readonly T[] {
  const names = Deno.args.find((arg) => arg.startsWith(`--${option}=`))
    ?.slice(option.length + 3).split(";");
  const missing = names?.find((name) => !all.some((one) => one.name === name));
  if (missing !== undefined) {
    console.error(
      `Unknown ${option} "${missing}": there are ${all.map((one) => one.name).join("; ")}`,
    );
    Deno.exit(2);
  }
  return names ? all.filter(({ name }) => names.includes(name)) : all;
}

/** A drill of one stack. */
export interface Drill<E, L, F> {
  /** Its name: that of its script and folder, and of its results. */
  readonly name: string;
  /** What is not installed; `undefined` if nothing is missing. */
  readonly missing: string | undefined;
  readonly events: readonly E[];
  readonly lanes: readonly L[];
  /** Where the lanes' program is bundled to. */
  readonly bundle: string;
  runEvent(event: E, lanes: readonly L[]): Promise<F>;
  show(figures: F): void;
  /** Whether its lanes have goals. */
  readonly hasGoals: boolean;
  /** The versions of what ran. */
  versions(): Readonly<Record<string, string>>;
}

/**
 * Runs a drill in a network namespace of its own, with the events and lanes that the command line selects, and ends the
 * process: with 1 if a goal is missed, with 2 if it cannot run here. The results of a whole run are saved.
 */
export async function runDrill<
  E extends { readonly name: string },
  L extends { readonly name: string },
  F extends { readonly lanes: readonly { readonly missed: readonly unknown[] }[] },
>(drill: Drill<E, L, F>): Promise<never> {
  const inside = Deno.args.find((arg) => arg.startsWith(INSIDE))?.slice(INSIDE.length);
  const [events, lanes] = [pick(drill.events, "event"), pick(drill.lanes, "lane")];
  const reason = whyUnsupported() ??
    (drill.missing === undefined ? undefined : `${drill.missing} is not installed`);
  if (reason !== undefined) {
    console.error(`Cannot run the drill: ${reason}`);
    Deno.exit(2);
  }
  if (inside === undefined) {
    const prepare = async () => void await bundle(`bench/${drill.name}/lane.ts`, drill.bundle);
    Deno.exit(await runInside(`bench/${drill.name}.ts`, Deno.args, prepare));
  }
  await setUpNamespace(inside);
  await prepareNameServer();
  const results: F[] = [];
  for (const event of events) {
    results.push(await drill.runEvent(event, lanes));
    drill.show(results.at(-1)!);
  }
  if (events === drill.events && lanes === drill.lanes) {
    await saveResults({ versions: drill.versions(), [drill.name]: results });
  }
  const met = results.every(({ lanes }) => lanes.every(({ missed }) => missed.length === 0));
  if (drill.hasGoals) console.log(met ? "\nEvery goal is met" : "\nA goal is missed");
  Deno.exit(met ? 0 : 1);
}

/** Lets ordinary users listen on port 53, and gives the loopback device the address of the name server. */
async function prepareNameServer(): Promise<void> {
  await Deno.writeTextFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
  await run("ip", ["address", "add", `${NAMESERVER}/8`, "dev", "lo"]);
}

/** Writes what a drill found out, beside what others did. */
async function saveResults(
  { versions, ...results }:
    & { readonly versions: Readonly<Record<string, string>> }
    & Record<
      string,
      unknown
    >,
): Promise<void> {
  const known = JSON.parse(await Deno.readTextFile(RESULTS));
  const machine = { cores: navigator.hardwareConcurrency, system: Deno.build.target };
  const all = { ...known, machine, versions: { ...known.versions, ...versions }, ...results };
  await Deno.writeTextFile(RESULTS, JSON.stringify(all, null, 2) + "\n");
  await savePicture(all);
}
