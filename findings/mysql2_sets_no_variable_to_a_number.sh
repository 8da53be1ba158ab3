#!/usr/bin/env bash
# mysql2: a prepared SET with a number as its value is refused by MariaDB.
#
# The driver sends every number as a floating-point one. Most variables of the session take a whole number only: SET with a bind
# value fails with "Incorrect argument type", with `execute`. The driver mariadb sends a whole number, and the same
# statement succeeds.
#
# What dnspool does: for the settings of one transaction it sends numbers as text, and has the server convert them:
# `SET SESSION sort_buffer_size = CAST(? AS SIGNED)`.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server-core mariadb-client-core" --version
install node@22.23.3 mysql2@3.24.6 mariadb@3.5.3
mariadb_server 15421
cat >set.mjs <<'JS'
import * as mariadb from "mariadb";
import mysql from "mysql2/promise";
const options = { host: "127.0.0.1", port: 15421, user: "root" };
let connection;
for (let tries = 0; !connection && tries < 100; tries++) {
  connection = await mysql.createConnection(options).catch(() => {});
  if (!connection) await new Promise((resolve) => setTimeout(resolve, 100));
}
const other = await mariadb.createConnection(options);
const set = (client, value) =>
  client.execute("SET SESSION sort_buffer_size = " + value, [262144]).then(() => "ok", ({ errno }) => errno);
console.log(`mysql2: ${await set(connection, "?")}, with CAST ${await set(connection, "CAST(? AS SIGNED)")}`);
console.log(`mariadb: ${await set(other, "?")}`);
await connection.end();
await other.end();
JS
expect "mysql2: 1232, with CAST ok
mariadb: ok" "$(node set.mjs)"
