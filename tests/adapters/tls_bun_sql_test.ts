/**
 * The TLS suite with `Bun.SQL`, on Bun.
 */

import { bunSqlAdapter } from "../../adapters/bun_sql.ts";
import { tlsContract } from "../contracts/tls.ts";
import { LOGIN as MARIADB_LOGIN } from "../support/mysql_subject.ts";
import { LOGIN } from "../support/postgres_subject.ts";
import { ON_MARIADB } from "../support/servers.ts";
import { MARIADB_TLS, startTlsMariadb } from "../support/tls_mariadb.ts";
import { POSTGRES_TLS, startTlsServer } from "../support/tls_postgres.ts";

if ("Bun" in globalThis) {
  const postgresql = {
    ...POSTGRES_TLS,
    factory: 'bunSqlAdapter("postgresql")',
    adapter: bunSqlAdapter("postgresql"),
  };
  tlsContract([postgresql], startTlsServer, LOGIN.user);
  const mysql = {
    ...MARIADB_TLS,
    factory: 'bunSqlAdapter("mysql")',
    adapter: bunSqlAdapter("mysql"),
  };
  tlsContract([mysql], startTlsMariadb, MARIADB_LOGIN.user, ON_MARIADB);
}
