#!/usr/bin/env bash
# Galera: a node that has left its cluster lets clients in, and answers pings, SELECT 1 and SELECT NOW().
#
# It refuses everything that needs the cluster with error 1047, "WSREP has not yet prepared node for application use": each
# statement on a table, BEGIN, and also DO 0, which needs as little as SELECT 1. So a health check by a login, a ping or SELECT 1
# finds nothing wrong with it, `isValid()` and a new connection of the drivers neither, and the pool of the driver mariadb, which
# pings what it hands out, hands it out. In this cluster of one node, the node is told to join another node, which is not there.
#
# What dnspool does: a new connection has to run DO 0, and so does a ping; error 1047 counts against the whole server.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server galera-4" --version
install node@22.23.3 mysql2@3.24.6 mariadb@3.5.4
galera_node 15431
cat >checks.mjs <<'JS'
import * as mariadb from "mariadb";
import mysql from "mysql2/promise";
import { client, options, outcome, sleep, status, until } from "./node.mjs";
const pool = mariadb.createPool({ ...options, connectionLimit: 1, minDelayValidation: 0 });
await pool.query("SELECT COUNT(*) FROM mysql.user");
await client.query("SET GLOBAL wsrep_cluster_address = 'gcomm://127.0.0.1:15439'");
await until(async () => await status("wsrep_ready") === "OFF");
console.log(`wsrep_ready: ${await status("wsrep_ready")}`);
console.log(`login: ${await outcome(mysql.createConnection(options).then((other) => other.end()))}`);
console.log(`ping: ${await outcome(client.ping())}`);
for (const text of ["SELECT 1", "SELECT NOW()", "DO 0", "BEGIN", "SELECT COUNT(*) FROM mysql.user"]) {
  console.log(`${text}: ${await outcome(client.query(text))}`);
}
await sleep(50);
const connection = await pool.getConnection();
console.log(`mariadb: isValid() ${connection.isValid()}, SELECT on a table ${
  await outcome(connection.query("SELECT COUNT(*) FROM mysql.user"))
}`);
process.exit();
JS
expect "wsrep_ready: OFF
login: ok
ping: ok
SELECT 1: ok
SELECT NOW(): ok
DO 0: 1047
BEGIN: 1047
SELECT COUNT(*) FROM mysql.user: 1047
mariadb: isValid() true, SELECT on a table 1047" "$(node checks.mjs)"
