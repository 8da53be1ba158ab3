#!/usr/bin/env bash
# MariaDB: a demoted primary on which rpl_semi_sync_master_enabled is still ON stands still as a replica, for 10 seconds.
#
# A switchover makes the old primary a replica of the new one. With log_slave_updates, each change that it applies is a commit
# that waits for a replica of its own, which it has not: the first one for rpl_semi_sync_master_timeout (10 seconds by default),
# and with a longer timeout for that long. Both threads of the replica run meanwhile, and SHOW SLAVE STATUS reports no error.
#
# What dnspool does: nothing. Its page about MariaDB says to turn the variable off before START SLAVE.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 mariadb-server --version
install node@22.23.3 mysql2@3.24.6
chmod 755 "$dir"
for id in 1 2; do
  mkdir "data$id" && if [[ $EUID -eq 0 ]]; then chown nobody "data$id"; fi
  as_user mariadb-install-db --no-defaults --datadir="$dir/data$id" --auth-root-authentication-method=normal \
    --skip-test-db >"install$id.log" 2>&1
  serve_as_user mariadbd --no-defaults --datadir="$dir/data$id" --bind-address=127.0.0.1 --port=$((15440 + id)) \
    --socket="$dir/data$id/socket" --pid-file="$dir/data$id/pid" --server-id="$id" --log-bin=binlog --log-slave-updates
done
cat >demote.mjs <<'JS'
import mysql from "mysql2/promise";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const connect = async (port) => {
  for (;;) {
    const client = await mysql.createConnection({ host: "127.0.0.1", port, user: "root" }).catch(() => {});
    if (client) return client;
    await sleep(100);
  }
};
const [primary, demoted] = await Promise.all([15441, 15442].map(connect));
await primary.query("CREATE USER repl@'127.0.0.1' IDENTIFIED BY 'repl'");
await primary.query("GRANT REPLICATION SLAVE ON *.* TO repl@'127.0.0.1'");
await primary.query("CREATE DATABASE lab");
await primary.query("CREATE TABLE lab.t (id INT PRIMARY KEY)");
const applied = async (id) => {
  const startMs = Date.now();
  // With rpl_semi_sync_master_wait_point = AFTER_COMMIT, the default, the first one is seen while it waits.
  for (const each of [id - 1, id]) await primary.query("INSERT INTO lab.t VALUES (?)", [each]);
  for (;;) {
    const [rows] = await demoted.query("SELECT id FROM lab.t WHERE id = ?", [id]).catch(() => [[]]);
    if (rows.length > 0) return Date.now() - startMs > 5000 ? "after more than 5 s" : "at once";
    await sleep(50);
  }
};
await demoted.query(
  "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=15441, MASTER_USER='repl', MASTER_PASSWORD='repl', MASTER_USE_GTID=slave_pos",
);
await demoted.query("START SLAVE");
console.log(`OFF: applied ${await applied(2)}`);
await demoted.query("SET GLOBAL rpl_semi_sync_master_enabled = ON");
await demoted.query("STOP SLAVE");
await demoted.query("START SLAVE");
const waiting = applied(4);
await sleep(3000);
const [[status]] = await demoted.query("SHOW SLAVE STATUS");
console.log(`ON: threads ${status.Slave_IO_Running}, ${status.Slave_SQL_Running}, error ${status.Last_SQL_Errno}`);
console.log(`ON: applied ${await waiting}`);
process.exit();
JS
expect "OFF: applied at once
ON: threads Yes, Yes, error 0
ON: applied after more than 5 s" "$(node demote.mjs)"
