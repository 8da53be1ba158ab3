/**
 * `dnspool resolve`: shows the addresses of a name.
 *
 * @module
 */

import type { DnsSettings } from "../resolver/options.ts";
import { answerFor, answerJson, answerLines } from "./answer.ts";
import type { CommandContext } from "./context.ts";

/**
 * Resolves a host and shows the answer.
 *
 * @param host A host that `hostOf` returned.
 * @param options The settings of the resolution, and whether the output is JSON.
 * @param context The outputs and the signal.
 * @returns The exit status.
 * @throws {ResolveError} if there is no answer.
 */
export async function resolve(
  host: string,
  { settings, json }: { readonly settings: DnsSettings; readonly json: boolean },
  context: CommandContext,
): Promise<number> {
  const answer = await answerFor(host, settings, context.signal);
  if (json) {
    context.out(JSON.stringify({ host, ...answerJson(answer) }));
    return 0;
  }
  context.out(context.paint(host, "bold"));
  for (const line of answerLines(answer, context.paint)) context.out(line);
  return 0;
}
