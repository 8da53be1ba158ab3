/**
 * What the drills of real stacks have in common: their arguments, their name server, and the files of their results.
 *
 * @module
 */

import { ROOT } from "../../scripts/check/run_deno.ts";
import { NAMESERVER, run } from "../namespace.ts";
import { savePicture } from "./picture.ts";

const RESULTS = new URL("bench/results/stacks.json", ROOT);

/** Returns those that the command line selects by name, such as `--event=kill;stop`; ends the process for others. */
export function pick<T extends { readonly name: string }>(
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

/** Lets ordinary users listen on port 53, and gives the loopback device the address of the name server. */
export async function prepareNameServer(): Promise<void> {
  await Deno.writeTextFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
  await run("ip", ["address", "add", `${NAMESERVER}/8`, "dev", "lo"]);
}

/** Writes what a drill found out, beside what others did. */
export async function saveResults(
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
