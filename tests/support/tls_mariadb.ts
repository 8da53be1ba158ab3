/**
 * MariaDB servers for the TLS suite.
 *
 * @module
 */

import type { TlsSubject } from "../contracts/tls.ts";
import { asAdmin, GREETING, LOGIN, startServer } from "./mysql_subject.ts";
import type { StartTlsServer } from "./tls_servers.ts";

/** Starts a server with the login of the tests. If it is given an authority, it requires a client certificate. */
export const startTlsMariadb: StartTlsServer = async (address, tls) => {
  const server = await startServer({ ...address, tls });
  if (tls?.ca) await asAdmin(server, `ALTER USER '${LOGIN.user}'@'%' REQUIRE X509`);
  return { ...address, stop: () => server.stop({ mode: "immediate" }) };
};

/** What all drivers have in common. */
export const MARIADB_TLS: Omit<TlsSubject, "factory" | "adapter"> = {
  ...LOGIN,
  encrypted:
    "SELECT variable_value <> '' AS encrypted FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'",
  prelude: { replies: [GREETING], first: true },
};
