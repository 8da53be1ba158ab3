/**
 * Makes the answer that an engine follows: that of its host, or of several.
 *
 * @module
 */

import { staticAddresses } from "../lookups/static.ts";
import { servicesViewOf, viewOf } from "../resolver.ts";
import { type AnswerSource, fixedAnswer } from "../resolver/answer_source.ts";
import type { DnsSettings } from "../resolver/options.ts";
import { ServiceHosts } from "../resolver/service_hosts.ts";
import { SeveralHosts } from "../resolver/several_hosts.ts";
import type { EngineHost } from "./destination.ts";

/** How an engine finds its addresses. */
interface AnswerOptions {
  /** How names are resolved. */
  readonly dns: DnsSettings;
  /** Whether the adapter needs no network. */
  readonly local: boolean;
  /** Whether the host is a service with SRV records. */
  readonly srv: boolean;
}

/**
 * Returns the answer for the hosts of an engine.
 *
 * @param hosts The hosts; with several, or with SRV records, the addresses in the answer are names of endpoints.
 * @param options How they are found.
 */
export function answerFor(hosts: readonly EngineHost[], options: AnswerOptions): AnswerSource {
  const [first] = hosts;
  if (options.srv) {
    return new ServiceHosts(
      servicesViewOf(first!.name, options.dns),
      // The name is complete: search domains are left out.
      (target) => answerForHost({ name: `${target}.`, host: target, port: 0 }, options),
    );
  }
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
  { name, host, socket }: EngineHost,
  { dns, local }: AnswerOptions,
): AnswerSource {
  if (local) return fixedAnswer([host]);
  if (socket !== undefined) return fixedAnswer([socket]);
  const fixed = staticAddresses(host, dns.family);
  return fixed ? fixedAnswer(fixed) : viewOf(name, dns);
}
