import * as mariadb from "npm:mariadb@^3.5";
import mysql from "npm:mysql2@^3.24/promise";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { asAdmin, GREETING, startServer, WHO } from "../support/mysql_subject.ts";
import { ON_MARIADB } from "../support/servers.ts";
import type { StartShowing } from "../support/tls_servers.ts";
import { tlsContract, type TlsSubject } from "../contracts/tls.ts";

const start: StartShowing = async (where, tls) => {
  const server = await startServer({ ...where, tls });
  if (tls?.ca) await asAdmin(server, `ALTER USER '${WHO.user}'@'%' REQUIRE X509`);
  return { ...where, stop: () => server.stop({ mode: "immediate" }) };
};

const MARIADB_TLS = {
  ...WHO,
  encrypted:
    "SELECT variable_value <> '' AS encrypted FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'",
  prelude: { replies: [GREETING], first: true },
};

const SUBJECTS: readonly TlsSubject[] = [
  { ...MARIADB_TLS, name: "mysql2", adapter: mysql2Adapter(mysql) },
  { ...MARIADB_TLS, name: "mariadb", adapter: mariadbAdapter(mariadb) },
];

tlsContract(SUBJECTS, start, WHO.user, ON_MARIADB);
