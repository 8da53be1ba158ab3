#!/usr/bin/env bash
# MariaDB: the client's socket is closed while a statement runs. SLEEP() notices it and ends, a wait for a row lock does not.
#
# Both statements are waits, and both clients are gone. The one that sleeps has left the process list within 5 seconds. The one that
# waits for a lock stays for innodb_lock_wait_timeout (50 seconds by default, 15 here), and if it gets the lock before that, its change
# is made and, with autocommit, committed: for a caller that was told long ago that its connection is lost.
#
# What dnspool learned: a terminated connection is no cancelled statement; the statement is cancelled first, by KILL QUERY.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server-core mariadb-client-core" --version
install node@22.23.3 mysql2@3.24.6
mariadb_server 15421 --innodb-lock-wait-timeout=15
cat >gone.mjs <<'EOF'
import mysql from "mysql2/promise";
const open = () => mysql.createConnection({ host: "127.0.0.1", port: 15421, user: "root" });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let admin;
for (let tries = 0; !admin && tries < 100; tries++) {
  admin = await open().catch(() => {});
  if (!admin) await sleep(100);
}
await admin.query("CREATE DATABASE lab");
await admin.query("CREATE TABLE lab.t (id INT PRIMARY KEY, n INT) ENGINE=InnoDB");
await admin.query("INSERT INTO lab.t VALUES (1, 0)");
const holder = await open();
await holder.query("BEGIN");
await holder.query("UPDATE lab.t SET n = 1 WHERE id = 1");
// Starts a statement, closes its socket after a second, and tells for how long the server goes on with it.
const abandon = async (statement) => {
  const client = await open();
  client.on("error", () => {});
  client.query(statement).catch(() => {});
  await sleep(1000);
  client.connection.stream.destroy();
  const startMs = performance.now();
  while (performance.now() - startMs < 8000) {
    const [rows] = await admin.query("SELECT 1 FROM information_schema.processlist WHERE id = ?", [client.threadId]);
    if (rows.length === 0) return performance.now() - startMs < 7000 ? "ends" : "late";
    await sleep(100);
  }
  return "goes on for more than 8 s";
};
console.log(`SLEEP: ${await abandon("SELECT SLEEP(30)")}`);
const waiting = abandon("UPDATE lab.t SET n = n + 10 WHERE id = 1");
console.log(`lock wait: ${await waiting}`);
await holder.query("COMMIT");
await sleep(1000);
const [[{ n }]] = await admin.query("SELECT n FROM lab.t");
console.log(`after the lock was free: n = ${n}`);
await holder.end();
await admin.end();
EOF
expect "SLEEP: ends
lock wait: goes on for more than 8 s
after the lock was free: n = 11" "$(node gone.mjs)"
