#!/usr/bin/env bash
# MariaDB: information_schema.innodb_lock_waits stands still for as long as it is read more often than every 0.1 seconds.
#
# InnoDB renews the copy that its three tables of transactions and locks show only when the last *read* of it is more than 0.1 seconds
# ago. A program that polls every 10 ms for a lock wait never sees one that began after its first read, however long it polls, and
# sees one that is over. One reader that polls does this to all others. The counter Innodb_row_lock_current_waits is right at once.
#
# What dnspool learned: its tests wait for that counter; a test that polled the table passed or failed by the order of two packets.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server-core mariadb-client-core" --version
install node@22.23.3 mysql2@3.24.6
mariadb_server 15437
cat >polls.mjs <<'EOF'
import mysql from "mysql2/promise";
const open = () => mysql.createConnection({ host: "127.0.0.1", port: 15437, user: "root" });
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
const waiter = await open();
await holder.query("BEGIN");
await holder.query("UPDATE lab.t SET n = 1 WHERE id = 1");
const table = async () =>
  (await admin.query("SELECT 1 FROM information_schema.innodb_lock_waits"))[0].length;
const counter = async () =>
  Number((await admin.query("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"))[0][0].Value);
const polled = async (ms) => {
  let seen;
  for (const endMs = performance.now() + ms; performance.now() < endMs; await sleep(10)) seen = await table();
  return seen;
};
console.log(`before: table ${await table()}, counter ${await counter()}`);
const waiting = waiter.query("UPDATE lab.t SET n = 2 WHERE id = 1");
while (await counter() === 0) await table(); // so the copy is never left alone
console.log(`a statement waits, the table polled for 3 s: table ${await polled(3000)}, counter ${await counter()}`);
await sleep(300);
console.log(`after 0.3 s of rest: table ${await table()}, counter ${await counter()}`);
await holder.query("COMMIT");
await waiting;
console.log(`the wait is over, the table polled for 3 s: table ${await polled(3000)}, counter ${await counter()}`);
await sleep(300);
console.log(`after 0.3 s of rest: table ${await table()}, counter ${await counter()}`);
for (const each of [holder, waiter, admin]) await each.end();
EOF
expect "before: table 0, counter 0
a statement waits, the table polled for 3 s: table 0, counter 1
after 0.3 s of rest: table 1, counter 1
the wait is over, the table polled for 3 s: table 1, counter 0
after 0.3 s of rest: table 0, counter 0" "$(node polls.mjs)"
