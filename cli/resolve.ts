/**
 * `dnspool resolve`: the addresses that a name has now.
 *
 * @module
 */

import type { DnsSettings } from "../resolver/options.ts";
import { answerFor, answerJson, answerLines } from "./answer.ts";
import type { Io } from "./io.ts";

/**
 * Resolves a host and shows the answer.
 *
 * @param host As it is looked up.
 * @param how How to resolve it, and whether the answer is to be JSON.
 * @param io Where to show it.
 * @returns The exit status.
 * @throws {ResolveError} when there is no answer.
 */
export async function resolve(
  host: string,
  { settings, json }: { readonly settings: DnsSettings; readonly json: boolean },
  io: Io,
): Promise<number> {
  const answer = await answerFor(host, settings, io.signal);
  if (json) {
    io.out(JSON.stringify({ host, ...answerJson(answer) }));
    return 0;
  }
  io.out(io.paint(host, "bold"));
  for (const line of answerLines(answer, io.paint)) io.out(line);
  return 0;
}
