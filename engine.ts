/**
 * Makes engines: pools of connections to the addresses that the host of a database URL has now.
 *
 * @module
 */

import { DnsEngine } from "./engine/dns_engine.ts";
import type { EngineOptions } from "./engine/options.ts";
import { setUp } from "./engine/setup.ts";
import type { Engine } from "./engine/types.ts";
import { DatabaseUrl } from "./engine/url.ts";

export type {
  BeginOptions,
  CallOptions,
  ChannelListener,
  ChannelOptions,
  ConnectOptions,
  Engine,
  EngineEventMap,
  EngineStatus,
  ExecutionOptions,
  ListenGap,
  ListenOptions,
} from "./engine/types.ts";
export type { AnswerStatus } from "./resolver/answer_source.ts";

/**
 * Makes an engine for a database URL: a pool whose connections are open to an address that the host name has now.
 * Behaves like SQLAlchemy's `create_engine`, with DNS added. Opens no connection and sends no DNS query until the first
 * checkout.
 *
 * @typeParam C The driver's client; inferred from the option `adapter`.
 * @param url `dialect[+driver]://[user[:password]@]host[:port][/database][?query]`. With an IP address or
 *   `localhost`, no DNS is asked.
 * @param options See {@linkcode EngineOptions}.
 * @returns The engine.
 * @throws {TypeError} if the URL or an option is not valid.
 * @throws {RangeError} if a number is outside its range.
 *
 * @example
 * ```ts
 * import { getDnsEngine } from "@dnspool/dnspool";
 * import { fakeAdapter } from "@dnspool/dnspool/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const engine = getDnsEngine("fake://127.0.0.1/orders", { adapter: fakeAdapter() });
 * const address = await engine.use((lease) => lease.address);
 * assertEquals(address, "127.0.0.1");
 * await engine.close();
 * ```
 */
export function getDnsEngine<C = unknown>(
  url: string | URL | DatabaseUrl,
  options?: EngineOptions<C>,
): Engine<C> {
  const setup = setUp<C>(DatabaseUrl.parse(url), options);
  const engine = new DnsEngine<C>(setup);
  for (const created of setup.created) created(engine);
  return engine;
}
