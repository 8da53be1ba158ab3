#!/usr/bin/env bash
# A CNAME whose target has no address: node:dns resolve4() succeeds with an empty array on Node and Bun.
#
# The server answers NOERROR with a CNAME and no A record. On its own, a name without an A record is ENODATA (Node) or
# ENOTFOUND (Bun). Behind an alias the same promise is fulfilled with [], so that `const [address] = await resolve4(name)` is undefined
# without any error. Deno rejects both.
#
# What dnspool learned: an empty list is treated as "no data".
. "$(dirname "$0")/common.sh"

install node@22.23.3 bun@1.4.5 deno@2.9.6 dns-packet@5.6.1
name_server 15301 <<'EOF'
export default ({ name }) =>
  name === "alias.test"
    ? { answers: [{ type: "CNAME", name, ttl: 5, data: "target.test" }] }
    : {};
EOF
cat >ask.mjs <<'EOF'
import { promises } from "node:dns";
const resolver = new promises.Resolver({ timeout: 2000, tries: 1 });
resolver.setServers(["127.0.0.1:15301"]);
const ask = (name) => resolver.resolve4(name).then((list) => JSON.stringify(list), (error) => error.code);
console.log(`alias ${await ask("alias.test")}, plain ${await ask("plain.test")}`);
EOF
seen="Node: $(node ask.mjs)
Bun: $(bun ask.mjs)
Deno: $(deno run --allow-all ask.mjs)"
expect "Node: alias [], plain ENODATA
Bun: alias [], plain ENOTFOUND
Deno: alias ENOTFOUND, plain ENOTFOUND" "$seen"
