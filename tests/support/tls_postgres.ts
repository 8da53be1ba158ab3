/**
 * PostgreSQL servers for the TLS suite.
 *
 * @module
 */

import { startPostgres } from "../../lab/postgres.ts";
import type { TlsSubject } from "../contracts/tls.ts";
import { LOGIN, TLS_ACCEPTED } from "./postgres_subject.ts";
import type { StartTlsServer } from "./tls_servers.ts";

/** Makes the function that starts a server. If it is given an authority, it requires a client certificate. */
export function tlsServerOf(login: typeof LOGIN): StartTlsServer {
  return async (address, tls) => {
    const server = await startPostgres({
      ...address,
      ...login,
      database: "orders",
      tls,
      hba: tls?.ca
        ? [
          "hostssl all all all scram-sha-256 clientcert=verify-full",
          "hostnossl all all all reject",
        ]
        : [],
    });
    return { ...address, stop: () => server.stop({ mode: "immediate" }) };
  };
}

/** Starts a server with the login of the tests. */
export const startTlsServer: StartTlsServer = tlsServerOf(LOGIN);

/** What all drivers have in common. */
export const POSTGRES_TLS: Omit<TlsSubject, "factory" | "adapter"> = {
  ...LOGIN,
  encrypted: "SELECT ssl AS encrypted FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
  prelude: { replies: [TLS_ACCEPTED] },
};
