#!/usr/bin/env bash
# PgBouncer: nearly every refusal has the SQLSTATE 08P01, "protocol violation".
#
# PostgreSQL has a code for each: 3D000 for a database that does not exist, 28P01 for a wrong password, 57P03 for a server that cannot
# take logins now. Behind PgBouncer a client that wants to know whether another try makes
# sense finds the same code for a typing error and for an outage of a second; only the text differs.
#
# What dnspool learned: 08P01 says nothing of the connection; the severity tells whether the session has ended.
. "$(dirname "$0")/common.sh"

program pgbouncer 1.18.0 pgbouncer --version
install node@22.23.3 pg@8.23.0
cat >pgbouncer.ini <<INI
[databases]
gone = host=127.0.0.1 port=15431
disabled = host=127.0.0.1 port=15431
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 15430
unix_socket_dir =
auth_type = md5
auth_file = $dir/users.txt
admin_users = app
server_login_retry = 1
query_wait_timeout = 2
INI
echo '"app" "secret"' >users.txt
chmod 755 "$dir" && chmod 644 pgbouncer.ini users.txt
serve_as_user pgbouncer pgbouncer.ini
cat >refused.mjs <<'EOF'
import pg from "pg";
const open = async (database, password = "secret") => {
  const client = new pg.Client({ host: "127.0.0.1", port: 15430, user: "app", password, database });
  client.on("error", () => {});
  await client.connect();
  return client;
};
const tell = async (what, attempt) => {
  console.log(`${what}: ${await attempt().then(() => "accepted", ({ code, message }) => code ?? message)}`);
};
let admin;
for (let tries = 0; !admin && tries < 100; tries++) {
  admin = await open("pgbouncer").catch(() => {});
  if (!admin) await new Promise((resolve) => setTimeout(resolve, 100));
}
await admin.query("DISABLE disabled");
await tell("no such database", () => open("missing"));
await tell("a database that is disabled", () => open("disabled"));
await tell("a server that is not running", () => open("gone").then((client) => client.query("SELECT 1")));
await tell("a wrong password", () => open("gone", "wrong"));
await admin.end();
EOF
expect "no such database: 08P01
a database that is disabled: 08P01
a server that is not running: 08P01
a wrong password: 08P01" "$(node refused.mjs)"
