/**
 * Names that the hosts file knows: no question is asked for them.
 *
 * @module
 */

import { hostsComeFirst, hostsFile, hostsPath } from "./internal/system_files.ts";
import type { Answer } from "./lookup.ts";

/**
 * When the hosts file is read: before DNS is asked, if the system's configuration has it so; first; only by the
 * operating system's resolver, after DNS; or never.
 */
export type HostsUse = "configured" | "first" | "last" | "never";

/** TTL of its answers, in seconds. The file has none; it is looked at again then. */
const TTL = 5;

/**
 * Returns what the hosts file answers before DNS is asked.
 *
 * @param name A canonical name (lower case, no trailing dot).
 * @param options The addresses to return: all, those of one family, or with `"auto"` those of the preferred family and,
 *   without any, of the other.
 * @param use When the file is read.
 * @returns The answer; `undefined` if DNS has to be asked.
 */
export function hostsAnswer(
  name: string,
  { family, preferred }: {
    readonly family: "auto" | 4 | 6 | "both";
    readonly preferred: 4 | 6;
  },
  use: HostsUse,
): Answer | undefined {
  if (use !== "first" && (use !== "configured" || !hostsComeFirst())) return undefined;
  const all = hostsFile()?.get(name) ?? [];
  const v4 = all.filter((address) => !address.includes(":"));
  const v6 = all.filter((address) => address.includes(":"));
  const [first, other] = preferred === 4 ? [v4, v6] : [v6, v4];
  const addresses = { auto: first.length > 0 ? first : other, 4: v4, 6: v6, both: all }[family];
  if (addresses.length === 0) return undefined;
  return { addresses, ttl: TTL, server: hostsPath() };
}

/** Returns whether the operating system's resolver may be asked for a name without an answer from the hosts file. */
export function answersWithoutHosts(name: string): boolean {
  return hostsFile()?.has(name) === false;
}
