/**
 * PostgreSQL servers that show certificates, for what drivers make of them.
 *
 * @module
 */

import { startPostgres } from "../../lab/postgres.ts";
import { WHO, YES_TLS } from "./postgres_subject.ts";
import type { StartShowing } from "./tls_servers.ts";
import type { TlsSubject } from "../contracts/tls.ts";

/** Starts one; where it has an authority, it asks for a client's certificate. */
export const startShowing: StartShowing = async (where, tls) => {
  const server = await startPostgres({
    ...where,
    ...WHO,
    database: "orders",
    tls,
    hba: tls?.ca
      ? ["hostssl all all all scram-sha-256 clientcert=verify-full", "hostnossl all all all reject"]
      : [],
  });
  return { ...where, stop: () => server.stop({ mode: "immediate" }) };
};

/** What all drivers have in common. */
export const POSTGRES_TLS: Omit<TlsSubject, "name" | "adapter"> = {
  ...WHO,
  encrypted: "SELECT ssl AS encrypted FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
  prelude: { replies: [YES_TLS] },
};
