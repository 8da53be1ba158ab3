#!/usr/bin/env bash
# HAProxy: when a server's name moves, new sessions go to the new address, and open ones stay at the old one for ever.
#
# `resolvers` changes the address of the server, with a line in the log. `on-marked-down shutdown-sessions` ends sessions only when
# a check fails, and the server at the new address is well. A pool, whose sessions never end, goes on at the old server.
#
# What dnspool learned: nothing ends such a session but its age; docs/production.md says to give `poolRecycle` behind HAProxy.
. "$(dirname "$0")/common.sh"

program haproxy 2.6.12 haproxy -v
install node@22.23.3 dns-packet@5.6.1
echo 2 >last
name_server 15440 <<JS
import { readFileSync } from "node:fs";
export default ({ name, type }) => {
  const data = "127.0.0." + readFileSync("$dir/last", "utf8").trim();
  return type === "A" ? { answers: [{ type, name, ttl: 1, data }] } : {};
};
JS
cat >haproxy.cfg <<CFG
defaults
  mode tcp
  timeout connect 2s
  timeout client 1m
  timeout server 1m
resolvers lab
  nameserver one 127.0.0.1:15440
  timeout resolve 1s
  hold valid 1s
listen database
  bind 127.0.0.1:15441
  server one db.lab.internal:15442 check inter 200 rise 1 on-marked-down shutdown-sessions resolvers lab init-addr none
CFG
cat >sessions.mjs <<'EOF2'
import net from "node:net";
import { writeFileSync } from "node:fs";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
for (const host of ["127.0.0.2", "127.0.0.3"]) {
  net.createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => socket.write(host));
  }).listen(15442, host);
}
const open = () =>
  new Promise((resolve) => {
    const socket = net.connect(15441, "127.0.0.1");
    socket.on("error", () => {});
    const ask = () =>
      new Promise((resolve) => {
        socket.once("data", (data) => resolve(String(data)));
        socket.once("close", () => resolve("closed"));
        socket.write("who");
      });
    resolve({ ask, end: () => socket.destroy() });
  });
const ask = async () => {
  const session = await open();
  const said = await session.ask();
  session.end();
  return said;
};
while (await ask() !== "127.0.0.2") await sleep(100);
const old = await open();
await old.ask();
writeFileSync("last", "3");
while (await ask() !== "127.0.0.3") await sleep(100);
await sleep(5000);
console.log("a new session:", await ask());
console.log("a session that was open, 5 s later:", await old.ask());
process.exit(0);
EOF2
serve haproxy -db -f haproxy.cfg
expect "a new session: 127.0.0.3
a session that was open, 5 s later: 127.0.0.2" "$(node sessions.mjs)"
