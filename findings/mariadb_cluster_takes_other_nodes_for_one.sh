#!/usr/bin/env bash
# mariadb for Node: getConnection("db1") of a cluster gives connections to db10 and to standby-of-db1 as well.
#
# What looks like the name of a node is a regular expression that has to match anywhere in a name. It is the same with of("db1").
# mysql2, whose PoolCluster has the same methods, compares the whole name, and knows `*` at the end; "*" alone is an error with
# mariadb. So writes for the node db1 go to others, by turns, as soon as one with a longer name is added.
#
# What dnspool does: nothing; `^db1$` is the pattern of one node.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server-core mariadb-client-core" --version
install node@22.23.3 mariadb@3.5.4 mysql2@3.24.6
mariadb_server 15446
cat >nodes.mjs <<'JS'
import * as mariadb from "mariadb";
import mysql from "mysql2/promise";
const options = { host: "127.0.0.1", port: 15446, user: "root", connectionLimit: 1 };
for (let tries = 0; tries < 100; tries++) {
  if (await mysql.createConnection(options).then((client) => client.end(), () => true) !== true) break;
  await new Promise((resolve) => setTimeout(resolve, 100));
}
const nodes = { "db1": "mysql", "db10": "sys", "standby-of-db1": "information_schema" };
for (const [driver, { createPoolCluster }] of Object.entries({ mysql2: mysql, mariadb })) {
  const cluster = createPoolCluster();
  for (const [name, database] of Object.entries(nodes)) cluster.add(name, { ...options, database });
  for (const pattern of ["db1", "db*", "^db1$"]) {
    const seen = new Set();
    for (let count = 0; count < 6; count++) {
      const connection = await cluster.getConnection(pattern).catch(() => undefined);
      if (!connection) continue;
      const reply = await connection.query("SELECT DATABASE() AS name");
      const [{ name }] = driver === "mysql2" ? reply[0] : reply;
      seen.add(Object.keys(nodes).find((node) => nodes[node] === name));
      await connection.release();
    }
    console.log(`${driver}, ${pattern}: ${[...seen].sort().join(" ") || "none"}`);
  }
}
process.exit();
JS
expect "mysql2, db1: db1
mysql2, db*: db1 db10
mysql2, ^db1$: none
mariadb, db1: db1 db10 standby-of-db1
mariadb, db*: db1 db10 standby-of-db1
mariadb, ^db1$: db1" "$(node nodes.mjs)"
