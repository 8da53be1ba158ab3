#!/usr/bin/env bash
# Galera: ALTER TABLE does not wait for the transactions that have read its table. It ends them, and whatever their clients send
# next gets error 1213, "deadlock": SELECT 1, a ping, ROLLBACK.
#
# A transaction of two SELECTs is open, and holds no row. With a server that is no member of a cluster, ALTER TABLE waits until it is
# over. With a member, also with the only one, it is done at once. The client learns of it by its next packet, even if that is one
# that touches no table, or one that never fails elsewhere: COM_PING, COM_RESET_CONNECTION, COMMIT, ROLLBACK. What it sends after the
# error runs outside of a transaction.
#
# What dnspool does: it takes 1213 for the end of the transaction, whatever it comes with. A connection whose ROLLBACK gets it is
# replaced.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server galera-4" --version
install node@22.23.3 mysql2@3.24.6
galera_node 15447
as_user mkdir "$dir/data/single"
as_user mariadb-install-db --no-defaults --datadir="$dir/data/single" --auth-root-authentication-method=normal \
  --skip-test-db >install.log 2>&1
serve_as_user mariadbd --no-defaults --datadir="$dir/data/single" --bind-address=127.0.0.1 --port=15446 \
  --socket="$dir/data/single/socket" --pid-file="$dir/data/single/pid"
cat >alter.mjs <<'JS'
import mysql from "mysql2/promise";
import { client, options, outcome, sleep } from "./node.mjs";
let single;
for (let tries = 0; !single && tries < 300; tries++) {
  single = await mysql.createConnection({ ...options, port: 15446 }).catch(() => sleep(100));
}
const packets = {
  "SELECT 1": (reader) => reader.query("SELECT 1"),
  "a ping": (reader) => reader.ping(),
  "a reset": (reader) => reader.reset(),
  "COMMIT": (reader) => reader.query("COMMIT"),
  "ROLLBACK": (reader) => reader.query("ROLLBACK"),
};
for (const [what, admin, port] of [["no cluster", single, 15446], ["Galera", client, 15447]]) {
  await admin.query("CREATE DATABASE lab");
  await admin.query("CREATE TABLE lab.t (id INT PRIMARY KEY) ENGINE=InnoDB");
  for (const [name, send] of Object.entries(packets)) {
    const reader = await mysql.createConnection({ ...options, port });
    await reader.query("BEGIN");
    await reader.query("SELECT * FROM lab.t");
    await reader.query("SELECT * FROM lab.t");
    const altered = outcome(admin.query(`ALTER TABLE lab.t ADD COLUMN \`${name}\` INT`));
    const said = await Promise.race([altered, sleep(1000).then(() => "waits")]);
    const next = await outcome(send(reader));
    console.log(`${what}: ALTER TABLE ${said}; ${name} ${next}, the next statement ${await outcome(reader.query("SELECT 1"))}`);
    reader.destroy();
    await altered;
  }
}
process.exit();
JS
expect "no cluster: ALTER TABLE waits; SELECT 1 ok, the next statement ok
no cluster: ALTER TABLE waits; a ping ok, the next statement ok
no cluster: ALTER TABLE waits; a reset ok, the next statement ok
no cluster: ALTER TABLE waits; COMMIT ok, the next statement ok
no cluster: ALTER TABLE waits; ROLLBACK ok, the next statement ok
Galera: ALTER TABLE ok; SELECT 1 1213, the next statement ok
Galera: ALTER TABLE ok; a ping 1213, the next statement ok
Galera: ALTER TABLE ok; a reset 1213, the next statement ok
Galera: ALTER TABLE ok; COMMIT 1213, the next statement ok
Galera: ALTER TABLE ok; ROLLBACK 1213, the next statement ok" "$(node alter.mjs)"
