#!/usr/bin/env bash
# node:dns resolve4() with { ttl: true }: behind an alias with a TTL of 5, Deno reports the TTL of the target's record, 300.
#
# The alias is what a failover changes: after 5 seconds the address may be another. Node and Bun report 5, the lowest TTL of the chain.
#
# What dnspool learned: a TTL that Deno's node:dns reports counts for 5 seconds at most.
. "$(dirname "$0")/common.sh"

install node@22.23.3 bun@1.4.5 deno@2.9.6 dns-packet@5.6.1
name_server 15414 <<'EOF'
export default ({ name }) => ({
  answers: [
    { type: "CNAME", name, ttl: 5, data: "target.test" },
    { type: "A", name: "target.test", ttl: 300, data: "10.0.0.1" },
  ],
});
EOF
cat >ask.mjs <<'EOF'
import { promises } from "node:dns";
const resolver = new promises.Resolver({ timeout: 2000, tries: 1 });
resolver.setServers(["127.0.0.1:15414"]);
const [{ ttl }] = await resolver.resolve4("alias.test", { ttl: true });
console.log(`TTL ${ttl}`);
EOF
seen="Node: $(node ask.mjs)
Bun: $(bun ask.mjs)
Deno: $(deno run --allow-all ask.mjs)"
expect "Node: TTL 5
Bun: TTL 5
Deno: TTL 300" "$seen"
