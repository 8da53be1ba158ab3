#!/usr/bin/env bash
# MariaDB: `SET GLOBAL read_only = 1` does not wait for open transactions, and their COMMIT fails, with the work undone.
#
# A transaction has made a change, and the server has said yes. An administrator makes the server read-only for a switchover: that
# returns at once. The transaction can read its change, and read other rows. COMMIT is refused with error 1290, "running with the
# --read-only option", and after it the change is gone. The text is the one of a statement that was not executed, which says nothing
# of the earlier ones. A connection of an administrator, with the privilege READ ONLY ADMIN, notices nothing.
#
# What dnspool does: it passes error 1290 on as the server's answer, nothing is committed; and with `read-write` it leaves the server.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server-core mariadb-client-core" --version
install node@22.23.3 mysql2@3.24.6
mariadb_server 15446
cat >commit.mjs <<'EOF2'
import mysql from "mysql2/promise";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const open = (user) => mysql.createConnection({ host: "127.0.0.1", port: 15446, user });
let admin;
for (let tries = 0; !admin && tries < 100; tries++) admin = await open("root").catch(() => sleep(100));
await admin.query("CREATE DATABASE lab");
await admin.query("CREATE TABLE lab.t (id INT PRIMARY KEY, n INT) ENGINE=InnoDB");
await admin.query("INSERT INTO lab.t VALUES (1, 0)");
await admin.query("CREATE USER app@'%'");
await admin.query("GRANT ALL ON lab.* TO app@'%'");
const client = await open("app");
const outcome = (statement) =>
  statement.then(([rows]) => Array.isArray(rows) ? `n = ${rows[0].n}` : "done", ({ errno }) => `error ${errno}`);
const ask = async (text) => console.log(`${text}: ${await outcome(client.query(text))}`);
await client.query("BEGIN");
await ask("UPDATE lab.t SET n = 1");
const switched = outcome(admin.query("SET GLOBAL read_only = 1"));
console.log("read_only = 1:", await Promise.race([switched, sleep(3000).then(() => "waits")]));
await ask("SELECT n FROM lab.t");
await ask("COMMIT");
await ask("SELECT n FROM lab.t");
process.exit();
EOF2
expect "UPDATE lab.t SET n = 1: done
read_only = 1: done
SELECT n FROM lab.t: n = 1
COMMIT: error 1290
SELECT n FROM lab.t: n = 0" "$(node commit.mjs)"
