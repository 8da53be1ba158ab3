#!/usr/bin/env bash
# mysql2: the session of a statement that is read as a stream ends. The stream emits neither `error` nor `end` nor `close`.
#
# The connection emits `error` with PROTOCOL_CONNECTION_LOST, which is not heard by code that has only the stream of a pool. A loop
# `for await (const row of pool.query(sql).stream())` waits for ever, where a callback or a promise gets the error.
#
# What dnspool does: `lease.signal` is aborted, and `use()` rejects, whatever the stream does.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server-core mariadb-client-core" --version
install node@22.23.3 mysql2@3.24.6
if [[ $EUID -eq 0 ]]; then
  chmod 755 "$dir"
  mkdir data && chown nobody data
fi
as_user mariadb-install-db --no-defaults --datadir="$dir/data" --auth-root-authentication-method=normal \
  --skip-test-db >install.log 2>&1
serve_as_user mariadbd --no-defaults --datadir="$dir/data" --bind-address=127.0.0.1 --port=15427 \
  --socket="$dir/data/socket" --pid-file="$dir/data/pid"
cat >stream.mjs <<'EOF'
import mysql from "mysql2";
const login = { host: "127.0.0.1", port: 15427, user: "root", database: "mysql" };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const open = () =>
  new Promise((resolve, reject) => {
    const connection = mysql.createConnection(login);
    connection.connect((error) => error ? reject(error) : resolve(connection));
  });
let admin;
for (let tries = 0; !admin && tries < 100; tries++) {
  admin = await open().catch(() => {});
  if (!admin) await sleep(100);
}
for (const by of ["callback", "stream"]) {
  const connection = await open();
  const seen = [];
  connection.on("error", ({ code }) => seen.push(`the connection: ${code}`));
  const sql = "SELECT seq, SLEEP(0.01) FROM seq_1_to_100000";
  if (by === "callback") connection.query(sql, (error) => seen.push(`the callback: ${error.code}`));
  else {
    const stream = connection.query(sql).stream();
    for (const event of ["error", "end", "close"]) stream.on(event, () => seen.push(`the stream: ${event}`));
    stream.on("data", () => {});
  }
  await sleep(500);
  await admin.promise().query(`KILL ${connection.threadId}`);
  await sleep(5000);
  console.log(`${by}: ${seen.join(", ")}`);
}
admin.end();
EOF
expect 'callback: the callback: PROTOCOL_CONNECTION_LOST
stream: the connection: PROTOCOL_CONNECTION_LOST' "$(node stream.mjs)"
