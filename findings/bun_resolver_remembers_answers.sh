#!/usr/bin/env bash
# Bun: a `Resolver` of node:dns answers a repeated question from a cache that cannot be turned off. That of Node and Deno asks.
#
# The record has a TTL of 60 and moves with each question. Four calls, a second after one another: on Bun the server sees the
# first only, and the program gets the old address with TTL 60, 59, 58, 57. Even resolver.setServers() with the same server
# does not empty the cache. It is the query cache of c-ares, which Node turns off.
#
# What dnspool learned: a Resolver object is never asked the same question twice.
. "$(dirname "$0")/common.sh"

install node@22.23.3 bun@1.4.5 deno@2.9.6 dns-packet@5.6.1
name_server 15303 <<'EOF'
let count = 0;
export default ({ name }) => ({ answers: [{ type: "A", name, ttl: 60, data: `127.0.0.${++count}` }] });
EOF
cat >ask.mjs <<'EOF'
import { promises } from "node:dns";
const resolver = new promises.Resolver();
const seen = [];
for (let call = 0; call < 4; call++) {
  if (call > 0) await new Promise((resolve) => setTimeout(resolve, 1000));
  resolver.setServers(["127.0.0.1:15303"]);
  seen.push(...await resolver.resolve4("db.test", { ttl: true }));
}
const addresses = new Set(seen.map(({ address }) => address)).size;
console.log(`${addresses} of 4 addresses, the last TTL is ${seen.at(-1).ttl}`);
EOF
seen="Node: $(node ask.mjs)
Deno: $(deno run --allow-all ask.mjs)
Bun: $(bun ask.mjs)"
expect "Node: 4 of 4 addresses, the last TTL is 60
Deno: 4 of 4 addresses, the last TTL is 60
Bun: 1 of 4 addresses, the last TTL is 57" "$seen"
