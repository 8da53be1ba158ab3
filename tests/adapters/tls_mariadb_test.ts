import * as mariadb from "npm:mariadb@^3.5";
import mysql from "npm:mysql2@^3.24/promise";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { asAdmin, GREETING, LOGIN, startServer } from "../support/mysql_subject.ts";
import { ON_MARIADB } from "../support/servers.ts";
import type { StartTlsServer } from "../support/tls_servers.ts";
import { tlsContract, type TlsSubject } from "../contracts/tls.ts";

const start: StartTlsServer = async (address, tls) => {
  const server = await startServer({ ...address, tls });
  if (tls?.ca) await asAdmin(server, `ALTER USER '${LOGIN.user}'@'%' REQUIRE X509`);
  return { ...address, stop: () => server.stop({ mode: "immediate" }) };
};

const MARIADB_TLS = {
  ...LOGIN,
  encrypted:
    "SELECT variable_value <> '' AS encrypted FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'",
  prelude: { replies: [GREETING], first: true },
};

const SUBJECTS: readonly TlsSubject[] = [
  { ...MARIADB_TLS, factory: "mysql2Adapter", adapter: mysql2Adapter(mysql) },
  { ...MARIADB_TLS, factory: "mariadbAdapter", adapter: mariadbAdapter(mariadb) },
];

tlsContract(SUBJECTS, start, LOGIN.user, ON_MARIADB);
