#!/usr/bin/env bash
# Node: of several addresses of a name, one that needs longer than 250 ms is given up for the next, even if that one refuses.
#
# The name has two addresses. The first one's server accepts after a second, as behind a lost packet or a full queue; on the
# second, nothing listens. net.connect() ends the first attempt after autoSelectFamilyAttemptTimeout (250 ms by default), is
# refused by the second, and fails. With autoSelectFamily: false it connects to the first. So do pg, mysql2 and mariadb, which
# give the name to net.connect().
#
# What dnspool does: connects to one address at a time, and lets an attempt go on while it tries the next.
. "$(dirname "$0")/common.sh"

install node@22.23.3
cat >server.mjs <<'EOF'
import net from "node:net";
const server = net.createServer((socket) => socket.on("error", () => {}));
server.listen({ port: 15434, host: "127.0.0.2", backlog: 1 }, () => console.log("listening"));
EOF
cat >slow.mjs <<'EOF'
import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const [, , autoSelectFamily] = process.argv;
// A server that is stopped for a moment, with a full queue: what it drops is sent again after a second.
const server = spawn(process.execPath, ["server.mjs"], { stdio: ["ignore", "pipe", "inherit"] });
await once(server.stdout, "data");
server.kill("SIGSTOP");
for (let i = 0; i < 3; i++) net.connect(15434, "127.0.0.2").on("error", () => {});
await sleep(300);
const addresses = ["127.0.0.2", "127.0.0.3"].map((address) => ({ address, family: 4 }));
const socket = net.connect({
  host: "db.example",
  port: 15434,
  lookup: (_, { all }, callback) => all ? callback(null, addresses) : callback(null, addresses[0].address, 4),
  ...(autoSelectFamily === "false" && { autoSelectFamily: false }),
});
setTimeout(() => server.kill("SIGCONT"), 300);
socket.on("connect", () => console.log(`connected to ${socket.remoteAddress}`));
socket.on("error", ({ errors }) => console.log(errors.map(({ code }) => code).join(", ")));
await Promise.race([once(socket, "connect").catch(() => {}), sleep(10_000)]);
server.kill("SIGKILL");
process.exit(0);
EOF
expect "by default: ETIMEDOUT, ECONNREFUSED
autoSelectFamily false: connected to 127.0.0.2" "by default: $(timeout 30 node slow.mjs)
autoSelectFamily false: $(timeout 30 node slow.mjs false)"
