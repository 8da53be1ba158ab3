/**
 * What an adapter is told about the database: the parts of the URL, and the options that concern its connections.
 *
 * @module
 */

import { canonicalHost } from "../internal/host_name.ts";
import type { Adapter, Destination } from "../adapters/adapter.ts";
import type { EngineSettings } from "./options.ts";
import type { DatabaseUrl } from "./url.ts";

/**
 * Joins the URL with the options that concern each connection.
 *
 * @param url The database URL.
 * @param adapter The adapter, for its default port.
 * @param settings The engine's options.
 */
export function destinationOf<C>(
  url: DatabaseUrl,
  adapter: Adapter<C>,
  settings: EngineSettings<C>,
): Destination {
  const { user, password, database, params, port } = url;
  const { connectArgs, keepAlive } = settings;
  return {
    host: hostOf(url, adapter),
    port: port ?? adapter.defaultPort,
    user,
    password,
    database,
    params,
    connectArgs,
    keepAlive,
  };
}

/** Returns the host in its canonical form. For an adapter without a network it is the database. */
function hostOf<C>(url: DatabaseUrl, adapter: Adapter<C>): string {
  return adapter.local ? url.database ?? ":memory:" : canonicalHost(url.host!);
}
