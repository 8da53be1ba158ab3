/**
 * Opens clients of `pg` to an address instead of their host.
 *
 * @module
 */

import type { Adapter } from "../../adapters/adapter.ts";
import { lazyPgAdapter, type PgConfig, type PgModule } from "../../adapters/pg.ts";
import { copyOptions, type RawOptions } from "../shared/options.ts";
import { type DropInClient, KEEPALIVE, type PgInternalDriver, setLogin } from "./module.ts";
import { forHost } from "./target.ts";

/**
 * Creates an adapter whose clients connect to an address instead of their host. For everything else (TLS, `.pgpass`,
 * password function, tracing) their host remains the name.
 *
 * @param Client The class of the clients.
 * @param options Returns the current options of the clients.
 * @param what `hasSeveral`: whether the options name several hosts, or a service: each client gets the one that it is
 *   opened to. `hasCredentials` returns whether user and password come from the option `credentials`.
 */
export function pinningAdapter(
  Client: PgInternalDriver["Client"],
  options: () => RawOptions,
  { hasSeveral = false, hasCredentials = () => options().credentials !== undefined }: {
    readonly hasSeveral?: boolean;
    readonly hasCredentials?: () => boolean;
  } = {},
): Adapter<DropInClient> {
  const adapterFor = (optionsOf: (config: PgConfig) => RawOptions) => {
    const Pinned = function (config: PgConfig) {
      // The engine limits the attempt.
      const given = { ...KEEPALIVE, ...copyOptions(optionsOf(config)), connectionTimeoutMillis: 0 };
      const client = new Client(given);
      client.host = config.host;
      if (hasCredentials()) setLogin(client, config);
      return client;
    };
    const pg = { Client: Pinned as unknown } as PgModule<DropInClient>;
    return lazyPgAdapter(() => Promise.resolve(pg));
  };
  const adapter = adapterFor(options);
  if (!hasSeveral) return adapter;
  return {
    ...adapter,
    connect: (ip, target) =>
      adapterFor(({ port }) => forHost(options(), { host: target.host, port })).connect(ip, target),
  };
}
