/**
 * PostgreSQL servers for the TLS suite.
 *
 * @module
 */

import { startPostgres } from "../../lab/postgres.ts";
import type { TlsSubject } from "../contracts/tls.ts";
import { LOGIN, TLS_ACCEPTED } from "./postgres_subject.ts";
import type { StartTlsServer } from "./tls_servers.ts";

/** Starts a server. If it is given an authority, it requires a client certificate. */
export const startTlsServer: StartTlsServer = async (address, tls) => {
  const server = await startPostgres({
    ...address,
    ...LOGIN,
    database: "orders",
    tls,
    hba: tls?.ca
      ? ["hostssl all all all scram-sha-256 clientcert=verify-full", "hostnossl all all all reject"]
      : [],
  });
  return { ...address, stop: () => server.stop({ mode: "immediate" }) };
};

/** What all drivers have in common. */
export const POSTGRES_TLS: Omit<TlsSubject, "factory" | "adapter"> = {
  ...LOGIN,
  encrypted: "SELECT ssl AS encrypted FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
  prelude: { replies: [TLS_ACCEPTED] },
};
