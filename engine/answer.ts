/**
 * Makes the answer that an engine follows: that of its host, or of several.
 *
 * @module
 */

import { staticAddresses } from "../lookups/static.ts";
import { viewOf } from "../resolver.ts";
import { type AnswerSource, fixedAnswer } from "../resolver/answer_source.ts";
import type { DnsSettings } from "../resolver/options.ts";
import { SeveralHosts } from "../resolver/several_hosts.ts";
import type { EngineHost } from "./destination.ts";

/**
 * Returns the answer for the hosts of an engine.
 *
 * @param hosts The hosts; with several, the addresses in the answer are names of endpoints.
 * @param options `dns`: how names are resolved; `local`: whether the adapter needs no network.
 */
export function answerFor(
  hosts: readonly EngineHost[],
  options: { readonly dns: DnsSettings; readonly local: boolean },
): AnswerSource {
  const [first] = hosts;
  if (hosts.length === 1) return answerForHost(first!, options);
  return new SeveralHosts(
    hosts.map(({ name, host, port }) => ({
      host,
      port,
      answer: answerForHost({ name, host, port }, options),
    })),
  );
}

function answerForHost(
  { name, host }: EngineHost,
  { dns, local }: { readonly dns: DnsSettings; readonly local: boolean },
): AnswerSource {
  if (local) return fixedAnswer([host]);
  const fixed = staticAddresses(host, dns.family);
  return fixed ? fixedAnswer(fixed) : viewOf(name, dns);
}
