#!/usr/bin/env bash
# MariaDB: COM_RESET_CONNECTION drops the mode IGNORE_SPACE that the client agreed on at its login.
#
# The driver logs in with the flag IGNORE_SPACE, and the server shows it in @@sql_mode. After the reset it is off, though the login is
# still the same: a statement such as `SELECT COUNT (*)`, which worked before, is a syntax error.
#
# What dnspool does: after a reset it sets the mode that the login had set.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server-core mariadb-client-core" --version
install node@22.23.3 mysql2@3.24.6
mariadb_server 15420
cat >reset.mjs <<'EOF'
import mysql from "mysql2/promise";
const options = { host: "127.0.0.1", port: 15420, user: "root", flags: ["+IGNORE_SPACE"] };
let connection;
for (let tries = 0; !connection && tries < 100; tries++) {
  connection = await mysql.createConnection(options).catch(() => {});
  if (!connection) await new Promise((resolve) => setTimeout(resolve, 100));
}
const tell = async (when) => {
  const [[row]] = await connection.query("SELECT @@sql_mode LIKE '%IGNORE_SPACE%' AS spaces");
  const count = await connection.query("SELECT COUNT (*)").then(() => "works", (error) => error.code);
  console.log(`${when}: IGNORE_SPACE ${row.spaces ? "on" : "off"}, COUNT (*) ${count}`);
};
await tell("login");
await connection.reset();
await tell("reset");
await connection.end();
EOF
expect "login: IGNORE_SPACE on, COUNT (*) works
reset: IGNORE_SPACE off, COUNT (*) ER_PARSE_ERROR" "$(node reset.mjs)"
