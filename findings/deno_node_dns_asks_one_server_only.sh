#!/usr/bin/env bash
# Deno's node:dns: of several servers given to setServers(), the second is never asked when the first is silent.
#
# The list of servers is there for that case. Node and Bun go on to the second one and answer; Deno asks the first alone
# and rejects with a time-out.
#
# What dnspool learned: going from server to server is its own work; each lookup asks one server.
. "$(dirname "$0")/common.sh"

install node@22.23.3 bun@1.4.5 deno@2.9.6 dns-packet@5.6.1
name_server 15304 <<<'export default () => undefined;'
name_server 15305 <<'EOF'
export default ({ name }) => ({ answers: [{ type: "A", name, ttl: 5, data: "127.0.0.2" }] });
EOF
cat >ask.mjs <<'EOF'
import { promises } from "node:dns";
const resolver = new promises.Resolver({ timeout: 1000, tries: 2 });
resolver.setServers(["127.0.0.1:15304", "127.0.0.1:15305"]);
console.log(await resolver.resolve4("db.test").then(String, (error) => error.code));
EOF
seen="Node: $(node ask.mjs)
Bun: $(bun ask.mjs)
Deno: $(deno run --allow-all ask.mjs)"
expect "Node: 127.0.0.2
Bun: 127.0.0.2
Deno: ETIMEOUT" "$seen"
