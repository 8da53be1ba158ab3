#!/usr/bin/env bash
# Galera: a node with wsrep_reject_queries = ALL says that it is ready and synced, and refuses statements.
#
# The setting takes a node out of service without a stop: statements are refused with error 1047, "WSREP has not yet prepared node
# for application use". But `wsrep_ready` stays ON, and `wsrep_local_state_comment` is "Synced", so that a check of these two, as
# many health checks make it, still sends clients there.
#
# What dnspool does: with `targetSessionAttrs: "read-write"`, it asks for wsrep_reject_queries as well.
. "$(dirname "$0")/common.sh"

program mariadbd 10.11.19 "mariadb-server galera-4" --version
install node@22.23.3 mysql2@3.24.6
galera_node 15431
cat >checks.mjs <<'JS'
import { client, outcome, status } from "./node.mjs";
const report = async (name) => {
  const states = [await status("wsrep_ready"), await status("wsrep_local_state_comment")];
  console.log(`${name}: ${states.join(", ")}, statement ${await outcome(client.query("SELECT COUNT(*) FROM mysql.user"))}`);
};
await report("NONE");
await client.query("SET GLOBAL wsrep_reject_queries = ALL");
await report("ALL");
process.exit();
JS
expect "NONE: ON, Synced, statement ok
ALL: ON, Synced, statement 1047" "$(node checks.mjs)"
