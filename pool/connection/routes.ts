/**
 * Leaves a family of addresses to which there is no route from here, such as IPv4 in a network that has IPv6 only.
 *
 * @module
 */

import { ipFamily } from "../../internal/ip.ts";
import { hasNoRoute } from "../../internal/socket_errors.ts";
import type { ConnectAttempt } from "../../errors.ts";
import type { AnswerSource } from "../../resolver/answer_source.ts";

/**
 * Asks for addresses of the other family if those of one have no route.
 *
 * @param answer The answer that the addresses are from.
 * @param attempts The failed connection attempts, one for each address.
 * @param signal Ends the wait.
 * @returns Whether there are addresses of the other family now.
 */
export async function switchFamily(
  answer: AnswerSource,
  attempts: readonly ConnectAttempt[],
  signal: AbortSignal,
): Promise<boolean> {
  const routes = attempts.map(({ error }) => hasNoRoute(error));
  const families = new Set(attempts.map(({ address }) => familyOf(address)));
  const [family] = families;
  if (families.size !== 1 || routes.includes(false)) return false;
  const isCertain = !routes.includes(undefined);
  return await answer.switchFamily?.(family!, isCertain, signal) ?? false;
}

/** Returns the family of an address, or of the endpoint that is named so if there are several hosts. */
function familyOf(address: string): 4 | 6 {
  return address.startsWith("[") ? 6 : ipFamily(address) ?? 4;
}
