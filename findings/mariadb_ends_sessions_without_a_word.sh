#!/usr/bin/env bash
# MariaDB: a session that is killed, timed out or shut down ends without an error.
#
# There are errors for it (1927 "connection was killed", 1053 "shutdown in progress"), and PostgreSQL sends its own. But a
# client of MariaDB sees only the end of the socket: a FIN after KILL and SHUTDOWN, also in the middle of a statement, and an RST
# after wait_timeout. It cannot tell one session's end from that of the server.
#
# What dnspool does: it closes an idle connection that ends so, and no other. One that is in use counts against the server.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server-core mariadb-client-core" --version
install node@22.23.3 mysql2@3.24.6
mariadb_server 15433
cat >ends.mjs <<'JS'
import mysql from "mysql2/promise";
const options = { host: "127.0.0.1", port: 15433, user: "root" };
const connect = () => mysql.createConnection(options);
let root;
for (let tries = 0; !root && tries < 100; tries++) {
  root = await connect().catch(() => {});
  if (!root) await new Promise((resolve) => setTimeout(resolve, 100));
}
root.on("error", () => {});
const ended = (session) =>
  new Promise((resolve) => {
    session.on("error", () => {});
    session.connection.stream.once("end", () => resolve("FIN"));
    session.connection.stream.once("error", ({ code }) => resolve(code === "ECONNRESET" ? "RST" : code));
  });
const said = ({ errno, code }) => errno ?? code;

const killed = await connect();
const killedEnd = ended(killed);
await root.query("KILL " + killed.threadId);
console.log("KILL, idle:", await killedEnd);

const busy = await connect();
const busyEnd = ended(busy);
const statement = busy.query("SELECT SLEEP(30)").then(() => "ok", said);
await new Promise((resolve) => setTimeout(resolve, 500));
await root.query("KILL " + busy.threadId);
console.log("KILL, in a statement:", await busyEnd, await statement);

const late = await connect();
const lateEnd = ended(late);
await late.query("SET wait_timeout = 1");
console.log("wait_timeout:", await lateEnd);

const last = await connect();
const lastEnd = ended(last);
const running = last.query("SELECT SLEEP(30)").then(() => "ok", said);
await new Promise((resolve) => setTimeout(resolve, 500));
await root.query("SHUTDOWN").catch(() => {});
console.log("SHUTDOWN, in a statement:", await lastEnd, await running);
process.exit();
JS
expect "KILL, idle: FIN
KILL, in a statement: FIN PROTOCOL_CONNECTION_LOST
wait_timeout: RST
SHUTDOWN, in a statement: FIN PROTOCOL_CONNECTION_LOST" "$(node ends.mjs)"
