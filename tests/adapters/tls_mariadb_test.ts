import * as mariadb from "npm:mariadb@^3.5";
import mysql from "npm:mysql2@^3.24/promise";
import { mariadbAdapter } from "../../adapters/mariadb.ts";
import { mysql2Adapter } from "../../adapters/mysql2.ts";
import { LOGIN } from "../support/mysql_subject.ts";
import { ON_MARIADB } from "../support/servers.ts";
import { MARIADB_TLS, startTlsMariadb } from "../support/tls_mariadb.ts";
import { tlsContract, type TlsSubject } from "../contracts/tls.ts";

const SUBJECTS: readonly TlsSubject[] = [
  { ...MARIADB_TLS, factory: "mysql2Adapter", adapter: mysql2Adapter(mysql) },
  { ...MARIADB_TLS, factory: "mariadbAdapter", adapter: mariadbAdapter(mariadb) },
];

tlsContract(SUBJECTS, startTlsMariadb, LOGIN.user, ON_MARIADB);
