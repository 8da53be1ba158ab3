#!/usr/bin/env bash
# mysql2: the `code` of an error of MariaDB is that of another error.
#
# Above 1900, MySQL and MariaDB use one number for different errors. The driver names all of them as MySQL does: a login that
# MariaDB refuses because the account is locked (4151) has the code ER_BULK_PARSER_INCOMPLETE_ESCAPE_SEQUENCE, and a statement
# that took too long (1969) has none. The driver mariadb has the right names. The numbers are right in both.
#
# What dnspool does: it goes by the number, never by the name.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server-core mariadb-client-core" --version
install node@22.23.3 mysql2@3.24.6 mariadb@3.5.3
mariadb_server 15431
cat >names.mjs <<'JS'
import * as mariadb from "mariadb";
import mysql from "mysql2/promise";
const options = { host: "127.0.0.1", port: 15431 };
let root;
for (let tries = 0; !root && tries < 100; tries++) {
  root = await mysql.createConnection({ ...options, user: "root" }).catch(() => {});
  if (!root) await new Promise((resolve) => setTimeout(resolve, 100));
}
const other = await mariadb.createConnection({ ...options, user: "root" });
await root.query("CREATE USER locked@'%' IDENTIFIED BY 'x' ACCOUNT LOCK");
const said = ({ errno, code }) => `${errno} ${code}`;
const locked = { ...options, user: "locked", password: "x" };
const slow = "SET STATEMENT max_statement_time = 0.1 FOR SELECT SLEEP(5), COUNT(*) FROM mysql.user";
console.log("mysql2:", await mysql.createConnection(locked).catch(said), "|", await root.query(slow).catch(said));
console.log("mariadb:", await mariadb.createConnection(locked).catch(said), "|", await other.query(slow).catch(said));
await root.end();
await other.end();
JS
expect "mysql2: 4151 ER_BULK_PARSER_INCOMPLETE_ESCAPE_SEQUENCE | 1969 undefined
mariadb: 4151 ER_ACCOUNT_HAS_BEEN_LOCKED | 1969 ER_STATEMENT_TIMEOUT" "$(node names.mjs)"
