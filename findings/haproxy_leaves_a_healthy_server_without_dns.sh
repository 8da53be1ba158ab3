#!/usr/bin/env bash
# HAProxy: the name server falls silent, and half a minute later HAProxy refuses the clients of a server that is well.
#
# The address of the server is known, and its health check succeeds twice a second. `hold timeout` (30 seconds by default) is how
# long HAProxy believes the last answer while the name server says nothing; then the server goes into maintenance, as if
# an administrator had put it there. New sessions are closed at once, open ones go on.
#
# What dnspool does: nothing here; it keeps an address that works itself, and docs/production.md names the settings of `hold` that do.
. "$(dirname "$0")/common.sh"

program haproxy 2.6.12 haproxy -v
install node@22.23.3 dns-packet@5.6.1
name_server 15446 <<JS
import { existsSync } from "node:fs";
export default ({ name, type }) => {
  if (existsSync("$dir/silent")) return undefined;
  return type === "A" ? { answers: [{ type, name, ttl: 1, data: "127.0.0.2" }] } : {};
};
JS
cat >haproxy.cfg <<CFG
defaults
  mode tcp
  timeout connect 2s
  timeout client 2m
  timeout server 2m
resolvers lab
  nameserver one 127.0.0.1:15446
listen database
  bind 127.0.0.1:15447
  server one db.lab.internal:15448 check inter 500 resolvers lab init-addr none
CFG
cat >sessions.mjs <<'EOF2'
import net from "node:net";
import { writeFileSync } from "node:fs";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
net.createServer((socket) => {
  socket.on("error", () => {});
  socket.on("data", () => socket.write("answered"));
}).listen(15448, "127.0.0.2");
const open = (port = 15447, host = "127.0.0.1") => {
  const socket = net.connect(port, host).on("error", () => {});
  const ask = () =>
    new Promise((resolve) => {
      socket.once("data", (data) => resolve(String(data)));
      socket.once("close", () => resolve("closed"));
      socket.write("who");
    });
  return { ask, end: () => socket.destroy() };
};
const ask = async (...server) => {
  const session = open(...server);
  const said = await session.ask();
  session.end();
  return said;
};
while (await ask() !== "answered") await sleep(100);
const old = open();
await old.ask();
writeFileSync("silent", "");
const silentMs = performance.now();
const seconds = () => (performance.now() - silentMs) / 1000;
while (await ask() === "answered" && seconds() < 90) await sleep(100);
console.log("refused after", seconds() > 25 && seconds() < 50 ? "25 to 50 seconds" : `${seconds()} seconds`);
await sleep(2000);
console.log("a new session:", await ask());
console.log("a session that was open:", await old.ask());
console.log("the server itself:", await ask(15448, "127.0.0.2"));
process.exit(0);
EOF2
serve haproxy -db -f haproxy.cfg
expect "refused after 25 to 50 seconds
a new session: closed
a session that was open: answered
the server itself: answered" "$(node sessions.mjs)"
