/**
 * Reads the options of `pg.Client` from the URL and from `connectArgs`.
 *
 * @module
 */

import type { Destination } from "../adapter.ts";
import { loginOf, type ParamTypes, readParams, refuseLibpqArgs } from "../shared/params.ts";
import { SESSION_PARAMS } from "../shared/postgres.ts";
import { KEEPALIVE_MS } from "../shared/socket.ts";
import type { PgConfig } from "./driver.ts";

/** URL parameters; the driver passes most of them on to the server. */
const PARAMS: ParamTypes = {
  ...SESSION_PARAMS,
  client_encoding: "string",
  query_timeout: "number",
  sslnegotiation: "string",
};

/** Parameters of libpq that the driver reads from its options. */
export const OBEYED: readonly string[] = [
  "application_name",
  "client_encoding",
  "fallback_application_name",
  "options",
  "replication",
  "sslnegotiation",
];

/**
 * Reads the options, except the address, and TLS, whose files are not read yet.
 *
 * @param destination What the URL and `connectArgs` say.
 * @returns The options.
 * @throws {TypeError} for a URL parameter or an argument that is not allowed.
 */
export function readOptions(destination: Destination): Omit<PgConfig, "host" | "ssl"> {
  const { port, params, connectArgs, keepAlive } = destination;
  refuseLibpqArgs(destination, OBEYED);
  return {
    ...loginOf(destination),
    ...readParams(params, "pg", PARAMS),
    keepAlive,
    keepAliveInitialDelayMillis: KEEPALIVE_MS,
    ...connectArgs,
    port,
  };
}
