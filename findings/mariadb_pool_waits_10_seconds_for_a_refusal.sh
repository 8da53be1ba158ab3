#!/usr/bin/env bash
# mariadb for Node: its pools wait 10 seconds for a server that refuses connections.
#
# Nothing listens on the port. createConnection() says so within milliseconds: ECONNREFUSED. A pool's getConnection() rejects
# after 10 seconds (acquireTimeout), with a code of its own. A cluster is made of such pools: with a first node that refuses,
# it tries the second one 10 seconds later.
#
# What dnspool does: opens its connections by createConnection(), and tries the next server as soon as one refuses.
. "$(dirname "$0")/common.sh"

install node@22.23.3 mariadb@3.5.4
cat >refused.mjs <<'EOF'
import mariadb from "mariadb";
const node = (host) => ({ host, port: 15432, user: "app", password: "secret" });
const beganMs = performance.now();
const after = () => {
  const seconds = (performance.now() - beganMs) / 1000;
  return seconds < 2 ? "at once" : seconds < 9.5 ? `after ${seconds} s` : "after 10 s";
};
const failed = (promise) => promise.then(() => "connected", ({ code }) => `${code} ${after()}`);
const single = failed(mariadb.createConnection(node("127.0.0.2")));
const pool = failed(mariadb.createPool(node("127.0.0.2")).getConnection());
console.log(`createConnection: ${await single}`);
console.log(`pool: ${await pool}`);
process.exit(0);
EOF
expect "createConnection: ECONNREFUSED at once
pool: ER_GET_CONNECTION_TIMEOUT after 10 s" "$(node refused.mjs)"
