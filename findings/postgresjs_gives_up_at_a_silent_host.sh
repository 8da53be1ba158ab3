#!/usr/bin/env bash
# postgres.js: with several hosts, a query is rejected if the first one is silent; the next one is not tried for it.
#
# The hosts accept connections and say nothing. The first query is rejected with CONNECT_TIMEOUT after connect_timeout (30
# seconds by default, 1 here), and the second host was not asked. It is asked for the next query. Where the first host refuses
# connections, one query tries both.
#
# What dnspool does: tries the next host beside a silent one after a quarter of a second; the call gets the first that is ready.
. "$(dirname "$0")/common.sh"

install node@22.23.3 postgres@3.4.9
cat >silent.mjs <<'EOF'
import net from "node:net";
import postgres from "postgres";
let asked = [];
for (const host of ["127.0.0.2", "127.0.0.3"]) {
  const server = net.createServer((socket) => {
    asked.push(host);
    socket.on("error", () => {});
  });
  await new Promise((resolve) => server.listen(15433, host, resolve));
}
const query = async (name, sql) => {
  asked = [];
  const code = await sql`SELECT 1`.catch(({ code }) => code);
  console.log(`${name}: ${code}, asked ${asked}`);
};
const client = (...host) => postgres({ host, port: [15433, 15433], user: "app", connect_timeout: 1, max: 1 });
const silent = client("127.0.0.2", "127.0.0.3");
await query("first query", silent);
await query("next query", silent);
await query("a first host that refuses", client("127.0.0.4", "127.0.0.3"));
process.exit(0);
EOF
expect "first query: CONNECT_TIMEOUT, asked 127.0.0.2
next query: CONNECT_TIMEOUT, asked 127.0.0.3
a first host that refuses: CONNECT_TIMEOUT, asked 127.0.0.3" "$(timeout 30 node silent.mjs)"
